//! Users and groups of a real directory, chosen for rules, and what becomes of that while the directory is away.

use crate::{
    page::{PATIENCE, begin, enter, labelled, one, press, says},
    slapd::{ADMIN, BASE, Slapd},
};
use anyhow::{Context as _, Result, ensure};
use fantoccini::{Locator, key::Key};
use playhead_testsuite::{Browser, Layout, Stack, wait_for};
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn rules_take_users_and_groups_from_a_directory_also_while_it_is_away() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(mut slapd) = Slapd::start(folder.path()).await? else { return Ok(()) };
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let ldap = json!({
        "servers": [slapd.url()], "plain": true, "bind_dn": ADMIN, "user_base": BASE, "sign_in": false,
    });
    let new = json!({ "name": "Corp", "ldap": ldap, "secret": "admin" });
    let (status, made) = stack.api.call(Method::POST, "/api/v1/directories", Some(new)).await?;
    ensure!(status == 201, "{status} {made}");
    let browser = Browser::start(folder.path(), &stack).await?;

    // Found by a part of what people call them, chosen, and in the rule by the name they sign in with.
    begin(&browser, "Money", "Those of Finance").await?;
    choose(&browser, "users", "becker", "bert").await?;
    choose(&browser, "groups", "fin", "Finance").await?;
    says(&browser, "[data-testid=rule-words]", "bert or members of Finance").await?;

    // Anna is of Finance by another group, as the directory says.
    labelled(&browser, "Try it").await?.click().await?;
    one(&browser, ".facts-form").await?;
    fact(&browser, "users", "anna").await?;
    one(&browser, "[data-testid=answer][data-action=disable]").await?;
    labelled(&browser, "Look up groups").await?.click().await?;
    one(&browser, "[data-testid=answer][data-action=record]").await?;
    says(&browser, ".asked", "Finance, Payroll").await?;
    says(&browser, "[data-rule='Those of Finance'][data-state=decides]", "Finance fits").await?;
    labelled(&browser, "Save").await?.click().await?;
    says(&browser, "h1", "Money").await?;

    // Away: what was seen before is offered and said to be so, and names can be typed all the same.
    slapd.stop()?;
    let page = browser.tab.current_url().await?.path().to_owned();
    browser.open(&page).await?;
    labelled(&browser, "Edit the rule Those of Finance").await?.click().await?;
    type_into(&browser, "groups", "fin").await?;
    offered(&browser, "Finance").await?;
    says(&browser, "[data-list=groups] ~ *", "Corp does not answer; shown is what was seen before.").await?;
    says(&browser, ".ant-select-item-option .entry:has(.quiet)", "seen ").await?;
    press(&browser, &char::from(Key::Escape).to_string()).await?;
    browser.open(&page).await?;
    labelled(&browser, "Edit the rule Those of Finance").await?.click().await?;
    type_into(&browser, "groups", "Auditors").await?;
    says(&browser, "[data-list=groups] ~ *", "Type the whole name").await?;
    press(&browser, &char::from(Key::Enter).to_string()).await?;
    says(&browser, "[data-testid=rule-words]", "members of Finance or Auditors").await?;
    enter(&browser, "users", "nobody-knows").await?;
    labelled(&browser, "Try it").await?.click().await?;
    fact(&browser, "users", "anna").await?;
    labelled(&browser, "Look up groups").await?.click().await?;
    says(&browser, "[data-testid=groups-away]", "these are the groups that were seen before").await?;
    one(&browser, "[data-testid=answer][data-action=record]").await?;
    labelled(&browser, "Save").await?.click().await?;
    says(&browser, ".policy-badges", "version 2").await?;

    // Back: asked again, and nothing is said to be old.
    slapd.go().await?;
    wait_for("the directory to answer", PATIENCE, async || {
        let found = stack.api.get("/api/v1/directories/search?q=fin&kind=group").await?;
        Ok((found["problems"] == json!([])).then_some(()))
    })
    .await?;
    browser.open(&page).await?;
    labelled(&browser, "Edit the rule Those of Finance").await?.click().await?;
    says(&browser, "[data-list=groups] ~ *", "Known to no directory and seen in no session: “Auditors”.")
        .await?;
    type_into(&browser, "users", "müll").await?;
    offered(&browser, "anna").await?;
    let told = browser.tab.find(Locator::Css(".ant-select-item-option .entry:has(.quiet)")).await?;
    let told = told.text().await?;
    ensure!(told.contains("Anna Müller · anna@example.org · Corp") && !told.contains("seen"), "{told}");
    browser.close().await
}

/// Types a part of a name into a list of the rule.
async fn type_into(browser: &Browser, list: &str, part: &str) -> Result<()> {
    Ok(one(browser, &format!("[data-list={list}] input")).await?.send_keys(part).await?)
}

/// Waits until the open list offers a name that a directory knows.
async fn offered(browser: &Browser, name: &str) -> Result<fantoccini::elements::Element> {
    let path = format!("//*[contains(@class, 'entry') and *[2]][*[1][.='{name}']]");
    let found = browser.tab.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await;
    found.with_context(|| format!("{name} is not offered"))
}

/// Finds a name by a part of what is known of it, and takes it from the list.
async fn choose(browser: &Browser, list: &str, part: &str, name: &str) -> Result<()> {
    type_into(browser, list, part).await?;
    offered(browser, name).await?.click().await?;
    says(browser, "[data-testid=rule-words]", name).await
}

/// Enters a name into a list of what the simulator is asked with.
async fn fact(browser: &Browser, list: &str, name: &str) -> Result<()> {
    type_into(browser, list, name).await?;
    press(browser, &char::from(Key::Enter).to_string()).await
}
