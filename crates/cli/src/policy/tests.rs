use super::*;
use crate::testing::parse_at;
use playhead_server::{Server, Settings};

async fn asked(data: &Path, line: &[&str]) -> anyhow::Result<()> {
    run(parse_at(data, line)?).await
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const OURS: &str = r#"{"name": "Ours", "rules": [{"name": "Finance", "action": "record-with-notice",
    "scope": {"groups": ["Finance"], "addresses": ["10.0.0.0/8"]}}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_made_changed_tried_and_deleted_beside_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    assert!(asked(data, &["list"]).await.unwrap_err().to_string().contains("was a recording server"));
    Server::start(Settings::new(data)).await.unwrap().shutdown().await;
    let ours = write(data, "ours.json", OURS);
    asked(data, &["create", &ours]).await.unwrap();
    let refused = async |line: &[&str]| format!("{:#}", asked(data, line).await.unwrap_err());
    assert!(refused(&["create", &ours]).await.contains("choose another name"));
    asked(data, &["simulate", "--policy", "ours", "--group", "finance", "--address", "10.1.1.1"])
        .await
        .unwrap();
    asked(data, &["activate", "ours"]).await.unwrap();
    assert!(refused(&["delete", "Ours"]).await.contains("is active"));
    let other =
        write(data, "other.json", &OURS.replace("10.0.0.0/8", "fd00::/8").replace("\"Ours", "\"Theirs"));
    asked(data, &["change", "ours", &other]).await.unwrap();
    assert!(
        refused(&["change", "theirs", &other, "--version", "1"])
            .await
            .contains("command line) made version 2")
    );
    asked(data, &["versions", "theirs"]).await.unwrap();
    asked(data, &["diff", "theirs", "1", "2"]).await.unwrap();
    assert!(refused(&["diff", "theirs", "1", "9"]).await.contains("no version 9"));
    asked(data, &["duplicate", "theirs"]).await.unwrap();
    asked(data, &["duplicate", "record-audio", "--name", "Loud"]).await.unwrap();
    asked(data, &["activate", "record-lossy"]).await.unwrap();
    asked(data, &["history"]).await.unwrap();
    asked(data, &["delete", "theirs"]).await.unwrap();
    assert!(refused(&["show", "theirs"]).await.contains("no policy"));
    assert!(refused(&["change", "events", &ours]).await.contains("cannot be changed"));
    asked(data, &["simulate", "--draft", &ours]).await.unwrap();

    let admin = PolicyAdmin::open(data, None, "t").await.unwrap();
    let list = admin.list().await.unwrap();
    assert_eq!((list.active.id.as_str(), list.active.revision), ("record-lossy", 3));
    assert!(shown::list(&list).contains("* Record entire sessions with lossy pictures, without"));
    assert!(shown::one(&admin.one("events").await.unwrap()).contains("Every session: events alone"));
    let copy = list.items.iter().find(|policy| policy.name == "Theirs (copy)").unwrap();
    let copy = admin.one(&copy.id).await.unwrap();
    assert!(shown::one(&copy).contains("addresses: fd00::/8"), "{}", shown::one(&copy));
    let loud = list.items.iter().find(|policy| policy.name == "Loud").unwrap();
    let loud = shown::one(&admin.one(&loud.id).await.unwrap());
    assert!(loud.contains("with sound") && loud.contains("everyone: every session"), "{loud}");
    admin.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slips_in_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    Server::start(Settings::new(data)).await.unwrap().shutdown().await;
    let refused = async |text: &str| {
        let file = write(data, "p.json", text);
        format!("{:#}", asked(data, &["create", &file]).await.unwrap_err())
    };
    assert!(refused("{").await.contains("is not as expected"));
    assert!(refused(&OURS.replace("10.0.0.0/8", "10.0.0.1/8")).await.contains("write 10.0.0.0/8"));
    assert!(refused(&OURS.replace("groups", "group")).await.contains("unknown field `group`"));
    assert!(
        refused(r#"{"name": "x", "rules": [{"name": "r", "action": "record", "scope": {}}]}"#)
            .await
            .contains("names no sessions")
    );
    assert!(format!("{:#}", asked(data, &["create", "/nowhere"]).await.unwrap_err()).contains("cannot read"));
    let notices = write(
        data,
        "n.json",
        r#"{"items": [{"language": "de", "title": "Hinweis", "text": "t", "consent": "c"}]}"#,
    );
    asked(data, &["notices", "--set", &notices]).await.unwrap();
    let wrong =
        write(data, "n.json", r#"{"items": [{"language": "de", "title": "", "text": "t", "consent": "c"}]}"#);
    let error = format!("{:#}", asked(data, &["notices", "--set", &wrong]).await.unwrap_err());
    assert!(error.contains("expected a title of 1 to 100 characters"), "{error}");
    let admin = PolicyAdmin::open(data, None, "t").await.unwrap();
    assert!(shown::notices(&admin.notices().await.unwrap()).starts_with("de: Hinweis"));
    admin.close().await;
}
