//! A policy is made, tried and activated in a real browser, and a running session is stopped and started by hand.

use anyhow::{Context as _, Result, ensure};
use fantoccini::{Locator, elements::Element, key::Key};
use playhead_testsuite::{Browser, Display, Layout, Stack, wait_for};
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

async fn one(browser: &Browser, css: &str) -> Result<Element> {
    let found = browser.tab.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
    found.with_context(|| format!("nothing at {css}"))
}

async fn labelled(browser: &Browser, text: &str) -> Result<Element> {
    let path = format!("//*[self::button or self::a][normalize-space(.)='{text}' or @aria-label='{text}']");
    let found = browser.tab.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await;
    found.with_context(|| format!("nothing is called {text}"))
}

/// Presses keys where the focus is.
async fn press(browser: &Browser, keys: &str) -> Result<()> {
    Ok(browser.tab.active_element().await?.send_keys(keys).await?)
}

/// Waits until the text there holds `part`.
async fn says(browser: &Browser, css: &str, part: &str) -> Result<()> {
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
async fn enter(browser: &Browser, list: &str, name: &str) -> Result<()> {
    let field = one(browser, &format!("[data-list={list}] input")).await?;
    field.send_keys(name).await?;
    press(browser, &char::from(Key::Enter).to_string()).await?;
    says(browser, "[data-testid=rule-words]", name).await
}

async fn session(stack: &Stack, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    wait_for(&format!("a session: {what}"), PATIENCE, async || {
        let sessions = stack.api.get("/api/v1/sessions?state=running").await?;
        Ok(sessions["items"].as_array().into_iter().flatten().find(|session| wanted(session)).cloned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_made_tried_and_activated_and_a_session_stopped_and_started() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut display = Display::start(folder.path(), 640, 480, 9)?;
    display.act()?;
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let _agent = stack.agent("agent", &[display.name()]).await?;
    let running =
        session(&stack, "recorded", |session| session["recording"]["recording"].is_string()).await?;
    let text = |name: &str| running[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    let (id, user, host) = (text("id")?, text("user")?, text("host")?);
    let browser = Browser::start(folder.path(), &stack).await?;

    // Made: the name has the focus, and so has that of a new rule.
    browser.open("/policies").await?;
    says(&browser, "[data-testid=active-policy]", "Do not record").await?;
    labelled(&browser, "New policy").await?.click().await?;
    one(&browser, "[data-testid=nothing], .rules").await?;
    press(&browser, "Ours").await?;
    labelled(&browser, "Add rule").await?.click().await?;
    one(&browser, "[data-rule-name]").await?;
    press(&browser, "By host").await?;
    one(&browser, "input[type=radio][value=record]").await?.click().await?;
    enter(&browser, "hosts", &host).await?;
    let words = one(&browser, "[data-testid=rule-words]").await?.text().await?;
    ensure!(words == format!("Record without telling: on host {host}."), "{words}");

    // Tried before it is kept, with the session that runs.
    labelled(&browser, "Try it").await?.click().await?;
    let choice = one(&browser, &format!(".facts-form option[value='{id}']")).await?;
    choice.click().await?;
    one(&browser, "[data-testid=answer][data-action=record]").await?;
    one(&browser, "[data-rule='By host'][data-state=decides] [data-is=fits]").await?;

    // Kept, and made the active one.
    labelled(&browser, "Save").await?.click().await?;
    says(&browser, "h1", "Ours").await?;
    labelled(&browser, "Activate").await?.click().await?;
    one(&browser, "[data-testid=outlook] [data-fate]").await?;
    one(&browser, "dialog button[type=submit]").await?.click().await?;
    let site =
        stack.api.get("/api/v1/sites").await?["items"][0]["id"].as_str().context("no site")?.to_owned();
    wait_for("the policy to be active", PATIENCE, async || {
        let policies = stack.api.get(&format!("/api/v1/sites/{site}/policies")).await?;
        Ok((policies["active"]["name"] == "Ours").then_some(()))
    })
    .await?;
    browser.open("/policies").await?;
    says(&browser, "[data-testid=active-policy]", "Ours").await?;

    // A session that runs is stopped and started by hand.
    browser.open("/sessions").await?;
    let row = format!("tr[data-id='{id}']");
    says(&browser, &row, "Recorded").await?;
    labelled(&browser, &format!("Stop recording {user} on {host}")).await?.click().await?;
    one(&browser, "dialog button[type=submit]").await?.click().await?;
    says(&browser, &row, "Not recorded").await?;
    says(&browser, &row, "By hand: admin").await?;
    session(&stack, "stopped", |session| session["recording"]["recording"].is_null()).await?;
    labelled(&browser, &format!("Start recording {user} on {host}")).await?.click().await?;
    one(&browser, "dialog button[type=submit]").await?.click().await?;
    one(&browser, &format!("{row} .badge-live")).await?;
    let again = session(&stack, "started", |session| session["recording"]["recording"].is_string()).await?;
    ensure!(again["recording"]["decided"]["user"] == "admin", "{again}");
    browser.close().await
}
