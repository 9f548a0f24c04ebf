//! Asking several sites the same thing at once.

use super::{SiteName, SiteRequest};
use crate::{accounts::Caller, core::Core, problem::Problem};
use axum::body::Body;
use futures_util::future::join_all;
use http::Response;
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a site may take to answer a list. The others are shown when it takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read whole: a page of 500 recordings takes about half a megabyte.
const MOST_ANSWER: usize = 16 << 20;

/// What several sites said.
pub(crate) struct Answers<T> {
    /// Of those that answered.
    pub(crate) given: Vec<(SiteName, T)>,
    /// Of those that did not.
    pub(crate) missing: Vec<(SiteName, Problem)>,
}

/// Asks all of the sites. One that does not answer in time does not hold up the rest.
///
/// # Errors
/// A site found the request itself wrong: then the others would, too.
pub(crate) async fn ask_all<T: DeserializeOwned>(
    core: &Core,
    caller: &Caller,
    sites: Vec<SiteName>,
    request: &SiteRequest,
) -> Result<Answers<T>, Problem> {
    let asked = sites.into_iter().map(async |site| {
        let answer = ask_for(core, caller, &site, request).await;
        (site, answer)
    });
    let mut answers = Answers { given: Vec::new(), missing: Vec::new() };
    for (site, answer) in join_all(asked).await {
        match answer {
            Ok(value) => answers.given.push((site, value)),
            Err(problem) if problem.status() == 400 => return Err(problem),
            Err(problem) => answers.missing.push((site, problem)),
        }
    }
    Ok(answers)
}

/// Asks one site and reads its answer.
///
/// # Errors
/// The site is not connected, took too long, refused, or answered nonsense.
pub(crate) async fn ask_for<T: DeserializeOwned>(
    core: &Core,
    caller: &Caller,
    site: &SiteName,
    request: &SiteRequest,
) -> Result<T, Problem> {
    let deadline = Instant::now() + PATIENCE;
    let response = core.sites.ask(site, caller, request, PATIENCE).await?;
    match timeout_at(deadline, read(site, response)).await {
        Ok(answer) => answer,
        Err(_) => Err(Problem::site_late(format!(
            "Site “{}” did not finish its answer within {} s. Try again.",
            site.name,
            PATIENCE.as_secs()
        ))),
    }
}

async fn read<T: DeserializeOwned>(site: &SiteName, response: Response<Body>) -> Result<T, Problem> {
    let status = response.status();
    let body = Limited::new(response.into_body(), MOST_ANSWER).collect().await.map_err(|error| {
        Problem::site_failed(format!("Site “{}” broke off its answer ({error}). Try again.", site.name))
    })?;
    let body = body.to_bytes();
    if !status.is_success() {
        return Err(Problem::of_site(&site.name, status, &body));
    }
    serde_json::from_slice(&body).map_err(|error| {
        tracing::error!(site = %site.id, %error, "a site's answer is not as expected");
        Problem::site_failed(format!(
            "Site “{}” answered in a way that this console does not understand ({error}). Do they have the same version?",
            site.name
        ))
    })
}
