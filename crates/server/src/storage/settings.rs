//! What a storage location is opened with. Secrets come from the environment or from a file of their own, never from here.

use crate::ServerError;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// How long a location may take to answer, unless set otherwise.
const PATIENCE_SECONDS: u32 = 30;
/// Parts of an option's name that mean a secret.
const SECRET: [&str; 6] = ["secret", "key", "token", "sas", "password", "credential"];

/// One storage location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocationSettings {
    /// The id that stands with every segment there: 1 to 40 of `a-z`, `0-9` and `-`. Made from the address when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A folder, `file:///path`, `s3://bucket/prefix`, `az://container/prefix` or `gs://bucket/prefix`.
    pub url: String,
    /// Whether nothing new is stored there.
    #[serde(default)]
    pub read_only: bool,
    /// A file with `NAME=VALUE` lines, such as `AWS_SECRET_ACCESS_KEY=…`; the environment when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<PathBuf>,
    /// Further settings of the object store that are no secrets, such as `endpoint` and `region`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// How long S3 must refuse to delete or change what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock: Option<ObjectLock>,
    /// MiB that must stay free on a folder's disk; that of the server when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_free_mib: Option<u64>,
    /// Seconds after which a location that does not answer counts as unreachable: 1 to 600, default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience_seconds: Option<u32>,
}

/// S3's object lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectLock {
    /// Who may lift it.
    pub mode: LockMode,
    /// For how many days from storing on: 1 to 36,500.
    pub days: u32,
}

/// Who may lift an object lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockMode {
    /// Whoever has a special permission.
    Governance,
    /// Nobody.
    Compliance,
}

impl LockMode {
    /// The name that S3 has for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

/// A settings file: `[[location]]` tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    location: Vec<LocationSettings>,
}

/// What an address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Folder(PathBuf),
    S3 { bucket: String, prefix: String },
    Azure { container: String, prefix: String },
    Google { bucket: String, prefix: String },
}

impl LocationSettings {
    /// The location at an address, with everything else by default.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            name: None,
            url: url.into(),
            read_only: false,
            credentials: None,
            options: BTreeMap::new(),
            object_lock: None,
            least_free_mib: None,
            patience_seconds: None,
        }
    }

    /// Reads the locations of a settings file.
    ///
    /// # Errors
    /// A file that cannot be read, or that says what makes no sense.
    pub fn read_file(path: &Path) -> Result<Vec<Self>, ServerError> {
        let text =
            fs::read_to_string(path).map_err(|source| ServerError::Data { path: path.to_owned(), source })?;
        let wrong = |reason: String| ServerError::Location { location: path.display().to_string(), reason };
        let File { location } = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if location.is_empty() {
            return Err(wrong("expected at least one [[location]]".into()));
        }
        for settings in &location {
            settings.place()?;
        }
        Ok(location)
    }

    /// Checks everything that can be checked without opening it, and tells what the address names.
    pub(super) fn place(&self) -> Result<Place, ServerError> {
        let wrong = |reason: String| ServerError::Location { location: self.shown(), reason };
        if let Some(name) = &self.name
            && !is_id(name)
        {
            return Err(wrong(format!("expected a name of 1 to 40 of a-z, 0-9 and '-', got '{name}'")));
        }
        if let Some(seconds) = self.patience_seconds.filter(|seconds| !(1..=600).contains(seconds)) {
            return Err(wrong(format!("expected patience_seconds between 1 and 600, got {seconds}")));
        }
        for name in self.options.keys() {
            if SECRET.iter().any(|part| name.to_lowercase().contains(part)) {
                return Err(wrong(format!(
                    "the option '{name}' is a secret: give it in the environment or in the file that 'credentials' names"
                )));
            }
        }
        let place = parse(&self.url).map_err(wrong)?;
        if let Some(lock) = self.object_lock {
            if !matches!(place, Place::S3 { .. }) {
                return Err(wrong("only S3 has an object lock: leave object_lock out".into()));
            }
            if !(1..=36_500).contains(&lock.days) {
                return Err(wrong(format!("expected an object lock of 1 to 36500 days, got {}", lock.days)));
            }
        }
        Ok(place)
    }

    /// The address for messages. Whatever it holds that looks like a secret is not shown.
    pub(super) fn shown(&self) -> String {
        match parse(&self.url) {
            Ok(_) => self.url.clone(),
            Err(_) => self.url.split_once("://").map_or("…", |(scheme, _)| scheme).to_owned() + "://…",
        }
    }

    /// How long it may take to answer.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_seconds.unwrap_or(PATIENCE_SECONDS).into())
    }

    /// The secrets of the credentials file, by their names in lower case; `None` when the environment has them.
    pub(super) fn secrets(&self) -> Result<Option<Vec<(String, String)>>, ServerError> {
        use std::os::unix::fs::PermissionsExt as _;
        let Some(path) = &self.credentials else { return Ok(None) };
        let unreadable = |source| ServerError::Data { path: path.clone(), source };
        let wrong = |reason: &str| ServerError::Content { path: path.clone(), reason: reason.into() };
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(wrong("everybody may read these credentials: take that right away with chmod o-rwx"));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|line| {
                let (name, value) = line.split_once('=').ok_or_else(|| wrong("expected NAME=VALUE lines"))?;
                Ok((name.trim().to_lowercase(), value.trim().trim_matches('"').to_owned()))
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

impl FromStr for LocationSettings {
    type Err = ServerError;

    fn from_str(url: &str) -> Result<Self, ServerError> {
        let settings = Self::new(url);
        settings.place()?;
        Ok(settings)
    }
}

/// Whether a text may be the id of a location.
pub(super) fn is_id(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn parse(url: &str) -> Result<Place, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return folder(url);
    };
    if scheme == "file" {
        return folder(rest);
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if rest.contains(['@', '?', '#', ':']) {
        return Err("an address has no user, secret, port or parameters: secrets belong in the environment or a credentials file, \
                    the rest in options"
            .into());
    }
    if bucket.is_empty() {
        return Err(format!("expected a bucket or container after {scheme}://"));
    }
    let (bucket, prefix) = (bucket.to_owned(), prefix.trim_end_matches('/').to_owned());
    match scheme {
        "s3" => Ok(Place::S3 { bucket, prefix }),
        "az" => Ok(Place::Azure { container: bucket, prefix }),
        "gs" => Ok(Place::Google { bucket, prefix }),
        _ => Err(format!(
            "expected a folder, file:///path, s3://bucket/prefix, az://container/prefix or gs://bucket/prefix, got '{scheme}://'"
        )),
    }
}

fn folder(path: &str) -> Result<Place, String> {
    if path.is_empty() {
        return Err("expected a folder".into());
    }
    std::path::absolute(path).map(Place::Folder).map_err(|error| format!("no such folder: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn addresses_are_told_apart_and_hold_no_secrets() {
        let place = |url: &str| LocationSettings::new(url).place().map_err(|error| error.to_string());
        assert_eq!(place("/a/b"), Ok(Place::Folder("/a/b".into())));
        assert_eq!(place("file:///mnt/nfs"), Ok(Place::Folder("/mnt/nfs".into())));
        let (bucket, prefix) = ("b".to_owned(), "x/y".to_owned());
        assert_eq!(place("s3://b/x/y/"), Ok(Place::S3 { bucket: bucket.clone(), prefix }));
        assert_eq!(place("az://b"), Ok(Place::Azure { container: bucket.clone(), prefix: String::new() }));
        assert_eq!(place("gs://b"), Ok(Place::Google { bucket, prefix: String::new() }));
        for wrong in
            ["", "file://", "s3://", "ftp://x/y", "s3://id:hush@b/x", "az://c?sig=hush", "s3://b:9000/x"]
        {
            let error = place(wrong).unwrap_err();
            assert!(
                error.starts_with("cannot use the storage location") && !error.contains("hush"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_file_tells_of_several_locations_and_nonsense_in_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("storage.toml");
        fs::write(
            &path,
            "[[location]]\nname = \"fast\"\nurl = \"/mnt/a\"\nleast_free_mib = 7\n[[location]]\nurl = \"s3://b/x\"\nread_only = true\n\
             object_lock = { mode = \"compliance\", days = 30 }\noptions = { endpoint = \"https://s3.example\", region = \"r\" }\n",
        )
        .unwrap();
        let read = LocationSettings::read_file(&path).unwrap();
        assert_eq!((read[0].name.as_deref(), read[0].least_free_mib), (Some("fast"), Some(7)));
        assert_eq!(read[1].object_lock, Some(ObjectLock { mode: LockMode::Compliance, days: 30 }));
        // What the database keeps is the same again.
        let json = serde_json::to_string(&read[1]).unwrap();
        assert_eq!(serde_json::from_str::<LocationSettings>(&json).unwrap(), read[1]);
        for (wrong, says) in [
            ("", "location"),
            ("location = []", "at least one"),
            ("[[location]]\nurl = \"/a\"\nsecret = \"x\"", "secret"),
            ("[[location]]\nurl = \"s3://b\"\noptions = { secret_access_key = \"x\" }", "is a secret"),
            ("[[location]]\nurl = \"/a\"\nname = \"A b\"", "a-z"),
            ("[[location]]\nurl = \"/a\"\nobject_lock = { mode = \"governance\", days = 3 }", "only S3"),
            (
                "[[location]]\nurl = \"s3://b\"\nobject_lock = { mode = \"governance\", days = 0 }",
                "1 to 36500",
            ),
            ("[[location]]\nurl = \"/a\"\npatience_seconds = 0", "patience_seconds"),
        ] {
            fs::write(&path, wrong).unwrap();
            let error = LocationSettings::read_file(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_example_can_be_used_as_it_is() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/storage.toml");
        let names = LocationSettings::read_file(&path).unwrap().into_iter().map(|location| location.name);
        assert_eq!(names.flatten().collect::<Vec<_>>(), ["fast", "archive"]);
    }

    #[test]
    fn credentials_are_read_unless_everybody_can_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        fs::write(&path, "# S3\nAWS_ACCESS_KEY_ID = id\n\nAWS_SECRET_ACCESS_KEY=\"a=b\"\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let mut settings = LocationSettings::new("s3://b");
        assert_eq!(settings.secrets().unwrap(), None);
        settings.credentials = Some(path.clone());
        let expected = [("aws_access_key_id", "id"), ("aws_secret_access_key", "a=b")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(settings.secrets().unwrap(), Some(expected));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(settings.secrets().unwrap_err().to_string().contains("chmod"));
    }
}
