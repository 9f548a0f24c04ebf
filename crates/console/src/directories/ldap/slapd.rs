//! A real slapd for tests, with the memberOf overlay and a small company in it.

use crate::directories::settings::{LdapSettings, tests::ldap};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub(crate) const READER: &str = "cn=reader,dc=example,dc=org";
pub(crate) const SECRET: &str = "reader's secret";
const ADMIN: &str = "cn=admin,dc=example,dc=org";

/// A running directory. It ends when dropped.
pub(crate) struct Slapd {
    folder: TempDir,
    process: Child,
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
    /// The authority of its certificate, PEM.
    pub(crate) authority: String,
}

/// An authority and a certificate by it for `name`, with its key; all PEM.
pub(crate) fn certificate(name: &str) -> (String, String, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (authority.pem(), leaf.pem(), key.serialize_pem())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Slapd {
    /// Starts one; `None`, with a word about it, where slapd is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !Path::new("/usr/sbin/slapd").exists() {
            println!("NOT RUN: needs the Debian packages slapd and ldap-utils");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir(at("db")).unwrap();
        let (authority, certificate, key) = certificate("127.0.0.1");
        for (name, text) in [("ca.pem", &authority), ("cert.pem", &certificate), ("key.pem", &key)] {
            fs::write(at(name), text).unwrap();
        }
        let mut settings = String::new();
        for schema in ["core", "cosine", "inetorgperson", "nis"] {
            writeln!(settings, "include /etc/ldap/schema/{schema}.schema").unwrap();
        }
        // What an Active Directory knows primary groups by, as far as it is asked for.
        settings.push_str(
            "attributetype ( 1.3.6.1.4.1.4203.666.1.1 NAME 'objectSid' EQUALITY octetStringMatch \
             SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )\n\
             attributetype ( 1.3.6.1.4.1.4203.666.1.2 NAME 'primaryGroupID' EQUALITY integerMatch \
             SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )\n\
             objectclass ( 1.3.6.1.4.1.4203.666.1.3 NAME 'securityPrincipal' SUP top AUXILIARY \
             MAY ( objectSid $ primaryGroupID ) )\n",
        );
        let (ca, cert, key, db) = (at("ca.pem"), at("cert.pem"), at("key.pem"), at("db"));
        write!(
            settings,
            "modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload memberof\n\
             TLSCACertificateFile {ca}\nTLSCertificateFile {cert}\nTLSCertificateKeyFile {key}\n\
             sizelimit 1000\n\
             database mdb\nmaxsize 67108864\ndbnosync\nsuffix \"dc=example,dc=org\"\nrootdn \"{ADMIN}\"\nrootpw admin\n\
             directory {db}\nindex objectClass,uid,member,entryUUID eq\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by dn.exact=\"{READER}\" read by * none\n\
             overlay memberof\n"
        )
        .unwrap();
        fs::write(at("slapd.conf"), settings).unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let process = Self::spawn(folder.path(), port, tls_port);
        let mut slapd = Self { folder, process, port, tls_port, authority };
        slapd.wait();
        slapd.add(&company());
        Some(slapd)
    }

    fn spawn(folder: &Path, port: u16, tls_port: u16) -> Child {
        Command::new("/usr/sbin/slapd")
            .args(["-d", "0", "-f"])
            .arg(folder.join("slapd.conf"))
            .args(["-h", &format!("ldap://127.0.0.1:{port} ldaps://127.0.0.1:{tls_port}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn wait(&mut self) {
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.tls_port)).is_err() {
            assert!(
                self.process.try_wait().unwrap().is_none() && Instant::now() < until,
                "slapd does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it; the data stay.
    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again.
    pub(crate) fn start_again(&mut self) {
        self.process = Self::spawn(self.folder.path(), self.port, self.tls_port);
        self.wait();
    }

    /// Adds, changes or removes entries, given as LDIF.
    pub(crate) fn add(&self, ldif: &str) {
        let mut child = Command::new("ldapmodify")
            .args([
                "-a",
                "-x",
                "-M",
                "-H",
                &format!("ldap://127.0.0.1:{}", self.port),
                "-D",
                ADMIN,
                "-w",
                "admin",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "ldapmodify failed");
    }

    /// Settings for it, under StartTLS.
    pub(crate) fn settings(&self) -> LdapSettings {
        LdapSettings {
            authority: Some(self.authority.clone()),
            bind_dn: READER.into(),
            ..ldap(&format!("ldap://127.0.0.1:{}", self.port))
        }
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Anna is in `ring-a` and in `team, north`, which is in `admins`; `ring-a` and `ring-b` are in each other.
fn company() -> String {
    let mut ldif = String::from(
        "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\no: Example\n\n\
         dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\n\n\
         dn: ou=groups,dc=example,dc=org\nobjectClass: organizationalUnit\n\n\
         dn: cn=reader,dc=example,dc=org\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\n\
         userPassword: reader's secret\n\n",
    );
    let mut person = |dn: &str, uid: &str, cn: &str| {
        write!(
            ldif,
            "dn: {dn},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {cn}\nsn: {cn}\n\
             mail: {uid}@example.org\nuserPassword: {uid}'s password\n\n"
        )
        .unwrap();
    };
    person("uid=anna", "anna", "Anna Müller");
    person("uid=bert", "bert", "Bert Becker");
    person("cn=Groß\\, Zoë", "zoe", "Groß, Zoë");
    person("uid=carol", "carol", "Carol (Contractor) *");
    let mut group = |name: &str, members: &[&str]| {
        let cn = name.replace('\\', "");
        write!(ldif, "dn: cn={name},ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: {cn}\n")
            .unwrap();
        for member in members {
            writeln!(ldif, "member: {member},dc=example,dc=org").unwrap();
        }
        ldif.push('\n');
    };
    group("team\\, north", &["uid=anna,ou=people", "cn=Groß\\, Zoë,ou=people"]);
    group("admins", &["cn=team\\, north,ou=groups"]);
    group("ring-a", &["cn=ring-b,ou=groups", "uid=anna,ou=people"]);
    group("ring-b", &["cn=ring-a,ou=groups"]);
    group("nobody", &["uid=gone,ou=people"]);
    ldif.push_str(
        "dn: cn=posix,ou=groups,dc=example,dc=org\nobjectClass: posixGroup\ncn: posix\ngidNumber: 5\nmemberUid: bert\n",
    );
    // Names beyond ASCII stand in LDIF as they are: ldapmodify takes UTF-8.
    ldif
}
