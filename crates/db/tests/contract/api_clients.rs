use super::{databases::Place, site::at};
use playhead_db::console::*;
use playhead_model::*;
use uuid::Uuid;

async fn store(place: &Place) -> Store {
    Store::open(&place.url).await.unwrap()
}

async fn client(store: &Store, name: &str) -> ApiClient {
    let client = ApiClient {
        id: Uuid::new_v4().to_string(),
        name: name.into(),
        secret_hash: "h".into(),
        permissions: vec![Permission::ViewSessions, Permission::ManageSessions],
        made_by: "admin".into(),
        created_at: at(0),
        expires_at: at(1_000_000),
        last_used: None,
    };
    assert!(store.create_api_client(&client).await.unwrap());
    client
}

fn token(client: &ApiClient, hash: String, from: i64, until: i64) -> ApiToken {
    ApiToken { hash, client: client.id.clone(), created_at: at(from), expires_at: at(until) }
}

pub(crate) async fn a_client_has_its_name_alone_and_goes_with_its_tokens(place: Place) {
    let store = store(&place).await;
    let (nightly, other) = (client(&store, "Nächtlich").await, client(&store, "other").await);
    let again = ApiClient { id: "x".into(), name: "NÄCHTLICH".into(), ..nightly.clone() };
    assert!(!store.create_api_client(&again).await.unwrap());
    assert_eq!(store.api_clients().await.unwrap(), [nightly.clone(), other.clone()]);
    assert_eq!(store.api_client(&nightly.id).await.unwrap(), Some(nightly.clone()));
    assert_eq!(store.api_client("x").await.unwrap(), None);

    let word = token(&nightly, "t1".into(), 0, 60);
    store.open_api_token(&word).await.unwrap();
    store.open_api_token(&token(&other, "t2".into(), 0, 60)).await.unwrap();
    store.note_api_client_use(&nightly.id, at(5)).await.unwrap();
    let used = ApiClient { last_used: Some(at(5)), ..nightly.clone() };
    assert_eq!(store.api_token("t1").await.unwrap(), Some((word, used)));

    assert_eq!(store.remove_api_client(&nightly.id).await.unwrap().as_deref(), Some("Nächtlich"));
    assert_eq!(store.remove_api_client(&nightly.id).await.unwrap(), None);
    assert_eq!(store.api_token("t1").await.unwrap(), None);
    assert!(store.api_token("t2").await.unwrap().is_some());
    assert!(store.open_api_token(&token(&nightly, "t3".into(), 0, 60)).await.is_err(), "nobody's");
    store.close().await;
}

pub(crate) async fn tokens_expire_and_the_oldest_gives_way(place: Place) {
    let store = store(&place).await;
    let busy = client(&store, "busy").await;
    let has = async |hash: &str| store.api_token(hash).await.unwrap().is_some();
    store.open_api_token(&token(&busy, "old".into(), 0, 10)).await.unwrap();
    store.open_api_token(&token(&busy, "new".into(), 10, 20)).await.unwrap();
    assert!(!has("old").await && has("new").await);
    assert_eq!(store.remove_expired_api_tokens(at(19)).await.unwrap(), 0);
    assert_eq!(store.remove_expired_api_tokens(at(20)).await.unwrap(), 1);
    for number in 0..1_001 {
        store.open_api_token(&token(&busy, format!("t{number}"), 30 + number, 9_000)).await.unwrap();
    }
    assert!(!has("t0").await && has("t1").await && has("t1000").await);
    store.close().await;
}

pub(crate) async fn the_customer_id_is_made_once(place: Place) {
    let store = store(&place).await;
    assert_eq!(store.customer_id("first").await.unwrap(), "first");
    assert_eq!(store.customer_id("second").await.unwrap(), "first");
    store.close().await;
}
