//! What is asked of the console about a host.

use anyhow::{Context as _, Result, ensure};
use playhead_testsuite::{Stack, wait_for};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What is asked of the console.
pub(crate) struct Site<'a> {
    stack: &'a Stack,
    id: String,
}

impl<'a> Site<'a> {
    pub(crate) async fn of(stack: &'a Stack) -> Result<Self> {
        let sites = stack.api.get("/api/v1/sites").await?;
        let id = sites["items"][0]["id"].as_str().context("no site")?.to_owned();
        Ok(Self { stack, id })
    }

    /// Makes a policy of these rules the active one; returns its revision.
    pub(crate) async fn activate(&self, name: &str, rules: Value) -> Result<u64> {
        let body = json!({ "name": name, "rules": rules });
        let policy = self.post(&format!("/api/v1/sites/{}/policies", self.id), body).await?;
        let id = policy["id"].as_str().context("no policy")?;
        let active =
            self.post(&format!("/api/v1/sites/{}/policies/{id}/activate", self.id), json!({})).await?;
        active["active"]["revision"].as_u64().with_context(|| format!("no revision: {active}"))
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let (status, answer) = self.stack.api.call(Method::POST, path, Some(body)).await?;
        ensure!(status.is_success(), "{path}: {status} {answer}");
        Ok(answer)
    }

    /// Waits until the host goes by this revision of what is active; how long that took.
    pub(crate) async fn taken(&self, revision: u64) -> Result<Duration> {
        let start = Instant::now();
        wait_for("the host to go by the policy", Duration::from_secs(20), async || {
            let hosts = self.stack.api.get("/api/v1/session-hosts").await?;
            let taken = hosts["items"][0]["policy"]["revision"].as_u64();
            Ok((taken == Some(revision)).then_some(()))
        })
        .await?;
        Ok(start.elapsed())
    }

    /// A person's session once it is as `wanted`.
    pub(crate) async fn session(
        &self,
        person: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        wait_for(&format!("{person}'s session: {what}"), Duration::from_secs(40), async || {
            let found = self.stack.api.get(&format!("/api/v1/sessions?user={person}")).await?;
            let all = found["items"].as_array().context("no items")?;
            Ok(all.iter().find(|session| session["user"] == person && wanted(session)).cloned())
        })
        .await
    }
}

/// Whether something of a session is being recorded.
pub(crate) fn is_recorded(session: &Value) -> bool {
    session["recording"]["recording"].is_string()
}

/// The recording that grows.
pub(crate) fn recording(session: &Value) -> Result<String> {
    Ok(session["recording"]["recording"].as_str().context("nothing is recorded")?.to_owned())
}
