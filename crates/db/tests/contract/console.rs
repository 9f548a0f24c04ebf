use super::{databases::Place, site::at};
use playhead_db::console::*;
use playhead_model::*;
use uuid::Uuid;

async fn store(place: &Place) -> Store {
    Store::open(&place.url).await.unwrap()
}

fn account(name: &str) -> Account {
    Account {
        id: Uuid::new_v4().to_string(),
        name: name.into(),
        password: "$hash".into(),
        role: Role::ReadOnly,
        must_change_password: true,
    }
}

fn session(account: &Account, hash: &str, opened: i64) -> Session {
    Session {
        hash: hash.into(),
        account: account.id.clone(),
        created_at: at(opened),
        last_seen: at(opened),
        address: "::1".into(),
        browser: "Firefox".into(),
    }
}

fn site(name: &str) -> Site {
    Site {
        id: Uuid::new_v4().into(),
        database: None,
        name: name.into(),
        description: "x".into(),
        created_at: at(0),
    }
}

fn joining(secret: &str, key: &str, database: SiteId) -> Joining {
    Joining {
        secret_hash: secret.into(),
        server: Uuid::new_v4().into(),
        name: "rec".into(),
        public_key: key.into(),
        version: "1".into(),
        database,
    }
}

async fn token(store: &Store, secret: &str, site: Option<SiteId>, uses: u32) {
    let new = NewToken {
        secret_hash: secret.into(),
        site,
        uses,
        made_by: "admin".into(),
        created_at: at(0),
        expires_at: at(60),
    };
    store.create_token(&new).await.unwrap();
}

pub(crate) async fn an_account_has_its_name_alone(place: Place) {
    let store = store(&place).await;
    assert_eq!(store.accounts().await.unwrap(), 0);
    let anna = account("Ännä");
    assert!(store.create_account(&anna, at(0)).await.unwrap());
    assert!(!store.create_account(&account("äNNÄ"), at(0)).await.unwrap());
    assert_eq!(store.account("ÄNNÄ").await.unwrap(), Some(anna));
    assert_eq!(store.account("other").await.unwrap(), None);
    assert_eq!(store.accounts().await.unwrap(), 1);
    store.ping().await.unwrap();
}

pub(crate) async fn a_new_password_ends_all_sessions_of_its_account(place: Place) {
    let store = store(&place).await;
    let (anna, bert) = (account("anna"), account("bert"));
    for (person, hashes) in [(&anna, ["a1", "a2"]), (&bert, ["b1", "b2"])] {
        store.create_account(person, at(0)).await.unwrap();
        for hash in hashes {
            store.open_session(&session(person, hash, 0)).await.unwrap();
        }
    }
    store.note_session_use("a1", at(30)).await.unwrap();
    let (seen, whose) = store.session("a1").await.unwrap().unwrap();
    assert_eq!((seen.last_seen, seen.created_at, whose.name.as_str()), (at(30), at(0), "anna"));
    store.set_password(&anna.id, "$new", false, at(40)).await.unwrap();
    assert_eq!(store.session("a1").await.unwrap(), None);
    assert_eq!(store.session("a2").await.unwrap(), None);
    let changed = store.account("anna").await.unwrap().unwrap();
    assert_eq!((changed.password.as_str(), changed.must_change_password), ("$new", false));
    store.close_session("b1").await.unwrap();
    assert!(store.session("b1").await.unwrap().is_none() && store.session("b2").await.unwrap().is_some());
}

pub(crate) async fn sessions_are_listed_and_ended_by_account(place: Place) {
    let store = store(&place).await;
    let (anna, bert) = (account("anna"), account("bert"));
    for (person, hashes) in [(&anna, ["a1", "a2"]), (&bert, ["b1", "b2"])] {
        store.create_account(person, at(0)).await.unwrap();
        for hash in hashes {
            store.open_session(&session(person, hash, 0)).await.unwrap();
        }
    }
    store.note_session_use("a2", at(30)).await.unwrap();
    let used = Session { last_seen: at(30), ..session(&anna, "a2", 0) };
    assert_eq!(store.sessions_of(&anna.id).await.unwrap(), [used, session(&anna, "a1", 0)]);
    assert_eq!(store.close_sessions(&anna.id).await.unwrap(), 2);
    assert_eq!(store.sessions_of(&anna.id).await.unwrap(), []);
    assert_eq!(store.sessions_of(&bert.id).await.unwrap().len(), 2);
}

pub(crate) async fn what_has_expired_is_removed_and_nothing_else(place: Place) {
    let store = store(&place).await;
    let anna = account("anna");
    store.create_account(&anna, at(0)).await.unwrap();
    for (hash, opened, used) in [("old", 0, 100), ("idle", 50, 50), ("good", 50, 100)] {
        store.open_session(&session(&anna, hash, opened)).await.unwrap();
        store.note_session_use(hash, at(used)).await.unwrap();
    }
    token(&store, "t", None, 1).await;
    assert_eq!(store.remove_expired(at(50), at(100), at(60)).await.unwrap(), 2);
    assert!(store.session("good").await.unwrap().is_some());
    assert_eq!(store.remove_expired(at(50), at(100), at(61)).await.unwrap(), 1, "the token");
}

pub(crate) async fn site_names_are_unique_and_sites_with_servers_stay(place: Place) {
    let store = store(&place).await;
    let (mut oslo, rome) = (site("Oslo"), site("Rome"));
    assert!(store.create_site(&oslo).await.unwrap());
    assert!(store.create_site(&rome).await.unwrap());
    assert!(!store.create_site(&site("Oslo")).await.unwrap());
    oslo.name = "Rome".into();
    assert!(!store.change_site(&oslo).await.unwrap());
    oslo.name = "Bergen".into();
    assert!(store.change_site(&oslo).await.unwrap());
    assert_eq!(store.sites().await.unwrap(), [oslo.clone(), rome.clone()]);

    token(&store, "t", Some(oslo.id), 1).await;
    let database = SiteId::from_bytes([1; 16]);
    let joined = store.join(&joining("t", "k1", database), at(1)).await.unwrap();
    assert!(matches!(joined, JoinOutcome::Joined { site, .. } if site == oslo.id));
    assert_eq!(store.delete_site(oslo.id).await.unwrap(), Deleted::HasServers { count: 1 });
    let JoinOutcome::Joined { server, .. } = joined else { unreachable!("checked above") };
    assert!(store.remove_server(server).await.unwrap());
    assert!(!store.remove_server(server).await.unwrap());
    assert_eq!(store.server(server).await.unwrap(), None);
    assert_eq!(store.delete_site(oslo.id).await.unwrap(), Deleted::Gone);
    token(&store, "t2", Some(rome.id), 1).await;
    assert_eq!(store.delete_site(rome.id).await.unwrap(), Deleted::Gone);
    assert_eq!(store.delete_site(rome.id).await.unwrap(), Deleted::Unknown);
    let gone = store.join(&joining("t2", "k2", SiteId::from_bytes([2; 16])), at(1)).await.unwrap();
    assert_eq!(gone, JoinOutcome::UnknownToken, "tokens go with their site");
}

pub(crate) async fn a_server_in_the_same_process_stays_who_it_is(place: Place) {
    let store = store(&place).await;
    let database = SiteId::from_bytes([1; 16]);
    let server = |name: &str| Server {
        id: Uuid::new_v4().into(),
        site: database,
        name: name.into(),
        public_key: "in-process".into(),
        version: "1".into(),
        connected_at: None,
        last_seen: None,
    };
    store.create_site(&site("Home")).await.unwrap();
    let first = store.attach(database, &server("a"), "Home", at(0)).await.unwrap();
    let second = store.attach(database, &server("b"), "Other", at(1)).await.unwrap();
    assert_eq!((first.id, first.site), (second.id, second.site));
    let names: Vec<_> = store.sites().await.unwrap().into_iter().map(|site| site.name).collect();
    assert_eq!(names, ["Home", "Home 2"]);
    store.server_connected(first.id, at(2)).await.unwrap();
    store.server_seen(first.id, at(3)).await.unwrap();
    let known = store.server(first.id).await.unwrap().unwrap();
    assert_eq!((known.name.as_str(), known.connected_at, known.last_seen), ("b", Some(at(2)), Some(at(3))));
    store.server_disconnected(first.id, at(4)).await.unwrap();
    let known = &store.servers().await.unwrap()[0];
    assert_eq!((known.connected_at, known.last_seen), (None, Some(at(4))));
}

pub(crate) async fn a_join_token_is_for_its_site_time_and_uses(place: Place) {
    let store = store(&place).await;
    let (one, two) = (SiteId::from_bytes([1; 16]), SiteId::from_bytes([2; 16]));
    assert_eq!(store.join(&joining("?", "k", one), at(0)).await.unwrap(), JoinOutcome::UnknownToken);
    token(&store, "late", None, 1).await;
    let late = store.join(&joining("late", "k", one), at(60)).await.unwrap();
    assert_eq!(late, JoinOutcome::ExpiredToken { at: at(60) });

    token(&store, "t", None, 1).await;
    let JoinOutcome::Joined { server, site } = store.join(&joining("t", "k", one), at(59)).await.unwrap()
    else {
        panic!("not joined")
    };
    assert_eq!(site, one, "a site that appears by itself has its database's id");
    let again = store.join(&joining("t", "k", one), at(59)).await.unwrap();
    assert_eq!(again, JoinOutcome::Joined { server, site });
    assert_eq!(store.join(&joining("t", "k2", one), at(59)).await.unwrap(), JoinOutcome::UsedUpToken);

    let empty = self::site("Empty");
    store.create_site(&empty).await.unwrap();
    token(&store, "e", Some(empty.id), 9).await;
    let wrong = store.join(&joining("e", "k3", one), at(1)).await.unwrap();
    assert_eq!(wrong, JoinOutcome::AlreadyAt { name: "rec".into() });
    let right = store.join(&joining("e", "k3", two), at(1)).await.unwrap();
    assert!(matches!(right, JoinOutcome::Joined { site, .. } if site == empty.id));
    let third = store.join(&joining("e", "k4", SiteId::from_bytes([3; 16])), at(1)).await.unwrap();
    assert_eq!(third, JoinOutcome::OtherSite { name: "Empty".into() });
    assert_eq!(store.servers().await.unwrap().len(), 2);
}

pub(crate) async fn join_tokens_that_are_still_good_are_listed_and_can_be_revoked(place: Place) {
    let store = store(&place).await;
    let site = site("Oslo");
    store.create_site(&site).await.unwrap();
    token(&store, "a", None, 1).await;
    token(&store, "b", Some(site.id), 2).await;
    let listed = store.tokens(at(59)).await.unwrap();
    let shown = listed.iter().map(|token| (token.secret_hash.as_str(), token.site, token.uses_left));
    assert_eq!(shown.collect::<Vec<_>>(), [("a", None, 1), ("b", Some(site.id), 2)]);
    store.join(&joining("a", "k", SiteId::from_bytes([1; 16])), at(1)).await.unwrap();
    assert_eq!(store.tokens(at(1)).await.unwrap().len(), 1, "the other is used up");
    assert_eq!(store.tokens(at(60)).await.unwrap(), [], "expired");
    assert!(store.remove_token("b").await.unwrap());
    assert!(!store.remove_token("b").await.unwrap());
    let late = store.join(&joining("b", "k2", SiteId::from_bytes([2; 16])), at(1)).await.unwrap();
    assert_eq!(late, JoinOutcome::UnknownToken);
}

pub(crate) async fn the_last_use_of_a_join_token_is_given_once(place: Place) {
    let store = store(&place).await;
    token(&store, "t", None, 1).await;
    let tries: Vec<_> = (0..8)
        .map(|number| {
            let store = store.clone();
            let database = SiteId::from_bytes([number; 16]);
            tokio::spawn(
                async move { store.join(&joining("t", &format!("k{number}"), database), at(1)).await },
            )
        })
        .collect();
    let mut joined = 0;
    for one in tries {
        match one.await.unwrap().unwrap() {
            JoinOutcome::Joined { .. } => joined += 1,
            other => assert_eq!(other, JoinOutcome::UsedUpToken),
        }
    }
    assert_eq!(joined, 1);
    assert_eq!(store.sites().await.unwrap().len(), 1);
}
