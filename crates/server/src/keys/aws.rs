//! Site keys in AWS KMS, or in whatever speaks its language. The keys never leave it.

use super::kms::{KeyInfo, Kms, KmsError};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, Method, Uri, header};
use object_store::{
    ClientOptions,
    aws::{AmazonS3Builder, AwsAuthorizer, AwsCredentialProvider},
    client::{HttpClient, HttpConnector as _, HttpRequest, ReqwestConnector},
};
use playhead_db::site::WrappedKey;
use playhead_model::{RecordingId, WallTime};
use playhead_vault::{DataKey, KeyId};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// What ids of keys in AWS KMS begin with.
const PREFIX: &str = "arn:";
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests are tried so often.
const TRIES: u32 = 2;
/// Most characters of an answer that are repeated in a message.
const MOST: usize = 300;
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");

/// One key in AWS KMS.
pub(crate) struct AwsKms {
    /// Id, ARN or alias, as the settings have it.
    key: String,
    region: String,
    endpoint: String,
    client: HttpClient,
    credentials: AwsCredentialProvider,
}

impl AwsKms {
    /// Opens it without asking anything of it. Credentials, region and another endpoint (`AWS_ENDPOINT_URL_KMS`) come from the environment.
    ///
    /// # Errors
    /// An environment that makes no sense.
    pub(crate) fn open(key: &str) -> Result<Self, KmsError> {
        let wrong = |reason: String| KmsError::Away { address: format!("awskms:{key}"), reason };
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        // arn:aws:kms:REGION:ACCOUNT:key/ID
        let of_arn = key
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split(':').nth(2))
            .filter(|region| !region.is_empty());
        let region = of_arn
            .map(str::to_owned)
            .or_else(|| variable("AWS_REGION"))
            .or_else(|| variable("AWS_DEFAULT_REGION"));
        let region = region.ok_or_else(|| wrong("AWS_REGION is not set".into()))?;
        let endpoint =
            variable("AWS_ENDPOINT_URL_KMS").unwrap_or_else(|| format!("https://kms.{region}.amazonaws.com"));
        Self::connect(key, region, endpoint, AmazonS3Builder::from_env())
    }

    fn connect(
        key: &str,
        region: String,
        endpoint: String,
        credentials: AmazonS3Builder,
    ) -> Result<Self, KmsError> {
        let wrong = |reason: String| KmsError::Away { address: format!("awskms:{key}"), reason };
        let uri: Uri =
            endpoint.parse().map_err(|_| wrong(format!("AWS_ENDPOINT_URL_KMS is no address: {endpoint}")))?;
        let local = uri.host().is_some_and(|host| matches!(host, "127.0.0.1" | "localhost" | "[::1]"));
        if uri.scheme_str() != Some("https") && !local {
            return Err(wrong(format!(
                "expected an endpoint with https, got {endpoint}: keys would be seen on their way"
            )));
        }
        let failed = |error: object_store::Error| wrong(error.to_string());
        let options =
            ClientOptions::new().with_allow_http(local).with_timeout(PATIENCE).with_connect_timeout(PATIENCE);
        let client = ReqwestConnector::default().connect(&options).map_err(failed)?;
        // What finds the credentials of a machine, a container or the environment is part of the library's store.
        let store = credentials.with_bucket_name("unused").with_region(&region).build().map_err(failed)?;
        Ok(Self { key: key.to_owned(), region, endpoint, client, credentials: store.credentials().clone() })
    }

    fn away(&self, reason: impl Into<String>) -> KmsError {
        KmsError::Away { address: format!("awskms:{}", self.key), reason: reason.into() }
    }

    /// Calls an operation. `Err(Ok(..))` is what the service refuses: its type and text.
    async fn call(&self, operation: &str, body: &Value) -> Result<Value, Result<(String, String), KmsError>> {
        let mut last = self.away("nothing was tried");
        for _ in 0..TRIES {
            match timeout(PATIENCE, self.once(operation, body)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Ok(refused))) => return Err(Ok(refused)),
                Ok(Err(Err(error))) => last = error,
                Err(_) => last = self.away(format!("it did not answer within {} s", PATIENCE.as_secs())),
            }
        }
        Err(Err(last))
    }

    async fn once(&self, operation: &str, body: &Value) -> Result<Value, Result<(String, String), KmsError>> {
        let away = |error: &dyn std::fmt::Display| Err(self.away(error.to_string()));
        let credential = self.credentials.get_credential().await.map_err(|error| away(&error))?;
        let body = Zeroizing::new(body.to_string());
        let mut request = HttpRequest::new(body.as_bytes().to_vec().into());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.parse().map_err(|error| away(&error))?;
        request.headers_mut().insert(header::CONTENT_TYPE, JSON);
        let target =
            HeaderValue::from_str(&format!("TrentService.{operation}")).map_err(|error| away(&error))?;
        request.headers_mut().insert("x-amz-target", target);
        AwsAuthorizer::new(&credential, "kms", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| away(&error))?;
        let response = self.client.execute(request).await.map_err(|error| away(&error))?;
        let status = response.status();
        let bytes =
            Zeroizing::new(response.into_body().bytes().await.map_err(|error| away(&error))?.to_vec());
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() && answer.is_object() {
            return Ok(answer);
        }
        let text =
            |name: &str| answer[name].as_str().unwrap_or_default().chars().take(MOST).collect::<String>();
        let kind = text("__type").rsplit('#').next().unwrap_or_default().to_owned();
        let words = [text("message"), text("Message")].concat();
        // Refused for good are requests about this one data key; all else may be mended by people or by time.
        if matches!(kind.as_str(), "InvalidCiphertextException" | "IncorrectKeyException") {
            return Err(Ok((kind, words)));
        }
        Err(Err(self.away(format!("status {status}: {kind} {words}"))))
    }

    async fn ask(&self, operation: &str, body: &Value) -> Result<Value, KmsError> {
        self.call(operation, body).await.map_err(|error| {
            error.map_or_else(|error| error, |(kind, text)| self.away(format!("{kind}: {text}")))
        })
    }

    fn text(&self, answer: &Value, name: &str) -> Result<String, KmsError> {
        let text = answer[name].as_str().map(str::to_owned);
        text.ok_or_else(|| self.away(format!("expected '{name}' in its answer")))
    }
}

/// What a wrapped key is bound to; it stands in the service's audit log.
fn context(recording: RecordingId, id: KeyId) -> Value {
    json!({ "playhead:recording": recording.to_string(), "playhead:data-key": id.to_string() })
}

#[async_trait]
impl Kms for AwsKms {
    async fn keys(&self) -> Result<Vec<KeyInfo>, KmsError> {
        let answer = self.ask("DescribeKey", &json!({ "KeyId": self.key })).await?;
        let about = &answer["KeyMetadata"];
        let state = about["KeyState"].as_str().unwrap_or_default();
        if state != "Enabled" {
            return Err(self.away(format!("expected the state 'Enabled', got '{state}'")));
        }
        let created =
            about["CreationDate"].as_f64().map(|seconds| WallTime::from_micros((seconds * 1e6) as i64));
        Ok(vec![KeyInfo { id: self.text(about, "Arn")?, created_at: created, current: true }])
    }

    fn holds(&self, site_key: &str) -> bool {
        site_key.starts_with(PREFIX)
    }

    async fn wrap(&self, recording: RecordingId, key: &DataKey) -> Result<WrappedKey, KmsError> {
        let secret = STANDARD.encode(key.expose());
        let body = json!({ "KeyId": self.key, "Plaintext": secret, "EncryptionContext": context(recording, key.id()) });
        let answer = self.ask("Encrypt", &body).await?;
        Ok(WrappedKey {
            site_key: self.text(&answer, "KeyId")?,
            wrapped: self.text(&answer, "CiphertextBlob")?,
        })
    }

    async fn unwrap(
        &self,
        recording: RecordingId,
        id: KeyId,
        wrapped: &WrappedKey,
    ) -> Result<DataKey, KmsError> {
        let body = json!({
            "KeyId": wrapped.site_key, "CiphertextBlob": wrapped.wrapped, "EncryptionContext": context(recording, id),
        });
        let answer = self.call("Decrypt", &body).await.map_err(|error| match error {
            Ok((kind, text)) => KmsError::Refused { recording, reason: format!("{kind} {text}") },
            Err(error) => error,
        })?;
        let secret = Zeroizing::new(self.text(&answer, "Plaintext")?);
        let bytes = Zeroizing::new(STANDARD.decode(secret.as_str()).unwrap_or_default());
        let bytes = bytes.first_chunk::<32>().copied().filter(|_| bytes.len() == 32);
        let reason = "expected 32 bytes".to_owned();
        Ok(DataKey::new(id, bytes.ok_or(KmsError::Refused { recording, reason })?))
    }

    async fn rotate(&self) -> Result<String, KmsError> {
        Err(KmsError::NotHere(
            "AWS KMS renews the material of a key by itself; to go over to another key, make one there and run \
             'playhead key rotate --to awskms:KEY'"
                .into(),
        ))
    }

    async fn destroy(&self, _: &str) -> Result<(), KmsError> {
        Err(KmsError::NotHere("destroy the key in AWS KMS itself".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Bytes, http::StatusCode, routing::post};
    use std::sync::Mutex;

    fn connect(endpoint: &str) -> Result<AwsKms, KmsError> {
        let credentials = AmazonS3Builder::new().with_access_key_id("a").with_secret_access_key("b");
        AwsKms::connect("alias/x", "eu-1".into(), endpoint.into(), credentials)
    }

    /// A service that gives these answers, one after another.
    async fn service(answers: &[(u16, &'static str)]) -> AwsKms {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let answers = answers.to_vec();
        let left = std::sync::Arc::new(Mutex::new(answers.into_iter()));
        let answer = move |_: Bytes| {
            let (status, text) = left.lock().unwrap().next().unwrap_or((500, ""));
            async move { (StatusCode::from_u16(status).unwrap(), text) }
        };
        let router = Router::new().route("/", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        connect(&endpoint).unwrap()
    }

    #[tokio::test]
    async fn what_the_service_says_is_told_apart() {
        let id = RecordingId::from_bytes([1; 16]);
        let key = DataKey::new(KeyId::from_u128(1), [2; 32]);
        let wrapped = WrappedKey { site_key: "arn:x".into(), wrapped: "AA".into() };
        let wrong = r#"{"__type":"InvalidCiphertextException","message":"no"}"#;
        let error = service(&[(400, wrong)]).await.unwrap(id, key.id(), &wrapped).await.unwrap_err();
        assert!(matches!(error, KmsError::Refused { .. }), "{error}");
        let throttled = r#"{"__type":"com.amazonaws.kms#ThrottlingException","message":"slow down"}"#;
        let good = r#"{"KeyId":"arn:x","CiphertextBlob":"AA"}"#;
        assert_eq!(service(&[(400, throttled), (200, good)]).await.wrap(id, &key).await.unwrap(), wrapped);
        let error = service(&[(400, throttled), (503, "x")]).await.wrap(id, &key).await.unwrap_err();
        assert!(matches!(&error, KmsError::Away { reason, .. } if reason.contains("503")), "{error}");
        for nonsense in [r#"{"Plaintext":"AAAA"}"#, r#"{"Plaintext":7}"#, "{}", "no json"] {
            assert!(
                service(&[(200, nonsense); 2]).await.unwrap(id, key.id(), &wrapped).await.is_err(),
                "{nonsense}"
            );
        }
        let disabled = r#"{"KeyMetadata":{"Arn":"arn:x","KeyState":"PendingDeletion"}}"#;
        let error = service(&[(200, disabled)]).await.keys().await.unwrap_err().to_string();
        assert!(error.contains("PendingDeletion"), "{error}");
    }

    #[tokio::test]
    async fn nothing_is_sent_in_the_clear_and_nobody_waits_for_ever() {
        assert!(connect("http://kms.example").err().unwrap().to_string().contains("https"));
        assert!(connect("not an address").is_err());
        // Nobody listens there.
        let gone = connect("http://127.0.0.1:9").unwrap();
        assert!(matches!(gone.keys().await, Err(KmsError::Away { .. })));
    }
}
