use super::{super::tests::session, *};
use serde_json::json;

fn finds(search: serde_json::Value) -> bool {
    Search::read(search.to_string().as_bytes()).unwrap().finds(&session(1))
}

fn filter(property: &str, operator: &str, value: &str) -> bool {
    finds(json!({ "SearchFilters": [{ "Property": property, "Operator": operator, "Value": value }] }))
}

fn refused(search: serde_json::Value) -> String {
    Search::read(search.to_string().as_bytes()).unwrap_err().message().to_owned()
}

#[test]
fn a_site_is_asked_for_less_where_the_search_says_what_names_hold() {
    let one = |property: &str, operator: &str, value: &str| json!({ "Property": property, "Operator": operator, "Value": value });
    let parts = |search: serde_json::Value| {
        let search = Search::read(search.to_string().as_bytes()).unwrap();
        let (host, user) = search.parts();
        (host.map(str::to_owned), user.map(str::to_owned))
    };
    let of = |filter: serde_json::Value| parts(json!({ "SearchFilters": [filter] }));
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(of(one("MachineName", "Equals", "WS-1")), (some("ws-1"), None));
    assert_eq!(of(one("DnsName", "StartsWith", "w")), (some("w"), None));
    for name in ["Ada", "CORP\\ada", "ada@corp.example", "corp.example\\ada"] {
        assert_eq!(of(one("UserName", "Equals", name)), (None, some("ada")), "{name}");
        let found = Search::read(
            json!({ "SearchFilters": [one("UserName", "Equals", name)] }).to_string().as_bytes(),
        )
        .unwrap();
        let holds = session(1).user.contains(found.parts().1.unwrap());
        assert!(holds || !found.finds(&session(1)), "{name}");
    }
    for (property, operator, value) in [
        ("MachineName", "NotEquals", "ws-1"),
        ("MachineName", "Like", "ws*"),
        ("MachineName", "In", "ws-1,ws-2"),
        ("MachineName", "Equals", ""),
        ("UserName", "Contains", "corp"),
        ("UserName", "Equals", "CORP\\"),
        ("ClientName", "Equals", "x"),
    ] {
        assert_eq!(of(one(property, operator, value)), (None, None), "{property} {operator} {value}");
    }
    let both = [one("MachineName", "Equals", "a"), one("UserName", "Equals", "b")];
    let group = |joined: &str| json!({ "SearchFilterGroups": [{ "SearchFilters": both, "SearchFilterGroupType": joined }] });
    assert_eq!(parts(group("And")), (some("a"), some("b")));
    assert_eq!(parts(group("Or")), (None, None));
    assert_eq!(parts(json!({ "BasicSearchString": "ws-1" })), (None, None));
}

#[test]
fn operators_do_what_they_say() {
    // `session(1)`: user ada, CORP\ada, ada@corp.example, on host ws-1.
    for (property, operator, value, expected) in [
        ("UserName", "Equals", "corp\\ADA", true),
        ("CurrentUser", "equals", "ada", true),
        ("UserName", "NotEquals", "ada", false),
        ("UserName", "Equals", "ad", false),
        ("MachineName", "StartsWith", "WS-", true),
        ("MachineName", "NotStartsWith", "WS-", false),
        ("MachineName", "EndsWith", "-1", true),
        ("MachineName", "Contains", "s-", true),
        ("MachineName", "NotContains", "x", true),
        ("MachineName", "Like", "w*1", true),
        ("MachineName", "Like", "w?-1", true),
        ("MachineName", "Like", "w*2", false),
        ("MachineName", "Like", "ws", false),
        ("DeliveryGroup", "In", "sales, Office", true),
        ("DeliveryGroup", "NotIn", "sales,lab", true),
        ("SessionState", "Equals", "Active", true),
        ("SessionState", "Equals", "Disconnected", false),
        ("ClientIP", "StartsWith", "10.", true),
        ("ClientName", "Equals", "laptop-1", true),
        ("ClientVersion", "Any", "", false),
        ("ClientVersion", "None", "", true),
        ("ClientVersion", "Equals", "1", false),
        ("ClientVersion", "NotEquals", "1", true),
        ("Tags", "Any", "", true),
        ("StartTime", "GreaterThan", "2026-09-20T00:00:00Z", true),
        ("StartTime", "LessThan", "9/21/2026 2:13:20 PM", false),
        ("StartTime", "LessThanOrEquals", "9/21/2026 2:13:21 PM", true),
        ("StartTime", "Equals", "2026-09-21T14:13:21", true),
        ("StartTime", "GreaterThanOrEquals", "9/22/2026", false),
    ] {
        assert_eq!(filter(property, operator, value), expected, "{property} {operator} {value}");
    }
}

#[test]
fn groups_are_joined_as_they_say_and_everything_else_by_and() {
    let one = |value: &str| json!({ "Property": "MachineName", "Operator": "Equals", "Value": value });
    let group = |values: &[&str], joined: &str| {
        let filters: Vec<_> = values.iter().map(|value| one(value)).collect();
        json!({ "SearchFilters": filters, "SearchFilterGroupType": joined })
    };
    let of = |groups: &[serde_json::Value], joined: &str| {
        finds(json!({ "SearchFilterGroups": groups, "SearchFilterGroupsType": joined }))
    };
    assert!(of(&[group(&["ws-1", "ws-2"], "Or")], "And"));
    assert!(!of(&[group(&["ws-1", "ws-2"], "And")], "And"));
    assert!(of(&[group(&["ws-3"], "And"), group(&["ws-1"], "And")], "Or"));
    assert!(!of(&[group(&["ws-3"], "And"), group(&["ws-1"], "And")], "And"));
    let nested = json!({ "SearchFilterGroups": [group(&["ws-1"], "And")], "SearchFilterGroupsType": "And" });
    assert!(of(&[nested], "And"));
    assert!(of(&[], "Or"), "no group excludes nothing");
    assert!(finds(json!({ "BasicSearchString": "OFFI", "SearchFilters": null, "SearchFilterGroups": null })));
    assert!(!finds(json!({ "BasicSearchString": "nowhere" })));
    assert!(!finds(json!({ "BasicSearchString": "office", "SearchFilters": [one("ws-2")] })));
}

#[test]
fn what_makes_no_sense_is_named() {
    let filter = |property: &str, operator: &str, value: serde_json::Value| json!({ "SearchFilters": [{ "Property": property, "Operator": operator, "Value": value }] });
    assert!(refused(filter("Colour", "Equals", json!("x"))).contains("MachineName"));
    assert!(refused(filter("UserName", "Sounds", json!("x"))).contains("StartsWith"));
    assert!(refused(filter("UserName", "LessThan", json!("x"))).contains("times"));
    assert!(refused(filter("StartTime", "LessThan", json!("yesterday"))).contains("got 'yesterday'"));
    assert!(refused(filter("UserName", "Equals", json!(["x"]))).contains("In"));
    assert!(refused(filter("UserName", "Equals", json!("x".repeat(5_000)))).contains("256"));
    assert!(refused(json!({ "SearchFilter": [] })).contains("SearchFilter"));
    assert!(
        refused(json!({ "SortCriteria": { "Property": "UserName", "SortDirection": "Up" } }))
            .contains("Ascending")
    );
    let one = json!({ "Property": "UserName", "Operator": "Equals", "Value": "x" });
    assert!(refused(json!({ "SearchFilters": vec![one; 101] })).contains("100"));
    let mut deep = json!({ "SearchFilters": [] });
    for _ in 0..10 {
        deep = json!({ "SearchFilterGroups": [deep] });
    }
    assert!(refused(json!({ "SearchFilterGroups": [deep] })).contains("deep"));
    assert!(Search::read(b"").is_err() && Search::read(b"[").is_err());
}

#[test]
fn patterns_take_no_longer_than_they_should() {
    let text = "a".repeat(4_000);
    assert!(!is_like(&text, &format!("{}b", "*a".repeat(1_000))));
    assert!(is_like(&text, &"*a".repeat(1_000)));
    assert!(is_like("", "*") && !is_like("", "?") && is_like("ab", "*?b*"));
}
