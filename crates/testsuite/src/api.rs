//! The console's REST API as a script uses it.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// A signed-in client.
#[derive(Clone)]
pub struct Api {
    client: reqwest::Client,
    url: String,
}

impl Api {
    /// A client that has not signed in.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(url: &str) -> Result<Self> {
        let client = reqwest::Client::builder().cookie_store(true).build()?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// Signs in.
    ///
    /// # Errors
    /// The console refuses.
    pub async fn sign_in(url: &str, user: &str, password: &str) -> Result<Self> {
        let api = Self::new(url)?;
        let body = json!({ "user": user, "password": password });
        let (status, answer) = api.call(Method::POST, "/api/v1/sign-in", Some(body)).await?;
        ensure!(status == 200, "sign-in failed: {status} {answer}");
        Ok(api)
    }

    /// Makes a request and gives status and JSON (null when there is none).
    ///
    /// # Errors
    /// No answer.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<(StatusCode, Value)> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        Ok((status, serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null)))
    }

    /// Gets JSON.
    ///
    /// # Errors
    /// Any status but 200.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let (status, answer) = self.call(Method::GET, path, None).await?;
        ensure!(status == 200, "{path}: {status} {answer}");
        Ok(answer)
    }

    /// Gets bytes.
    ///
    /// # Errors
    /// Any status but 200.
    pub async fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        let response = self.client.get(format!("{}{path}", self.url)).send().await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        ensure!(status == 200, "{path}: {status} {}", String::from_utf8_lossy(&bytes));
        Ok(bytes.to_vec())
    }

    /// Gets bytes as they come.
    ///
    /// # Errors
    /// Any status but 200.
    pub async fn stream(
        &self,
        path: &str,
    ) -> Result<impl futures_util::Stream<Item = reqwest::Result<Vec<u8>>> + Unpin + use<>> {
        let response = self.client.get(format!("{}{path}", self.url)).send().await?;
        ensure!(response.status() == 200, "{path}: {}", response.status());
        let pieces = futures_util::stream::unfold(response, |mut response| async {
            match response.chunk().await {
                Ok(Some(piece)) => Some((Ok(piece.to_vec()), response)),
                Ok(None) => None,
                Err(error) => Some((Err(error), response)),
            }
        });
        Ok(Box::pin(pieces))
    }

    /// All recordings, newest first, page by page.
    ///
    /// # Errors
    /// The console refuses.
    pub async fn recordings(&self) -> Result<Vec<Value>> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/api/v1/recordings?limit=100{cursor}")).await?;
            all.extend(page["items"].as_array().context("no items")?.iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// A token with which an agent joins the first site.
    ///
    /// # Errors
    /// The console refuses.
    pub async fn agent_token(&self) -> Result<String> {
        let body = json!({ "kind": "agent" });
        let (status, answer) = self.call(Method::POST, "/api/v1/join-tokens", Some(body)).await?;
        ensure!(status.is_success(), "no join token: {status} {answer}");
        Ok(answer["token"].as_str().context("no token")?.to_owned())
    }
}
