//! S3's object lock: two requests that the object store library does not know, signed with its own means.

use super::settings::ObjectLock;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::{Timestamp, ToSpan as _};
use md5::{Digest as _, Md5};
use object_store::{
    ClientOptions,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider},
    client::{HttpClient, HttpRequest},
    path::Path,
};
use std::{
    fmt::Write as _,
    sync::atomic::{AtomicBool, Ordering},
};

/// Most characters of an answer that are repeated in a message.
const MOST: usize = 300;

/// Locks objects in one bucket.
pub(super) struct Lock {
    wanted: ObjectLock,
    /// Address of the bucket.
    endpoint: String,
    region: String,
    client: HttpClient,
    credentials: AwsCredentialProvider,
    /// Whether the bucket was found able to lock.
    checked: AtomicBool,
}

impl Lock {
    /// The bucket's address, its region and the client's options, as the builder has them.
    pub(super) fn endpoint(builder: &AmazonS3Builder, bucket: &str) -> (String, String, ClientOptions) {
        use object_store::ClientConfigKey::AllowHttp;
        let value = |key| builder.get_config_value(&key);
        let region = value(AmazonS3ConfigKey::Region)
            .or_else(|| value(AmazonS3ConfigKey::DefaultRegion))
            .unwrap_or_else(|| "us-east-1".into());
        let hosted = value(AmazonS3ConfigKey::VirtualHostedStyleRequest).as_deref() == Some("true");
        let given = value(AmazonS3ConfigKey::S3Endpoint).or_else(|| value(AmazonS3ConfigKey::Endpoint));
        let endpoint = match given {
            Some(endpoint) if hosted => endpoint,
            Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            None if hosted => format!("https://{bucket}.s3.{region}.amazonaws.com"),
            None => format!("https://s3.{region}.amazonaws.com/{bucket}"),
        };
        let plain = value(AmazonS3ConfigKey::Client(AllowHttp)).as_deref() == Some("true");
        (endpoint, region, ClientOptions::new().with_allow_http(plain))
    }

    pub(super) fn new(
        wanted: ObjectLock,
        endpoint: String,
        region: String,
        client: HttpClient,
        credentials: AwsCredentialProvider,
    ) -> Self {
        Self { wanted, endpoint, region, client, credentials, checked: AtomicBool::new(false) }
    }

    /// Whether the bucket can lock objects. Asked until it was seen once: a bucket does not lose that.
    pub(super) async fn check(&self) -> Result<(), String> {
        if self.checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (status, answer) = self.ask(Method::GET, "?object-lock", Bytes::new()).await?;
        if status.is_success() && answer.contains("<ObjectLockEnabled>Enabled<") {
            self.checked.store(true, Ordering::Relaxed);
            return Ok(());
        }
        Err(format!(
            "the bucket has no object lock: use one that was made with it, or leave object_lock out (status {status}: {})",
            answer.chars().take(MOST).collect::<String>()
        ))
    }

    /// Locks an object that is there, for as long as is wanted from now on.
    pub(super) async fn apply(&self, path: &Path) -> Result<(), String> {
        let until = Timestamp::now()
            .checked_add((i64::from(self.wanted.days) * 24).hours())
            .map_err(|error| error.to_string())?;
        let body = format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{}</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
            self.wanted.mode.as_str(),
            until.strftime("%Y-%m-%dT%H:%M:%SZ")
        );
        let (status, answer) =
            self.ask(Method::PUT, &format!("/{}?retention", encoded(path)), body.into()).await?;
        if status.is_success() {
            return Ok(());
        }
        Err(format!("status {status}: {}", answer.chars().take(MOST).collect::<String>()))
    }

    async fn ask(&self, method: Method, what: &str, body: Bytes) -> Result<(StatusCode, String), String> {
        let credential = self.credentials.get_credential().await.map_err(|error| error.to_string())?;
        let mut request = HttpRequest::new(body.clone().into());
        *request.method_mut() = method;
        *request.uri_mut() =
            format!("{}{what}", self.endpoint).parse().map_err(|_| "the endpoint is no address")?;
        if !body.is_empty() {
            // A header made of base64 is always one.
            let digest = STANDARD.encode(Md5::digest(&body)).parse().map_err(|_| "no header")?;
            request.headers_mut().insert("content-md5", digest);
        }
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| error.to_string())?;
        let response = self.client.execute(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = response.into_body().bytes().await.map_err(|error| error.to_string())?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// A path in an address.
fn encoded(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_ref().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
