//! Against a real slapd, and against servers that are none.

use super::{slapd::*, *};
use crate::directories::settings::{Nesting, tests::ldap};
use std::{
    fmt::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const BOTH: [PrincipalKind; 2] = [PrincipalKind::User, PrincipalKind::Group];

fn directory(settings: LdapSettings) -> Ldap {
    Ldap::new(settings, SECRET.into()).unwrap()
}

fn names(principals: &[Principal]) -> Vec<&str> {
    principals.iter().map(|one| one.name.as_str()).collect()
}

#[tokio::test]
async fn users_and_groups_are_found_by_a_part_of_their_name_over_every_kind_of_tls() {
    let Some(slapd) = Slapd::start() else { return };
    let plain = format!("ldap://127.0.0.1:{}", slapd.port);
    let tls = format!("ldaps://127.0.0.1:{}", slapd.tls_port);
    for settings in [
        slapd.settings(),
        LdapSettings { servers: vec![tls], ..slapd.settings() },
        LdapSettings { servers: vec![plain.clone()], plain: true, ..slapd.settings() },
        // The first one is down.
        LdapSettings { servers: vec!["ldap://127.0.0.1:1".into(), plain], ..slapd.settings() },
    ] {
        let found = directory(settings).search("müll", &BOTH, 20).await.unwrap();
        let [anna] = &found.principals[..] else { panic!("{found:?}") };
        assert_eq!((anna.name.as_str(), anna.label.as_str()), ("anna", "Anna Müller"));
        assert_eq!(anna.detail.as_deref(), Some("anna@example.org"));
        assert_eq!((anna.subject.len(), found.more), (36, false));
    }
    let directory = directory(slapd.settings());
    let found = directory.search("ring", &BOTH, 20).await.unwrap();
    assert_eq!(names(&found.principals), ["ring-a", "ring-b"]);
    let found = directory.search("example.org", &[PrincipalKind::User], 2).await.unwrap();
    assert_eq!((found.principals.len(), found.more), (2, true));
    for odd in ["*", ")(uid=*", "*)(objectClass=*", "\\2a"] {
        let found = directory.search(odd, &BOTH, 20).await.unwrap();
        assert!(names(&found.principals).iter().all(|name| *name == "carol"), "{odd}: {found:?}");
    }
    let found = directory.search("(contractor) *", &BOTH, 20).await.unwrap();
    assert_eq!(names(&found.principals), ["carol"]);
}

#[tokio::test]
async fn groups_within_groups_are_found_and_circles_end() {
    let Some(slapd) = Slapd::start() else { return };
    let groups = async |nesting: Nesting, login: &str| {
        let directory = directory(LdapSettings { nesting, ..slapd.settings() });
        let groups = directory.groups_of(login).await.unwrap();
        groups.map(|groups| names(&groups).into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let all = ["admins", "ring-a", "ring-b", "team, north"].map(str::to_owned);
    assert_eq!(groups(Nesting::Auto, "ANNA").await.unwrap(), all);
    assert_eq!(groups(Nesting::Direct, "anna").await.unwrap(), ["ring-a", "team, north"]);
    assert_eq!(groups(Nesting::Auto, "zoe").await.unwrap(), ["admins", "team, north"], "a comma in the name");
    assert_eq!(groups(Nesting::Auto, "carol").await.unwrap(), [""; 0]);
    assert_eq!(groups(Nesting::Auto, "nobody").await, None);
    assert_eq!(groups(Nesting::Auto, "*").await, None);

    let mut settings = slapd.settings();
    settings.attributes.member = "memberUid".into();
    let posix = directory(settings).groups_of("bert").await.unwrap().unwrap();
    assert_eq!(names(&posix), ["posix"]);
    // Groups that cannot be searched by their members are found by what members say themselves.
    let mut settings = slapd.settings();
    settings.attributes.member = "seeAlso".into();
    let told = directory(settings).groups_of("anna").await.unwrap().unwrap();
    assert_eq!(told.len(), 4, "{told:?}");
}

#[tokio::test]
async fn primary_groups_count_although_they_do_not_name_their_members() {
    let Some(slapd) = Slapd::start() else { return };
    // S-1-5-21-1-2-3-1104 and S-1-5-21-1-2-3-513.
    let sid = |last: &str| format!("objectSid:: AQUAAAAAAAUVAAAAAQAAAAIAAAADAAAA{last}\n");
    let (anna, users) = (sid("UAQAAA=="), sid("AQIAAA=="));
    slapd.add(&format!(
        "dn: cn=Domain Users,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\nobjectClass: securityPrincipal\n\
         cn: Domain Users\nmember: uid=nobody,dc=example,dc=org\n{users}\n\
         dn: cn=everybody,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: everybody\n\
         member: cn=Domain Users,ou=groups,dc=example,dc=org\n\n\
         dn: uid=anna,ou=people,dc=example,dc=org\nchangetype: modify\nadd: objectClass\nobjectClass: securityPrincipal\n-\n\
         add: primaryGroupID\nprimaryGroupID: 513\n-\nadd: objectSid\n{anna}"
    ));
    let groups = async |nesting: Nesting| {
        let directory = directory(LdapSettings { nesting, ..slapd.settings() });
        let groups = directory.groups_of("anna").await.unwrap().unwrap();
        names(&groups).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        groups(Nesting::Walk).await,
        ["Domain Users", "admins", "everybody", "ring-a", "ring-b", "team, north"]
    );
    assert_eq!(groups(Nesting::Direct).await, ["Domain Users", "ring-a", "team, north"]);
    // slapd does not know the rule for members of members, so the primary group alone is found by it.
    assert_eq!(groups(Nesting::Chain).await, ["Domain Users"]);

    slapd.add(
        "dn: uid=bert,ou=people,dc=example,dc=org\nchangetype: modify\nadd: objectClass\nobjectClass: posixAccount\n-\n\
         add: uidNumber\nuidNumber: 7\n-\nadd: gidNumber\ngidNumber: 8\n-\nadd: homeDirectory\nhomeDirectory: /\n\n\
         dn: cn=staff,ou=groups,dc=example,dc=org\nobjectClass: posixGroup\ncn: staff\ngidNumber: 8\n",
    );
    let mut settings = slapd.settings();
    settings.attributes.member = "memberUid".into();
    let posix = directory(settings).groups_of("bert").await.unwrap().unwrap();
    assert_eq!(names(&posix), ["posix", "staff"]);
}

#[tokio::test]
async fn a_server_that_breaks_off_is_left_for_the_next_one() {
    let Some(slapd) = Slapd::start() else { return };
    let unsteady = Unsteady::before(slapd.port, 1).await;
    let settings = LdapSettings {
        servers: [unsteady.port, slapd.port].map(|port| format!("ldap://127.0.0.1:{port}")).into(),
        plain: true,
        ..slapd.settings()
    };
    let reader = directory(settings);
    // It takes the account, and hangs up at the question.
    let found = reader.search("müll", &BOTH, 20).await.unwrap();
    assert_eq!((names(&found.principals), unsteady.count()), (vec!["anna"], 1));
    // From then on the other one is asked first.
    assert_eq!(reader.groups_of("anna").await.unwrap().unwrap().len(), 4);
    let subject = &found.principals[0].subject;
    assert_eq!(reader.person(subject).await.unwrap().unwrap().principal.name, "anna");
    let signed_in = reader.sign_in("anna", "anna's password").await.unwrap();
    assert!(matches!(signed_in, SignIn::Is(_)), "{signed_in:?}");
    assert_eq!(unsteady.count(), 1);

    // One that hangs up at once.
    let unsteady = Unsteady::before(slapd.port, 0).await;
    let settings = LdapSettings {
        servers: [unsteady.port, slapd.port].map(|port| format!("ldap://127.0.0.1:{port}")).into(),
        plain: true,
        ..slapd.settings()
    };
    let alone = LdapSettings { servers: settings.servers[..1].to_vec(), ..settings.clone() };
    let signed_in = directory(settings).sign_in("anna", "anna's password").await.unwrap();
    assert!(matches!(signed_in, SignIn::Is(_)), "{signed_in:?}");
    let error = directory(alone).groups_of("anna").await.unwrap_err().to_string();
    assert!(error.contains("broke"), "{error}");
}

/// A way to a directory that hangs up after some of its answers.
struct Unsteady {
    port: u16,
    connections: Arc<AtomicUsize>,
    passing: tokio::task::JoinHandle<()>,
}

impl Unsteady {
    async fn before(port: u16, answers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let passing = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let mut server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let mut buffer = [0; 4096];
                // Each question and each answer is one small write.
                for _ in 0..answers {
                    let length = client.read(&mut buffer).await.unwrap();
                    server.write_all(&buffer[..length]).await.unwrap();
                    let length = server.read(&mut buffer).await.unwrap();
                    client.write_all(&buffer[..length]).await.unwrap();
                }
                let _ = client.read(&mut buffer).await;
            }
        });
        Self { port: own, connections, passing }
    }

    fn count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Unsteady {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

#[tokio::test]
async fn groups_that_come_in_parts_are_all_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = LdapSettings {
        plain: true,
        nesting: Nesting::Walk,
        ..ldap(&format!("ldap://127.0.0.1:{}", listener.local_addr().unwrap().port()))
    };
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            let question = &buffer[..length];
            let long = usize::from(question[1] >= 0x80) * usize::from(question[1] & 0x7f);
            let id = question[4 + long];
            let asks = |text: &str| question.windows(text.len()).any(|part| part == text.as_bytes());
            let entry = match () {
                () if asks("memberOf;range=2-*") => Some(("uid=anna", "memberOf;range=2-2", vec!["g3"])),
                () if asks("memberOf;range=3-*") => Some(("uid=anna", "memberOf;range=3-*", vec!["g4"])),
                () if asks("memberOf;range=") => None,
                () if asks("uniqueMember") => None,
                () if asks("cn=g") => {
                    let at = question.windows(4).position(|part| part == b"cn=g").unwrap();
                    let name = std::str::from_utf8(&question[at..at + 5]).unwrap();
                    Some((name, "cn", vec![&name[3..]]))
                }
                () if asks("anna") => Some(("uid=anna", "memberOf;range=0-1", vec!["g1", "g2"])),
                () => None,
            };
            let mut answer = Vec::new();
            if let Some((name, attribute, values)) = entry {
                let dn = format!("{name},dc=example,dc=org");
                let is_group = attribute == "cn";
                let values = values.iter().map(|value| {
                    let value =
                        if is_group { (*value).to_owned() } else { format!("cn={value},dc=example,dc=org") };
                    element(4, &[value.as_bytes()])
                });
                let set = element(0x31, &[&values.collect::<Vec<_>>().concat()]);
                let attribute = element(0x30, &[&element(4, &[attribute.as_bytes()]), &set]);
                let uid =
                    element(0x30, &[&element(4, &[b"uid"]), &element(0x31, &[&element(4, &[b"anna"])])]);
                let entry =
                    element(0x64, &[&element(4, &[dn.as_bytes()]), &element(0x30, &[&attribute, &uid])]);
                answer.extend(element(0x30, &[&[2, 1, id], &entry]));
            }
            answer.extend(element(0x30, &[&[2, 1, id], &element(0x65, &[&[10, 1, 0, 4, 0, 4, 0]])]));
            stream.write_all(&answer).await.unwrap();
        }
    });
    let groups = directory(settings).groups_of("anna").await.unwrap().unwrap();
    assert_eq!(names(&groups), ["g1", "g2", "g3", "g4"]);
    serving.abort();
}

/// An element of a message, of less than 64 KiB.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82, length[0], length[1]], &content[..]].concat()
}

#[tokio::test]
async fn many_groups_come_in_pages_and_huge_ones_are_not_read() {
    let Some(slapd) = Slapd::start() else { return };
    let mut ldif = String::new();
    for number in 0..700 {
        write!(
            ldif,
            "dn: cn=g{number},ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: g{number}\n\
             member: uid=bert,ou=people,dc=example,dc=org\n\n"
        )
        .unwrap();
    }
    ldif.push_str("dn: cn=all,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: all\n");
    for number in 0..20_000 {
        writeln!(ldif, "member: uid=u{number},ou=people,dc=example,dc=org").unwrap();
    }
    ldif.push_str("member: uid=bert,ou=people,dc=example,dc=org\n");
    slapd.add(&ldif);
    let groups = directory(slapd.settings()).groups_of("bert").await.unwrap().unwrap();
    assert_eq!(groups.len(), 701);
}

#[tokio::test]
async fn people_sign_in_with_their_own_password_alone() {
    let Some(slapd) = Slapd::start() else { return };
    let directory = directory(slapd.settings());
    let SignIn::Is(person) = directory.sign_in("zoe", "zoe's password").await.unwrap() else { panic!() };
    assert_eq!((person.principal.label.as_str(), person.groups.len()), ("Groß, Zoë", 2));
    for (login, password) in [
        ("zoe", ""),
        ("zoe", "anna's password"),
        ("*", "zoe's password"),
        ("zoe)(uid=*", "zoe's password"),
        ("", "x"),
        ("nobody", "x"),
        ("reader", SECRET),
    ] {
        let refused = directory.sign_in(login, password).await.unwrap();
        assert!(matches!(refused, SignIn::Wrong), "{login} {password}: {refused:?}");
    }
    let subject = person.principal.subject;
    slapd.add("dn: cn=Groß\\, Zoë,ou=people,dc=example,dc=org\nchangetype: modrdn\nnewrdn: cn=Zoe\ndeleteoldrdn: 0\n");
    let renamed = directory.person(&subject).await.unwrap().unwrap();
    assert_eq!(renamed.principal.dn, "cn=Zoe,ou=people,dc=example,dc=org");
    assert_eq!(renamed.principal.subject, subject);
    slapd.add("dn: cn=Zoe,ou=people,dc=example,dc=org\nchangetype: delete\n");
    assert!(directory.person(&subject).await.unwrap().is_none());
    let by_name = "dn:uid=anna,ou=people,dc=example,dc=org";
    assert_eq!(directory.person(by_name).await.unwrap().unwrap().principal.name, "anna");
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let Some(slapd) = Slapd::start() else { return };
    let told = async |settings: LdapSettings, secret: &str| {
        let directory = Ldap::new(settings, secret.into()).unwrap();
        directory.search("a", &BOTH, 5).await.unwrap_err().to_string()
    };
    let other = certificate("127.0.0.1").0;
    let wrong = told(LdapSettings { authority: Some(other), ..slapd.settings() }, SECRET).await;
    assert!(wrong.contains("give that authority's certificate"), "{wrong}");
    let wrong = told(slapd.settings(), "wrong").await;
    assert!(wrong.contains("wrong name or password (49)") && wrong.contains(READER), "{wrong}");
    let wrong =
        told(LdapSettings { user_base: "ou=gone,dc=example,dc=org".into(), ..slapd.settings() }, SECRET)
            .await;
    assert!(wrong.contains("there is no such entry (32)") && wrong.contains("ou=gone"), "{wrong}");
    let wrong = told(LdapSettings { user_base: "no name".into(), ..slapd.settings() }, SECRET).await;
    assert!(wrong.contains("malformed (34)"), "{wrong}");
    let tls_to_plain = vec![format!("ldaps://127.0.0.1:{}", slapd.port)];
    let wrong = told(LdapSettings { servers: tls_to_plain, ..slapd.settings() }, SECRET).await;
    assert!(wrong.contains("127.0.0.1"), "{wrong}");
    let by_name = vec![format!("ldap://localhost:{}", slapd.port)];
    let wrong = told(LdapSettings { servers: by_name, ..slapd.settings() }, SECRET).await;
    assert!(wrong.contains("no TLS"), "another name than the certificate's: {wrong}");
    let wrong = told(LdapSettings { bind_dn: String::new(), ..slapd.settings() }, SECRET).await;
    assert!(wrong.contains("(32)") || wrong.contains("(50)"), "{wrong}");
    let ambiguous = LdapSettings { user_filter: "(objectClass=*)".into(), ..slapd.settings() };
    let ambiguous = {
        let mut settings = ambiguous;
        settings.attributes.user_name = "objectClass".into();
        directory(settings).groups_of("inetOrgPerson").await.unwrap_err().to_string()
    };
    assert!(ambiguous.contains("more than one user"), "{ambiguous}");
}

#[tokio::test]
async fn servers_that_are_none_cost_neither_time_nor_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers: [&[u8]; 5] = [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        // A message of 4 GiB.
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        // An answer to a question that nobody asked, and silence.
        &[0x30, 12, 2, 1, 99, 0x61, 7, 10, 1, 0, 4, 0, 4, 0],
        // A farewell.
        &[0x30, 12, 2, 1, 0, 0x78, 7, 10, 1, 52, 4, 0, 4, 0],
    ];
    let expected =
        ["broke", "not understood", "at most 4194304 bytes", "within 1 s", "busy or shutting down"];
    let serving = tokio::spawn(async move {
        let mut open = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
            if answer.is_empty() {
                drop(stream);
            } else {
                open.push(stream);
            }
        }
        // Open until the test has ended.
        std::future::pending::<()>().await;
    });
    for expected in expected {
        let settings = LdapSettings {
            plain: true,
            seconds: 1,
            bind_dn: READER.into(),
            ..ldap(&format!("ldap://127.0.0.1:{port}"))
        };
        let error = directory(settings).search("a", &BOTH, 5).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    serving.abort();
}

#[tokio::test]
async fn trying_out_says_step_by_step_what_works() {
    let Some(slapd) = Slapd::start() else { return };
    let steps = |steps: Vec<Step>| -> Vec<(&str, Verdict)> {
        steps.into_iter().map(|step| (step.name, step.verdict)).collect()
    };
    use Verdict::{Doubtful, Failed, Ok, Skipped};
    let good = directory(slapd.settings());
    let all = good.probe(Some("anna"), Some("anna's password")).await;
    assert!(all[5].detail.contains("The password is right. “anna” is in 4 groups"), "{all:?}");
    let names = ["connect", "tls", "bind", "users", "groups", "person"];
    assert_eq!(steps(all), names.map(|name| (name, Ok)));
    let [.., last] = &good.probe(Some("anna"), Some("x")).await[..] else { panic!() };
    assert_eq!(last.verdict, Failed);

    let mut settings = slapd.settings();
    settings.servers.insert(0, "ldap://127.0.0.1:1".into());
    settings.user_base = "ou=groups,dc=example,dc=org".into();
    settings.group_base = "ou=gone,dc=example,dc=org".into();
    let all = directory(settings).probe(None, None).await;
    assert!(all[4].detail.contains("Found 0 users below “ou=groups"), "{all:?}");
    let expected = [
        ("connect", Failed),
        ("connect", Ok),
        ("tls", Ok),
        ("bind", Ok),
        ("users", Doubtful),
        ("groups", Failed),
    ];
    assert_eq!(steps(all), expected);

    let wrong = Ldap::new(slapd.settings(), "wrong".into()).unwrap().probe(Some("anna"), None).await;
    let expected = [
        ("connect", Ok),
        ("tls", Ok),
        ("bind", Failed),
        ("users", Skipped),
        ("groups", Skipped),
        ("person", Skipped),
    ];
    assert_eq!(steps(wrong), expected);

    slapd.add("dn: ou=far,dc=example,dc=org\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\nref: ldap://127.0.0.1:1/ou=far,dc=example,dc=org\n");
    let all = good.probe(None, None).await;
    assert_eq!(all[3].verdict, Ok);
    assert!(all[3].detail.contains("such as anna, bert, zoe. References to other directories"), "{all:?}");
    let beside = good.search("müll", &BOTH, 20).await.unwrap();
    assert_eq!(beside.principals.len(), 1, "what lies in this directory is found beside a reference");
    let settings = LdapSettings { user_base: "ou=far,dc=example,dc=org".into(), ..slapd.settings() };
    let all = directory(settings).probe(None, None).await;
    assert!(all[3].verdict == Failed && all[3].detail.contains("references are not followed"), "{all:?}");
}
