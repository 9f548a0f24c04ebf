//! Opening what an address names.

use super::{
    lock::Lock,
    settings::{LocationSettings, Place},
};
use crate::ServerError;
use async_trait::async_trait;
use http::{HeaderValue, Method, header};
use object_store::{
    ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
    },
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    local::LocalFileSystem,
    path::Path,
};
use std::{path::PathBuf, str::FromStr, sync::Arc, time::Duration};

/// How often a request to an object store is tried again at once, with growing pauses, before it counts as failed.
const RETRIES: usize = 5;
const CONNECT: Duration = Duration::from_secs(5);

/// An opened place: nothing was asked of it yet.
pub(super) struct Backend {
    pub(super) store: Arc<dyn ObjectStore>,
    /// Before every path.
    pub(super) prefix: Path,
    /// The folder, where it is one.
    pub(super) folder: Option<PathBuf>,
    /// What locks stored objects, where that is wanted.
    pub(super) lock: Option<Lock>,
}

impl Backend {
    pub(super) fn open(settings: &LocationSettings) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Storage { url: settings.shown(), source };
        let place = settings.place()?;
        let prefix = |text: &str| Path::parse(text).map_err(|error| failed(error.into()));
        let named = Names { settings, secrets: settings.secrets()? };
        match place {
            Place::Folder(folder) => {
                let prefix = Path::from_absolute_path(&folder).map_err(|error| failed(error.into()))?;
                // Synced: after a segment is stored its copy in the journal goes.
                let store = LocalFileSystem::new().with_fsync(true).with_automatic_cleanup(true);
                Ok(Self { store: Arc::new(store), prefix, folder: Some(folder), lock: None })
            }
            Place::S3 { bucket, prefix: text } => {
                let builder = if named.secrets.is_some() {
                    AmazonS3Builder::new()
                } else {
                    AmazonS3Builder::from_env()
                };
                let builder =
                    named.apply(builder, AmazonS3Builder::with_config, AmazonS3ConfigKey::from_str)?;
                // An address given in the environment for everything is kept; the options of one location are more exact.
                let builder = builder
                    .with_bucket_name(&bucket)
                    .with_retry(retry(settings))
                    .with_http_connector(CreateOnly);
                let builder = with_timeouts(builder, settings)?;
                let lock = settings.object_lock.map(|lock| (lock, Lock::endpoint(&builder, &bucket)));
                let store = builder.build().map_err(failed)?;
                let lock = lock
                    .map(|(lock, (endpoint, region, options))| {
                        let client = ReqwestConnector::default().connect(&options)?;
                        Ok(Lock::new(lock, endpoint, region, client, Arc::clone(store.credentials())))
                    })
                    .transpose()
                    .map_err(failed)?;
                Ok(Self { store: Arc::new(store), prefix: prefix(&text)?, folder: None, lock })
            }
            Place::Azure { container, prefix: text } => {
                let builder = if named.secrets.is_some() {
                    MicrosoftAzureBuilder::new()
                } else {
                    MicrosoftAzureBuilder::from_env()
                };
                let builder =
                    named.apply(builder, MicrosoftAzureBuilder::with_config, AzureConfigKey::from_str)?;
                let store = builder
                    .with_container_name(container)
                    .with_retry(retry(settings))
                    .build()
                    .map_err(failed)?;
                Ok(Self { store: Arc::new(store), prefix: prefix(&text)?, folder: None, lock: None })
            }
            Place::Google { bucket, prefix: text } => {
                let builder = if named.secrets.is_some() {
                    GoogleCloudStorageBuilder::new()
                } else {
                    GoogleCloudStorageBuilder::from_env()
                };
                let builder = named.apply(
                    builder,
                    GoogleCloudStorageBuilder::with_config,
                    GoogleConfigKey::from_str,
                )?;
                let store =
                    builder.with_bucket_name(bucket).with_retry(retry(settings)).build().map_err(failed)?;
                Ok(Self { store: Arc::new(store), prefix: prefix(&text)?, folder: None, lock: None })
            }
        }
    }
}

/// Settings by name, as object stores take them.
struct Names<'a> {
    settings: &'a LocationSettings,
    secrets: Option<Vec<(String, String)>>,
}

impl Names<'_> {
    fn apply<B, K>(
        &self,
        mut builder: B,
        with: fn(B, K, String) -> B,
        key: fn(&str) -> Result<K, object_store::Error>,
    ) -> Result<B, ServerError> {
        let secrets = self.secrets.iter().flatten().map(|(name, value)| (name, value));
        for (name, value) in secrets.chain(&self.settings.options) {
            let key = key(&name.to_lowercase())
                .map_err(|source| ServerError::Storage { url: self.settings.shown(), source })?;
            builder = with(builder, key, value.clone());
        }
        Ok(builder)
    }
}

fn retry(settings: &LocationSettings) -> RetryConfig {
    RetryConfig { max_retries: RETRIES, retry_timeout: settings.patience(), ..RetryConfig::default() }
}

fn with_timeouts(
    builder: AmazonS3Builder,
    settings: &LocationSettings,
) -> Result<AmazonS3Builder, ServerError> {
    use object_store::ClientConfigKey::{ConnectTimeout, Timeout};
    // By their names: other options of the client stay as they were given.
    let seconds = |time: Duration| format!("{} seconds", time.as_secs());
    let connect = CONNECT.min(settings.patience());
    Ok(builder
        // Longer than anybody here waits, who then says what was waited for.
        .with_config(AmazonS3ConfigKey::Client(Timeout), seconds(settings.patience() * 2))
        .with_config(AmazonS3ConfigKey::Client(ConnectTimeout), seconds(connect)))
}

/// Connects like everybody, and says of every upload in parts that it must not replace an object: the last request of such an upload
/// carries `If-None-Match: *`, which the library sends for uploads in one part only.
#[derive(Debug)]
struct CreateOnly;

#[derive(Debug)]
struct CreateOnlyService(HttpClient);

impl HttpConnector for CreateOnly {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(CreateOnlyService(client)))
    }
}

#[async_trait]
impl HttpService for CreateOnlyService {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let completes = request.method() == Method::POST
            && request.uri().query().is_some_and(|query| query.starts_with("uploadId="));
        if completes {
            request.headers_mut().insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        self.0.execute(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_place_opens_with_the_settings_it_takes() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("secrets");
        let open = |url: &str, text: &str, options: &[(&str, &str)]| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::write(&secrets, text).unwrap();
            std::fs::set_permissions(&secrets, std::fs::Permissions::from_mode(0o600)).unwrap();
            let options = options.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let credentials = Some(secrets.clone());
            Backend::open(&LocationSettings { credentials, options, ..LocationSettings::new(url) })
        };
        let aws = "AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n";
        let s3 = open("s3://b/x/y", aws, &[("endpoint", "http://127.0.0.1:9"), ("allow_http", "true")]);
        assert_eq!(s3.unwrap().prefix.as_ref(), "x/y");
        let azure = "AZURE_STORAGE_ACCOUNT_KEY=aGFsbG8=\n";
        open("az://c/x", azure, &[("account_name", "a")]).unwrap();
        let key = folder.path().join("google.json");
        std::fs::write(
            &key,
            r#"{"private_key":"k","private_key_id":"i","client_email":"e","gcs_base_url":"http://127.0.0.1:9","disable_oauth":true}"#,
        )
        .unwrap();
        open("gs://b", &format!("GOOGLE_SERVICE_ACCOUNT={}\n", key.display()), &[]).unwrap();
        let error = open("s3://b", aws, &[("colour", "red")]).err().unwrap().to_string();
        assert!(error.contains("s3://b") && error.contains("colour"), "{error}");
        let error = Backend::open(&LocationSettings::new("s3://bucket/a//b")).err().unwrap().to_string();
        assert!(error.contains("s3://bucket/a//b"), "{error}");
    }
}
