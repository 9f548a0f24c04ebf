//! `playhead directory`: directories of a console, on the console's own machine.

use crate::{
    front::Known,
    place::{ConsolePlace, answer},
};
use anyhow::Context as _;
use playhead_console::{DirectoryAdmin, DirectoryReport, TestReport};
use serde_json::{Map, Value, json};
use std::{
    fmt::Write as _,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Longest file with a secret, a password or certificates.
const MOST_FILE: u64 = 64 << 10;

/// Connect directories, by which people sign in and in which users and groups are looked up
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the directories
    List {
        #[command(flatten)]
        place: ConsolePlace,
    },
    /// Connect a directory
    Add(Box<Add>),
    /// Try a directory out, step by step. Ends with 1 when something does not work
    Test {
        /// The directory's name or id
        #[arg(value_name = "DIRECTORY")]
        directory: String,
        /// Somebody to look up
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// File with their password, to try it; `-` is standard input
        #[arg(long, value_name = "FILE", requires = "user")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        place: ConsolePlace,
    },
    /// Give a role to a user or group
    Give {
        /// The directory's name or id
        #[arg(value_name = "DIRECTORY")]
        directory: String,
        /// What gets the role
        #[arg(value_enum)]
        kind: Kind,
        /// Its name; of a user at an OpenID Connect provider, its `sub`
        #[arg(value_name = "NAME")]
        name: String,
        /// The role
        #[arg(value_enum)]
        role: GivenRole,
        #[command(flatten)]
        place: ConsolePlace,
    },
    /// Remove a directory, with the roles in it and the accounts of its people
    Remove {
        /// The directory's name or id
        #[arg(value_name = "DIRECTORY")]
        directory: String,
        #[command(flatten)]
        place: ConsolePlace,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Its name, which stands before the names of its people
    #[arg(value_name = "NAME")]
    name: String,
    /// A server of an LDAP directory, `ldaps://HOST` or `ldap://HOST`; may be repeated
    #[arg(
        long = "ldap",
        value_name = "SERVER",
        required_unless_present = "openid",
        conflicts_with = "openid"
    )]
    ldap: Vec<String>,
    /// What kind of LDAP directory it is
    #[arg(long, value_enum, default_value = "openldap")]
    preset: Preset,
    /// Account by which the console asks
    #[arg(long, value_name = "DN", requires = "ldap", requires = "secret_file")]
    bind_dn: Option<String>,
    /// Entry below which users are
    #[arg(long, value_name = "DN", required_unless_present = "openid")]
    user_base: Option<String>,
    /// Entry below which groups are [default: that of the users]
    #[arg(long, value_name = "DN", requires = "ldap")]
    group_base: Option<String>,
    /// Issuer of an OpenID Connect provider
    #[arg(long, value_name = "ADDRESS", requires = "client_id")]
    openid: Option<String>,
    /// The console's name at the provider
    #[arg(long, value_name = "ID", requires = "openid")]
    client_id: Option<String>,
    /// File with the account's password or the client's secret; `-` is standard input
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// File with the certificate authorities to trust there, PEM [default: the system's]
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// Another setting, by its name in the REST API, as `user_filter=(objectClass=person)` or `attributes.mail=email`; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,
    #[command(flatten)]
    place: ConsolePlace,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Preset {
    /// Active Directory and Samba.
    ActiveDirectory,
    /// OpenLDAP and others with `inetOrgPerson`.
    Openldap,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// One person.
    User,
    /// All in a group, also through other groups.
    Group,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum GivenRole {
    /// May do everything.
    Full,
    /// May find, play and download every recording.
    PrivilegedPlayer,
    /// May look at the configuration.
    ReadOnly,
}

/// Does what is asked and prints what came of it.
///
/// # Errors
/// No console was ever started with the folder; a directory that is not there or that will not do; a test that failed.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let place = match &args.command {
        Command::List { place }
        | Command::Test { place, .. }
        | Command::Give { place, .. }
        | Command::Remove { place, .. } => place,
        Command::Add(add) => &add.place,
    };
    let data = place.folder();
    let known = Known::read(&data)?;
    let admin = DirectoryAdmin::open(&data, place.database.as_deref(), &known.url).await?;
    let json = place.json;
    let done = act(args.command, json, &admin).await;
    admin.close().await;
    done
}

async fn act(command: Command, json: bool, admin: &DirectoryAdmin) -> anyhow::Result<()> {
    match command {
        Command::List { .. } => {
            let all = json!({ "directories": admin.list().await? });
            let text = admin.list().await?.iter().map(shown).collect::<Vec<_>>().join("\n");
            answer(json, &all, |_| {
                if text.is_empty() { "There are no directories.".into() } else { text.clone() }
            })
        }
        Command::Add(add) => {
            let secret = add.secret_file.as_deref().map(read).transpose()?;
            let made = admin.add(description(&add)?, secret).await?;
            answer(json, &made, |made| {
                let mut text = format!(
                    "{}\nNobody signs in by it before a role is given: playhead directory give",
                    shown(made)
                );
                if let Some(uri) = &made.redirect_uri {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "\nThe provider must allow this address to come back to: {uri}");
                }
                text
            })
        }
        Command::Test { directory, user, password_file, .. } => {
            let password = password_file.as_deref().map(read).transpose()?;
            let report = admin.test(&directory, user, password).await?;
            answer(json, &report, tried)?;
            anyhow::ensure!(report.works, "the directory does not work");
            Ok(())
        }
        Command::Give { directory, kind, name, role, .. } => {
            let (kind, role) = (value_name(&kind), value_name(&role));
            answer(json, &admin.give(&directory, &kind, &name, &role).await?, shown)
        }
        Command::Remove { directory, .. } => {
            answer(json, &admin.remove(&directory).await?, |removed| format!("Removed {}.", removed.name))
        }
    }
}

/// What a value is called on the command line, and in the API.
fn value_name(value: &impl clap::ValueEnum) -> String {
    // No value is hidden.
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The directory as the REST API describes it.
fn description(add: &Add) -> anyhow::Result<Value> {
    let mut settings = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            settings.insert(name.into(), value);
        }
    };
    let authority = add.authority.as_deref().map(read).transpose()?;
    put("authority", authority.map(Value::from));
    let kind = match &add.openid {
        Some(issuer) => {
            put("issuer", Some(issuer.as_str().into()));
            put("client_id", add.client_id.as_deref().map(Value::from));
            "openid"
        }
        None => {
            put("servers", Some(json!(add.ldap)));
            put("preset", Some(value_name(&add.preset).into()));
            put("bind_dn", add.bind_dn.as_deref().map(Value::from));
            put("user_base", add.user_base.as_deref().map(Value::from));
            put("group_base", add.group_base.as_deref().map(Value::from));
            "ldap"
        }
    };
    for (name, value) in &add.set {
        match name.split_once('.') {
            Some((outer, inner)) => {
                let object = settings.entry(outer).or_insert_with(|| json!({}));
                let object =
                    object.as_object_mut().with_context(|| format!("the setting {outer} has no parts"))?;
                object.insert(inner.into(), value.clone());
            }
            None => {
                settings.insert(name.clone(), value.clone());
            }
        }
    }
    Ok(json!({ "name": add.name, kind: settings }))
}

/// `NAME=VALUE`, where the value is JSON if it reads as a number, a truth value or a list, and a text otherwise.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let read =
        serde_json::from_str(value).ok().filter(|value: &Value| !value.is_object() && !value.is_null());
    Ok((name.to_owned(), read.unwrap_or_else(|| value.into())))
}

/// A file's text without the line break at its end.
fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let reading = if path == Path::new("-") {
        io::stdin().take(MOST_FILE).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(MOST_FILE).read_to_string(&mut text))
    };
    reading.with_context(|| format!("cannot read {}", path.display()))?;
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Ok(text)
}

fn shown(directory: &DirectoryReport) -> String {
    let off = if directory.enabled { "" } else { ", switched off" };
    format!(
        "{} ({}{off})\n    {}\n    {}, {} roles, {} accounts",
        directory.name,
        directory.kind,
        directory.id,
        directory.place.join(", "),
        directory.roles,
        directory.accounts
    )
}

fn tried(report: &TestReport) -> String {
    let mut text = String::new();
    for step in &report.steps {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<10} {:<9} {}", step.name, step.verdict, step.detail);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    fn described(line: &[&str]) -> Value {
        let args: Args = parse(line.iter().copied().chain(["--data", "/d"])).unwrap();
        let Command::Add(add) = args.command else { panic!("no add") };
        description(&add).unwrap()
    }

    #[test]
    fn flags_become_what_the_api_takes() {
        let line = ["add", "Corp", "--ldap", "ldaps://a", "--ldap", "ldaps://b", "--user-base", "dc=x"];
        let more = ["--set", "seconds=3", "--set", "attributes.mail=email", "--set", "user_filter=(uid=*)"];
        let described = described(&[&line[..], &more].concat());
        assert_eq!(described["ldap"]["servers"], json!(["ldaps://a", "ldaps://b"]));
        assert_eq!(described["ldap"]["attributes"], json!({ "mail": "email" }));
        assert_eq!(
            (&described["ldap"]["seconds"], &described["ldap"]["user_filter"]),
            (&json!(3), &json!("(uid=*)"))
        );
        let described = self::described(&["add", "Login", "--openid", "https://i", "--client-id", "c"]);
        assert_eq!(described["openid"], json!({ "issuer": "https://i", "client_id": "c" }));
        for bad in [
            &["add", "x", "--data", "/d"][..],
            &["add", "x", "--ldap", "a", "--data", "/d"],
            &[
                "add",
                "x",
                "--ldap",
                "a",
                "--user-base",
                "b",
                "--openid",
                "c",
                "--client-id",
                "d",
                "--data",
                "/d",
            ],
            &["add", "x", "--openid", "c", "--data", "/d"],
            &["test", "x", "--password-file", "p", "--data", "/d"],
        ] {
            assert!(parse::<Args>(bad.iter().copied()).is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_folder_without_a_console_is_said_to_be_one() {
        let folder = tempfile::tempdir().unwrap();
        let args: Args =
            parse(["list".into(), "--data".into(), folder.path().as_os_str().to_owned()]).unwrap();
        let error = run(args).await.unwrap_err().to_string();
        assert!(error.contains("no console was ever started"), "{error}");
    }
}
