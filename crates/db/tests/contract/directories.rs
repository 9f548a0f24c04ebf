use super::{databases::Place, site::at};
use playhead_db::console::*;
use playhead_model::*;
use uuid::Uuid;

async fn store(place: &Place) -> Store {
    Store::open(&place.url).await.unwrap()
}

async fn directory(store: &Store, name: &str) -> Directory {
    let directory = Directory {
        id: Uuid::new_v4().to_string(),
        name: name.into(),
        kind: DirectoryKind::Ldap,
        enabled: true,
        settings: "{}".into(),
        secret: Some("sealed".into()),
        version: 1,
        created_at: at(0),
        changed_at: at(0),
    };
    assert!(store.create_directory(&directory).await.unwrap());
    directory
}

async fn enter(store: &Store, directory: &Directory, subject: &str, login: &str, role: Role) -> Account {
    let entered = Entered {
        directory: directory.id.clone(),
        subject: subject.into(),
        name: format!("{}\\{login}", directory.name),
        role,
        groups: vec!["g1".into(), "g2".into()],
    };
    store.enter_by_directory(&entered, &Uuid::new_v4().to_string(), at(10)).await.unwrap()
}

async fn open(store: &Store, account: &Account, hash: &str, opened: i64) {
    let session = Session {
        hash: hash.into(),
        account: account.id.clone(),
        created_at: at(opened),
        last_seen: at(opened),
        address: "::1".into(),
        browser: String::new(),
    };
    store.open_session(&session).await.unwrap();
}

pub(crate) async fn a_directory_is_changed_by_one_at_a_time_and_has_its_name_alone(place: Place) {
    let store = store(&place).await;
    let mut corp = directory(&store, "Corp").await;
    let other = directory(&store, "Other").await;
    assert!(
        !store
            .create_directory(&Directory { id: "x".into(), name: "CORP".into(), ..corp.clone() })
            .await
            .unwrap()
    );
    let anna = enter(&store, &corp, "s1", "anna", Role::Full).await;

    let wanted = Directory { name: "Firma".into(), enabled: false, secret: None, ..corp.clone() };
    assert_eq!(store.change_directory(&wanted).await.unwrap(), Changed::Done);
    assert_eq!(store.change_directory(&wanted).await.unwrap(), Changed::Meanwhile(2));
    corp = store.directory(&corp.id).await.unwrap().unwrap();
    assert_eq!(
        (corp.name.as_str(), corp.enabled, corp.secret.as_deref(), corp.version),
        ("Firma", false, None, 2)
    );
    let renamed = store.directory_account(&anna.id).await.unwrap().unwrap();
    assert_eq!(renamed.name, "Firma\\anna", "accounts go by their directory's name");

    let taken = Directory { name: "fIRMA".into(), ..other.clone() };
    assert_eq!(store.change_directory(&taken).await.unwrap(), Changed::NameTaken);
    let gone = Directory { id: "none".into(), ..other };
    assert_eq!(store.change_directory(&gone).await.unwrap(), Changed::Gone);
    let names: Vec<String> = store.directories().await.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["Firma", "Other"]);
    store.close().await;
}

pub(crate) async fn a_role_is_held_once_and_taken_with_the_directory(place: Place) {
    let store = store(&place).await;
    let corp = directory(&store, "Corp").await;
    let give = async |subject: &str, role: Role| {
        let new = DirectoryRole {
            id: Uuid::new_v4().to_string(),
            directory: corp.id.clone(),
            kind: PrincipalKind::Group,
            subject: subject.into(),
            label: "Admins".into(),
            role,
            made_by: "admin".into(),
            created_at: at(1),
        };
        store.give_directory_role(&new).await.unwrap()
    };
    let first = give("g1", Role::ReadOnly).await;
    let again = give("g1", Role::Full).await;
    assert_eq!((first.id.as_str(), again.role), (again.id.as_str(), Role::Full));
    give("g2", Role::ReadOnly).await;
    assert_eq!(store.directory_roles(&corp.id).await.unwrap().len(), 2);
    assert_eq!(store.take_directory_role(&first.id).await.unwrap().unwrap().subject, "g1");
    assert_eq!(store.take_directory_role(&first.id).await.unwrap(), None);

    let anna = enter(&store, &corp, "s1", "anna", Role::Full).await;
    open(&store, &anna, "h1", 10).await;
    assert_eq!(store.remove_directory(&corp.id).await.unwrap(), Some(vec![anna.id.clone()]));
    assert_eq!(store.remove_directory(&corp.id).await.unwrap(), None);
    assert!(
        store.session("h1").await.unwrap().is_none() && store.account("Corp\\anna").await.unwrap().is_none()
    );
    assert!(store.directory_roles(&corp.id).await.unwrap().is_empty());
    store.close().await;
}

pub(crate) async fn who_comes_in_stays_who_they_are_until_the_name_is_given_to_another(place: Place) {
    let store = store(&place).await;
    let corp = directory(&store, "Corp").await;
    let anna = enter(&store, &corp, "s1", "anna", Role::Full).await;
    let married = enter(&store, &corp, "s1", "anna.m", Role::ReadOnly).await;
    assert_eq!((&married.id, married.role), (&anna.id, Role::ReadOnly));
    assert_eq!(store.account("corp\\ANNA.M").await.unwrap().unwrap().role, Role::ReadOnly);
    assert!(store.account("Corp\\anna").await.unwrap().is_none());
    open(&store, &married, "h1", 10).await;
    let other = enter(&store, &corp, "s2", "anna.m", Role::Full).await;
    assert_ne!(other.id, anna.id);
    assert!(store.session("h1").await.unwrap().is_none(), "the sessions were somebody else's");
    store.close().await;
}

pub(crate) async fn an_account_is_checked_refused_and_let_in_again(place: Place) {
    let store = store(&place).await;
    let corp = directory(&store, "Corp").await;
    let anna = enter(&store, &corp, "s1", "anna", Role::Full).await;
    enter(&store, &corp, "s2", "bert", Role::Full).await;
    open(&store, &anna, "old", 10).await;
    open(&store, &anna, "new", 20).await;
    let due = async |before| store.directory_accounts_to_check(&corp.id, at(before), 9).await.unwrap();
    assert_eq!(due(10).await, []);
    let [found] = due(11).await.try_into().unwrap();
    assert_eq!((found.subject.as_str(), found.groups.len(), found.refused), ("s1", 2, None));
    let groups = ["g9".to_owned()];
    store.confirm_directory_account(&anna.id, Role::ReadOnly, Some((&groups, at(30)))).await.unwrap();
    assert_eq!(due(30).await, []);
    assert_eq!(store.session("new").await.unwrap().unwrap().1.role, Role::ReadOnly);
    assert_eq!(store.close_old_sessions(&anna.id, at(15)).await.unwrap(), ["old"]);
    store.refuse_directory_account(&anna.id, "gone", at(40)).await.unwrap();
    assert!(store.session("new").await.unwrap().is_none());
    let refused = store.directory_account(&anna.id).await.unwrap().unwrap();
    assert_eq!((refused.refused.as_deref(), refused.groups), (Some("gone"), vec!["g9".to_owned()]));
    enter(&store, &corp, "s1", "anna", Role::Full).await;
    assert_eq!(store.directory_account(&anna.id).await.unwrap().unwrap().refused, None);
    assert_eq!(store.directory_accounts(&corp.id).await.unwrap().len(), 2);
    store.close().await;
}

pub(crate) async fn what_a_directory_answered_is_remembered_within_bounds(place: Place) {
    let store = store(&place).await;
    let corp = directory(&store, "Corp").await;
    let person = |subject: &str, name: &str, seen: i64| SeenPrincipal {
        kind: PrincipalKind::User,
        subject: subject.into(),
        name: name.into(),
        label: name.into(),
        detail: None,
        dn: format!("uid={name}"),
        seen_at: at(seen),
    };
    let limits = |renew: i64| MemoryLimits { most: 3, since: at(5), renew: at(renew) };
    let keep = async |seen: &[SeenPrincipal], renew: i64| {
        store.remember_principals(&corp, seen, limits(renew)).await.unwrap();
    };
    let known = async || {
        let all = store.remembered_principals(&corp.id, 9).await.unwrap();
        all.into_iter().map(|one| (one.name, one.seen_at)).collect::<Vec<_>>()
    };
    keep(&[person("s1", "anna", 10), person("s2", "bert", 11)], 0).await;
    // What is the same is not written anew at once, what differs is.
    keep(&[person("s1", "anna", 20), person("s2", "bertram", 21)], 10).await;
    assert_eq!(known().await, [("bertram".into(), at(21)), ("anna".into(), at(10))]);
    keep(&[person("s1", "anna", 22)], 11).await;
    assert_eq!(known().await, [("anna".into(), at(22)), ("bertram".into(), at(21))]);
    let detailed = SeenPrincipal { detail: Some("a@example.org".into()), ..person("s1", "anna", 23) };
    keep(std::slice::from_ref(&detailed), 0).await;
    assert_eq!(store.remembered_principals(&corp.id, 1).await.unwrap(), [detailed]);
    keep(&[person("s3", "carol", 4), person("s4", "dora", 30), person("s5", "eve", 31)], 0).await;
    let names: Vec<String> = known().await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["eve", "dora", "anna"], "bertram is the fourth, and carol was seen too long ago");

    for (login, seen) in [("Anna", 10), ("bert", 11), ("carol", 12), ("dora", 13)] {
        store.remember_groups(&corp, login, "[]", at(seen), limits(0)).await.unwrap();
    }
    assert_eq!(store.remembered_groups(&corp.id, "anna").await.unwrap(), None);
    assert_eq!(store.remembered_groups(&corp.id, "BERT").await.unwrap(), Some(("[]".into(), at(11))));
    store.remember_groups(&corp, "bert", "[1]", at(14), limits(0)).await.unwrap();
    assert_eq!(store.remembered_groups(&corp.id, "bert").await.unwrap(), Some(("[1]".into(), at(14))));

    let other = directory(&store, "Other").await;
    store.remember_groups(&other, "anna", "[2]", at(15), limits(0)).await.unwrap();
    store.forget_answers(&corp.id).await.unwrap();
    assert!(known().await.is_empty());
    assert_eq!(store.remembered_groups(&corp.id, "bert").await.unwrap(), None);
    assert_eq!(store.change_directory(&corp).await.unwrap(), Changed::Done);
    keep(&[person("s1", "anna", 40)], 0).await;
    store.remember_groups(&corp, "anna", "[]", at(40), limits(0)).await.unwrap();
    assert!(known().await.is_empty(), "it was changed meanwhile: what it answered is of another one");
    assert_eq!(store.remembered_groups(&corp.id, "anna").await.unwrap(), None);
    store.remove_directory(&other.id).await.unwrap();
    assert_eq!(store.remembered_groups(&other.id, "anna").await.unwrap(), None);
    store.close().await;
}

pub(crate) async fn a_text_that_cannot_be_kept_is_the_fault_of_who_sent_it(place: Place) {
    let store = store(&place).await;
    // SQLite takes it, and finds nobody.
    match store.account("a\0b").await {
        Ok(found) => assert_eq!(found, None),
        Err(error) => assert!(error.is_unfit_text(), "{error}"),
    }
    let error = store.give_directory_role(&role("no such directory")).await.unwrap_err();
    assert!(!error.is_unfit_text(), "{error}");
    store.close().await;
}

fn role(directory: &str) -> DirectoryRole {
    DirectoryRole {
        id: Uuid::new_v4().to_string(),
        directory: directory.into(),
        kind: PrincipalKind::Group,
        subject: "g".into(),
        label: "g".into(),
        role: Role::Full,
        made_by: "admin".into(),
        created_at: at(1),
    }
}
