//! The demonstration's session is found, stopped and started by the calls that scripts for Citrix DaaS make.

use anyhow::{Context as _, Result, ensure};
use playhead_testsuite::{Program, playhead, wait_for};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::{path::Path, process::Command, time::Duration};

const PATIENCE: Duration = Duration::from_secs(30);

/// A script with its headers.
struct Script {
    client: Client,
    url: String,
    token: String,
    customer: String,
    site: String,
}

impl Script {
    /// Gets a token for a client made on the console's machine.
    async fn start(url: &str, data: &Path) -> Result<Self> {
        let made = Command::new(playhead())
            .args(["api-client", "create", "--name", "script", "--json", "--data"])
            .arg(data)
            .output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let made: Value = serde_json::from_slice(&made.stdout)?;
        let word = |name: &str| Ok::<_, anyhow::Error>(made[name].as_str().context("not told")?.to_owned());
        let client = Client::new();
        let customer = word("customer_id")?;
        let answer = client
            .post(format!("{url}/cctrustoauth2/{customer}/tokens/clients"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!(
                "grant_type=client_credentials&client_id={}&client_secret={}",
                word("id")?,
                word("secret")?
            ))
            .send()
            .await?;
        ensure!(answer.status() == 200, "{}", answer.text().await?);
        let given: Value = serde_json::from_slice(&answer.bytes().await?)?;
        let token = given["access_token"].as_str().context("no token")?.to_owned();
        Ok(Self { client, url: url.to_owned(), token, customer, site: word("site_id")? })
    }

    /// A request as scripts in Python make it.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/cvad/manage/{path}", self.url))
            .header("Authorization", format!("CWSAuth Bearer={}", self.token))
            .header("Citrix-CustomerId", &self.customer)
            .header("Citrix-InstanceId", &self.site)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json")
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status();
        ensure!(answer.headers().contains_key("citrix-transactionid"), "no transaction id");
        let text = answer.text().await?;
        ensure!(status == 200, "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    async fn is_recorded(&self, session: &str) -> Result<bool> {
        let status = self.call(Method::GET, &format!("Sessions/RecordingStatus?id={session}"), None).await?;
        status["IsSessionBeingRecorded"].as_bool().context("no answer")
    }

    async fn wait_until(&self, session: &str, recorded: bool) -> Result<()> {
        let what = if recorded { "a recording" } else { "the recording's end" };
        wait_for(what, PATIENCE, async || Ok((self.is_recorded(session).await? == recorded).then_some(())))
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstrations_session_is_found_stopped_and_started() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let mut command = Command::new(playhead());
    command.args(["demo", "--json", "--listen", "127.0.0.1:0", "--display-size", "800x600", "--data"]);
    let mut demo = Program::start(command.arg(&data), &folder.path().join("demo.log"))?;
    let ready: Value = serde_json::from_str(&demo.line()?)?;
    let script = Script::start(ready["url"].as_str().context("no address")?, &data).await?;

    let me = script.call(Method::GET, "me", None).await?;
    assert_eq!(me["Customers"][0]["Id"], script.customer.as_str());
    assert_eq!(me["Customers"][0]["Sites"][0]["Id"], script.site.as_str());
    let search = json!({ "SearchFilters": [
        { "Property": "ConnectionProtocol", "Value": "Console", "Operator": "Equals" },
        { "Property": "SessionState", "Value": "Active", "Operator": "Equals" },
        { "Property": "UserName", "Value": "demo", "Operator": "Equals" }
    ] });
    let session = wait_for("the session", PATIENCE, async || {
        let found = script.call(Method::POST, "Sessions/$search?limit=10", Some(search.clone())).await?;
        Ok(found["Items"][0]["Id"].as_str().map(str::to_owned))
    })
    .await?;
    script.wait_until(&session, true).await?;
    let shown = script.call(Method::GET, &format!("Sessions/{session}"), None).await?;
    assert_eq!((&shown["SessionType"], &shown["Machine"]["OSType"]), (&json!("Desktop"), &json!("Linux")));

    let start = format!("Sessions/{session}/$startRecording?notifyUser=false");
    let stop = format!("Sessions/{session}/$stopRecording");
    for call in [&stop, &stop, &start, &start] {
        let answer = script.call(Method::POST, call, None).await?;
        assert_eq!(answer["Id"], session.as_str(), "{answer}");
        script.wait_until(&session, call == &start).await?;
    }

    let other = Script { token: "wrong".into(), ..script };
    let refused = other.request(Method::POST, &stop).send().await?;
    assert_eq!(refused.status(), 401);
    demo.stop(PATIENCE)?;
    Ok(())
}
