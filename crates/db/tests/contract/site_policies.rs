use super::{databases::Place, site::at};
use playhead_db::site::PolicyChange;
use playhead_model::{
    Notice,
    policy::{Action, Policy, Rule, RuleOptions, RuleScope},
};

fn policy(name: &str, user: &str) -> Policy {
    let rule = Rule {
        name: "Them".into(),
        description: String::new(),
        action: Action::RecordWithNotice,
        options: RuleOptions::default(),
        scope: RuleScope { users: vec![user.into()], ..RuleScope::default() },
    };
    Policy { name: name.into(), description: "ours".into(), rules: vec![rule] }
}

pub(crate) async fn a_policy_keeps_its_versions(place: Place) {
    let store = place.site().await;
    let (first, second) = (policy("Finance", "ada"), policy("Money", "bob"));
    assert_eq!(store.add_policy("p", &first, "admin", at(1)).await.unwrap(), PolicyChange::Made);
    assert_eq!(store.change_policy("p", 1, &second, "eve", at(2)).await.unwrap(), PolicyChange::Made);
    assert_eq!(store.change_policy("p", 1, &first, "eve", at(3)).await.unwrap(), PolicyChange::Newer(2));
    assert_eq!(store.change_policy("q", 1, &first, "eve", at(3)).await.unwrap(), PolicyChange::Missing);
    let versions = store.policy_versions("p", 10).await.unwrap();
    let told: Vec<_> = versions.iter().map(|v| (v.version, v.changed_by.as_str(), v.changed_at)).collect();
    assert_eq!(told, [(2, "eve", at(2)), (1, "admin", at(1))]);
    assert_eq!((&versions[0].policy, &versions[1].policy), (&second, &first));
    assert_eq!(store.policy("p").await.unwrap(), Some(versions[0].clone()));
    assert_eq!(store.remove_policy("p", at(4)).await.unwrap(), PolicyChange::Made);
    assert_eq!(store.remove_policy("p", at(4)).await.unwrap(), PolicyChange::Missing);
    assert_eq!(store.policy("p").await.unwrap(), None);
    assert_eq!(store.policies().await.unwrap(), []);
    assert_eq!(store.policy_versions("p", 1).await.unwrap(), versions[..1]);
}

pub(crate) async fn no_two_policies_have_one_name(place: Place) {
    let store = place.site().await;
    assert_eq!(store.add_policy("a", &policy("One", "x"), "u", at(1)).await.unwrap(), PolicyChange::Made);
    assert_eq!(
        store.add_policy("b", &policy("ONE ", "x"), "u", at(1)).await.unwrap(),
        PolicyChange::NameTaken
    );
    let system = policy("do not RECORD", "x");
    assert_eq!(store.add_policy("b", &system, "u", at(1)).await.unwrap(), PolicyChange::NameTaken);
    assert_eq!(store.add_policy("b", &policy("Two", "x"), "u", at(1)).await.unwrap(), PolicyChange::Made);
    let same = policy("one", "y");
    assert_eq!(store.change_policy("b", 1, &same, "u", at(2)).await.unwrap(), PolicyChange::NameTaken);
    assert_eq!(store.change_policy("a", 1, &same, "u", at(2)).await.unwrap(), PolicyChange::Made);
    assert_eq!(store.remove_policy("a", at(3)).await.unwrap(), PolicyChange::Made);
    assert_eq!(store.change_policy("b", 1, &same, "u", at(4)).await.unwrap(), PolicyChange::Made);
    let names: Vec<_> = store.policies().await.unwrap().into_iter().map(|p| p.policy.name).collect();
    assert_eq!(names, ["one"]);
}

pub(crate) async fn one_policy_is_active_and_every_change_of_it_is_a_revision(place: Place) {
    let store = place.site().await;
    let none = store.active_policy().await.unwrap();
    assert_eq!((none.revision, none.id.as_str(), none.policy), (0, "do-not-record", None));
    assert_eq!(store.activate_policy("nothing", "u", at(1)).await.unwrap(), PolicyChange::Missing);
    store.add_policy("p", &policy("One", "x"), "u", at(1)).await.unwrap();
    assert_eq!(store.activate_policy("p", "u", at(2)).await.unwrap(), PolicyChange::Made);
    assert_eq!(store.activate_policy("p", "v", at(3)).await.unwrap(), PolicyChange::Made);
    let active = store.active_policy().await.unwrap();
    assert_eq!((active.revision, active.version, active.made), (1, 1, Some((at(2), "u".into()))));
    assert_eq!(active.policy, Some(policy("One", "x")));
    assert_eq!(store.remove_policy("p", at(4)).await.unwrap(), PolicyChange::Active);
    store.change_policy("p", 1, &policy("One", "y"), "w", at(5)).await.unwrap();
    let active = store.active_policy().await.unwrap();
    assert_eq!((active.revision, active.version), (2, 2));
    assert_eq!(active.policy, Some(policy("One", "y")));
    assert_eq!(store.activate_policy("record", "u", at(6)).await.unwrap(), PolicyChange::Made);
    let active = store.active_policy().await.unwrap();
    assert_eq!((active.revision, active.id.as_str(), active.policy), (3, "record", None));
    assert_eq!(store.remove_policy("p", at(7)).await.unwrap(), PolicyChange::Made);
}

pub(crate) async fn two_who_change_a_policy_at_once_do_not_overwrite_each_other(place: Place) {
    let store = place.site().await;
    store.add_policy("p", &policy("One", "x"), "u", at(1)).await.unwrap();
    let changes = ["a", "b", "c", "d"].map(|user| {
        let store = store.clone();
        async move { store.change_policy("p", 1, &policy("One", user), user, at(2)).await.unwrap() }
    });
    let [a, b, c, d] = changes;
    let done: [PolicyChange; 4] = tokio::join!(a, b, c, d).into();
    assert_eq!(done.iter().filter(|change| **change == PolicyChange::Made).count(), 1, "{done:?}");
    assert_eq!(done.iter().filter(|change| **change == PolicyChange::Newer(2)).count(), 3, "{done:?}");
    assert_eq!(store.policy_versions("p", 10).await.unwrap().len(), 2);
}

pub(crate) async fn what_users_are_told_is_a_revision(place: Place) {
    let store = place.site().await;
    assert_eq!((store.notices().await.unwrap(), store.policy_revision().await.unwrap()), (vec![], 0));
    let text = |text: &str| Notice {
        language: "de".into(),
        title: "Hinweis".into(),
        text: text.into(),
        consent: "?".into(),
    };
    store.set_notices(&[text("a")], "ada", at(1)).await.unwrap();
    store.add_policy("p", &policy("One", "x"), "u", at(2)).await.unwrap();
    store.activate_policy("p", "bob", at(3)).await.unwrap();
    store.set_notices(&[text("b")], "eve", at(4)).await.unwrap();
    assert_eq!(store.notices().await.unwrap(), [text("b")]);
    let active = store.active_policy().await.unwrap();
    assert_eq!((active.revision, active.id.as_str(), active.version), (3, "p", 1));
    assert_eq!(store.policy_revision().await.unwrap(), 3);
    let told: Vec<_> = store.policy_revisions(9).await.unwrap();
    let told: Vec<_> = told.iter().map(|r| (r.revision, r.name.as_str(), r.made_by.as_str())).collect();
    assert_eq!(told, [(3, "One", "eve"), (2, "One", "bob"), (1, "Do not record", "ada")]);
    assert_eq!(store.policy_version("p", 1).await.unwrap().unwrap().policy, policy("One", "x"));
    assert_eq!(store.policy_version("p", 2).await.unwrap(), None);
}
