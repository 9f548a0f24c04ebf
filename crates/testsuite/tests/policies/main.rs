//! What the pages about policies, sessions and directories do, in a real browser with real sessions.

#![allow(clippy::print_stdout, reason = "what is not run is told")]

mod page;
mod person;
mod pickers;
mod recorded;
mod slapd;

use anyhow::{Context as _, Result, ensure};
use page::{active, begin, confirm, enter, labelled, one, says, session};
use playhead_testsuite::{Browser, Display, Layout, Stack};
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

    browser.open("/policies").await?;
    says(&browser, "[data-testid=active-policy]", "Do not record").await?;
    begin(&browser, "Ours", "By host").await?;
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
    confirm(&browser).await?;
    active(&stack, "Ours").await?;
    browser.open("/policies").await?;
    says(&browser, "[data-testid=active-policy]", "Ours").await?;

    // A session that runs is stopped and started by hand.
    browser.open("/sessions").await?;
    let row = format!("tr[data-id='{id}']");
    says(&browser, &row, "Recorded").await?;
    labelled(&browser, &format!("Stop recording {user} on {host}")).await?.click().await?;
    confirm(&browser).await?;
    says(&browser, &row, "Not recorded").await?;
    says(&browser, &row, "By hand: admin").await?;
    session(&stack, "stopped", |session| session["recording"]["recording"].is_null()).await?;
    labelled(&browser, &format!("Start recording {user} on {host}")).await?.click().await?;
    confirm(&browser).await?;
    one(&browser, &format!("{row} .badge-live")).await?;
    let again = session(&stack, "started", |session| session["recording"]["recording"].is_string()).await?;
    ensure!(again["recording"]["decided"]["user"] == "admin", "{again}");
    browser.close().await
}
