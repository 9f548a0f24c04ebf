//! A real LDAP directory with a few people in it.

use crate::page::PATIENCE;
use anyhow::{Context as _, Result, ensure};
use playhead_testsuite::{Program, free_port, wait_for};
use std::{
    io::Write as _,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where its people are.
pub(crate) const BASE: &str = "dc=example,dc=org";
/// The account that may do everything, with the password `admin`.
pub(crate) const ADMIN: &str = "cn=admin,dc=example,dc=org";
const PROGRAM: &str = "/usr/sbin/slapd";

/// Anna is in Payroll, which is in Finance; Bert is in nothing.
const PEOPLE: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example

dn: uid=anna,dc=example,dc=org
objectClass: inetOrgPerson
uid: anna
cn: Anna Müller
sn: Müller
mail: anna@example.org

dn: uid=bert,dc=example,dc=org
objectClass: inetOrgPerson
uid: bert
cn: Bert Becker
sn: Becker
mail: bert@example.org

dn: cn=Payroll,dc=example,dc=org
objectClass: groupOfNames
cn: Payroll
member: uid=anna,dc=example,dc=org

dn: cn=Finance,dc=example,dc=org
objectClass: groupOfNames
cn: Finance
member: cn=Payroll,dc=example,dc=org
";

/// A directory that listens on loopback, without TLS.
pub(crate) struct Slapd {
    folder: PathBuf,
    port: u16,
    process: Option<Program>,
}

impl Slapd {
    /// Starts one; `None`, with a word about it, where slapd is not installed.
    pub(crate) async fn start(folder: &Path) -> Result<Option<Self>> {
        if !Path::new(PROGRAM).exists() {
            println!("not run: there is no {PROGRAM} (scripts/deps.sh test)");
            return Ok(None);
        }
        let data = folder.join("ldap");
        std::fs::create_dir(&data)?;
        let settings = format!(
            "include /etc/ldap/schema/core.schema\n\
             include /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\n\
             modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload memberof\n\
             database mdb\nmaxsize 16777216\ndbnosync\nsuffix {BASE}\nrootdn {ADMIN}\nrootpw admin\n\
             directory {}\nindex objectClass,uid,member eq\noverlay memberof\n",
            data.display()
        );
        std::fs::write(folder.join("slapd.conf"), settings)?;
        let mut slapd = Self { folder: folder.to_owned(), port: free_port()?, process: None };
        slapd.go().await?;
        slapd.fill()?;
        Ok(Some(slapd))
    }

    /// Address of it.
    pub(crate) fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// Ends it; its data stay.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.process.take().context("it does not run")?.stop(PATIENCE)?;
        Ok(())
    }

    /// Starts it, also again.
    pub(crate) async fn go(&mut self) -> Result<()> {
        let mut command = Command::new(PROGRAM);
        command.args(["-d", "0", "-h", &self.url(), "-f"]).arg(self.folder.join("slapd.conf"));
        self.process = Some(Program::start(&mut command, &self.folder.join("slapd.log"))?);
        let port = self.port;
        wait_for("slapd", PATIENCE, async || {
            Ok(TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(()))
        })
        .await
    }

    fn fill(&self) -> Result<()> {
        let mut command = Command::new("ldapmodify");
        command.args(["-a", "-x", "-H", &self.url(), "-D", ADMIN, "-w", "admin"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        child.stdin.take().context("no input")?.write_all(PEOPLE.as_bytes())?;
        ensure!(child.wait()?.success(), "ldapmodify failed");
        Ok(())
    }
}
