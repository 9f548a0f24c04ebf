//! What a person does on the pages.

use anyhow::{Context as _, Result};
use fantoccini::{Locator, elements::Element, key::Key};
use playhead_testsuite::{Browser, Stack, wait_for};
use serde_json::Value;
use std::time::Duration;

/// Nothing that is waited for takes as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The element at `css`, once it is there.
pub(crate) async fn one(browser: &Browser, css: &str) -> Result<Element> {
    let found = browser.tab.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
    found.with_context(|| format!("nothing at {css}"))
}

/// The button or link that is called so, once it is there.
pub(crate) async fn labelled(browser: &Browser, text: &str) -> Result<Element> {
    let path = format!("//*[self::button or self::a][normalize-space(.)='{text}' or @aria-label='{text}']");
    let found = browser.tab.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await;
    found.with_context(|| format!("nothing is called {text}"))
}

/// Presses keys where the focus is.
pub(crate) async fn press(browser: &Browser, keys: &str) -> Result<()> {
    Ok(browser.tab.active_element().await?.send_keys(keys).await?)
}

/// Waits until the text there holds `part`.
pub(crate) async fn says(browser: &Browser, css: &str, part: &str) -> Result<()> {
    let mut last = String::new();
    wait_for(&format!("'{part}' at {css}"), PATIENCE, async || {
        let script = "return document.querySelector(arguments[0])?.textContent ?? ''";
        let text = browser.tab.execute(script, vec![css.into()]).await?;
        last = text.as_str().unwrap_or_default().to_owned();
        Ok(last.contains(part).then_some(()))
    })
    .await
    .with_context(|| format!("it says '{last}'"))
}

/// Enters a name into a list of a rule, by keyboard alone.
pub(crate) async fn enter(browser: &Browser, list: &str, name: &str) -> Result<()> {
    let field = one(browser, &format!("[data-list={list}] input")).await?;
    field.send_keys(name).await?;
    press(browser, &char::from(Key::Enter).to_string()).await?;
    says(browser, "[data-testid=rule-words]", name).await
}

/// Presses the button of the dialog that does the deed.
pub(crate) async fn confirm(browser: &Browser) -> Result<()> {
    Ok(one(browser, "dialog button[type=submit]").await?.click().await?)
}

/// Begins a policy with one rule that records without telling: its form is open.
pub(crate) async fn begin(browser: &Browser, policy: &str, rule: &str) -> Result<()> {
    browser.open("/policies").await?;
    labelled(browser, "New policy").await?.click().await?;
    one(browser, ".rules").await?;
    // The name has the focus, and so has that of a new rule.
    press(browser, policy).await?;
    labelled(browser, "Add rule").await?.click().await?;
    one(browser, "[data-rule-name]").await?;
    press(browser, rule).await?;
    Ok(one(browser, "input[type=radio][value=record]").await?.click().await?)
}

/// The first running session that is as `wanted`.
pub(crate) async fn session(stack: &Stack, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    wait_for(&format!("a session: {what}"), PATIENCE, async || {
        let sessions = stack.api.get("/api/v1/sessions?state=running").await?;
        Ok(sessions["items"].as_array().into_iter().flatten().find(|session| wanted(session)).cloned())
    })
    .await
}

/// Waits until the policy of this name is the active one.
pub(crate) async fn active(stack: &Stack, name: &str) -> Result<()> {
    let sites = stack.api.get("/api/v1/sites").await?;
    let path = format!("/api/v1/sites/{}/policies", sites["items"][0]["id"].as_str().context("no site")?);
    wait_for(&format!("{name} to be active"), PATIENCE, async || {
        Ok((stack.api.get(&path).await?["active"]["name"] == name).then_some(()))
    })
    .await
}
