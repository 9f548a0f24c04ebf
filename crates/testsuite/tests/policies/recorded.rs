//! A person's sessions before and after a policy that names them.

use crate::{
    page::{active, begin, confirm, enter, labelled, one, says, session},
    person::Person,
};
use anyhow::{Context as _, Result, ensure};
use playhead_testsuite::{Browser, Layout, Stack};

const NAME: &str = "phe2e-rule";

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_made_and_switched_on_has_a_persons_next_session_recorded() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(mut person) = Person::add(NAME, folder.path())? else { return Ok(()) };
    person.sign_in()?;
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let _agent = stack.agent_with("agent", &[], &["--sessions"], &[]).await?;
    let browser = Browser::start(folder.path(), &stack).await?;
    let row = format!("tr[data-user='{NAME}']");
    browser.open("/sessions").await?;
    says(&browser, &row, "Not recorded").await?;
    says(&browser, &row, "Do not record").await?;

    // Made by the editor, activated by the toggle, which tells what it means for the session that runs.
    begin(&browser, "Record her", "Hers").await?;
    enter(&browser, "users", NAME).await?;
    labelled(&browser, "Save").await?.click().await?;
    says(&browser, "h1", "Record her").await?;
    browser.open("/policies").await?;
    let toggle = "button[role=switch][aria-label='Active: Record her']";
    one(&browser, &format!("{toggle}[aria-checked=false]")).await?.click().await?;
    says(&browser, "[data-testid=outlook] [data-fate=later]", NAME).await?;
    confirm(&browser).await?;
    one(&browser, &format!("{toggle}[aria-checked=true]")).await?;
    active(&stack, "Record her").await?;

    // A recording without its beginning would be taken for a whole one: it is the next session that is recorded.
    browser.open("/sessions").await?;
    says(&browser, &row, "Not recorded").await?;
    let before = session(&stack, "the first", |session| session["user"] == NAME).await?;
    person.sign_out()?;
    person.sign_in()?;
    says(&browser, &row, "Hers (Record her)").await?;
    one(&browser, &format!("{row} .badge-live")).await?;
    let now = session(&stack, "the second", |session| session["user"] == NAME).await?;
    ensure!(now["id"] != before["id"], "{now}");
    let first = now["recording"]["recording"].as_str().context("nothing is recorded")?.to_owned();
    let listed = |id: &str, state: &str| format!("tr[data-id='{id}'][data-state={state}]");
    browser.open(&format!("/recordings?user={NAME}")).await?;
    says(&browser, &listed(&first, "live"), NAME).await?;

    // Stopped and started by its buttons.
    browser.open("/sessions").await?;
    let host = now["host"].as_str().context("no host")?;
    labelled(&browser, &format!("Stop recording {NAME} on {host}")).await?.click().await?;
    confirm(&browser).await?;
    says(&browser, &row, "By hand: admin").await?;
    says(&browser, &row, "Not recorded").await?;
    browser.open(&format!("/recordings?user={NAME}")).await?;
    says(&browser, &listed(&first, "finished"), NAME).await?;
    browser.open("/sessions").await?;
    labelled(&browser, &format!("Start recording {NAME} on {host}")).await?.click().await?;
    confirm(&browser).await?;
    one(&browser, &format!("{row} .badge-live")).await?;
    let again = session(&stack, "recorded again", |session| {
        session["user"] == NAME && session["recording"]["recording"].is_string()
    })
    .await?;
    let second = again["recording"]["recording"].as_str().context("nothing is recorded")?;
    ensure!(second != first && again["id"] == now["id"], "{again}");
    browser.open(&format!("/recordings?user={NAME}")).await?;
    says(&browser, &listed(second, "live"), NAME).await?;
    browser.close().await
}
