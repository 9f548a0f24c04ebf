//! Signing in by a real OpenID Connect server, in a real browser, and out again.

use anyhow::{Context as _, Result, ensure};
use fantoccini::Locator;
use playhead_testsuite::{Browser, Layout, Program, Stack, free_port, playhead, wait_for};
use reqwest::Method;
use serde_json::json;
use std::{path::Path, process::Command, time::Duration};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn people_come_in_by_their_provider_when_they_hold_a_role_and_leave_it_as_well() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let port = free_port()?;
    let mut running = provider(&stack, port, folder.path(), None)?;

    let new = json!({
        "name": "Login",
        "openid": { "issuer": format!("http://127.0.0.1:{port}"), "client_id": "playhead" },
        "secret": "the client's secret & more",
    });
    let trial = json!({ "openid": new["openid"], "secret": new["secret"] });
    let (_, tried) = stack.api.call(Method::POST, "/api/v1/directories/test", Some(trial)).await?;
    ensure!(tried["works"] == true, "{tried}");
    let (status, made) = stack.api.call(Method::POST, "/api/v1/directories", Some(new)).await?;
    ensure!(status == 201, "{status} {made}");
    let id = made["id"].as_str().context("no id")?;
    let role = json!({ "kind": "group", "subject": "admins", "label": "admins", "role": "read-only" });
    let (status, given) =
        stack.api.call(Method::POST, &format!("/api/v1/directories/{id}/roles"), Some(role)).await?;
    ensure!(status == 201, "{status} {given}");

    let browser = Browser::start(folder.path(), &stack).await?;
    browser.tab.delete_all_cookies().await?;
    sign_in(&browser, "anna").await?;
    // A page that needs the role.
    wait(&browser, "nav a[href='/sites']").await?;
    let (status, me) = own(&browser).await?;
    ensure!(status == 200 && me["user"] == "Login\\anna" && me["role"] == "read-only", "{status} {me}");

    // Out at the console and at the provider: the next one is asked for a name again.
    browser.tab.find(Locator::Css(".nav-bottom .nav-item")).await?.click().await?;
    let menu = browser.tab.wait().at_most(PATIENCE).for_element(Locator::XPath("//button[.='Sign out']"));
    menu.await?.click().await?;
    // The provider asks whether to leave it, too.
    wait(&browser, "button[name=logout]").await?.click().await?;
    wait(&browser, "input[autocomplete=username]").await?;
    ensure!(own(&browser).await?.0 == 401);

    sign_in(&browser, "bert").await?;
    let told = wait(&browser, "[role=alert]").await?.text().await?;
    ensure!(
        told.contains("neither you nor your groups were given a role") && told.contains("identifier: bert"),
        "{told}"
    );
    ensure!(own(&browser).await?.0 == 401);

    // The provider starts anew, with another key, and with a clock that is ahead by less than is allowed.
    running.kill_hard();
    running = provider(&stack, port, folder.path(), Some((id, 45)))?;
    sign_in(&browser, "anna").await?;
    // Keys are asked for again, but not at once when they were asked for just now.
    wait_for("the provider's new key to be known", Duration::from_secs(40), async || {
        browser.tab.goto(&format!("{}/api/v1/sign-in/openid/{id}?to=/account", stack.url)).await?;
        Ok((own(&browser).await?.0 == 200).then_some(()))
    })
    .await?;
    // Out at the provider, without the console: it is told.
    browser.tab.goto(&format!("http://127.0.0.1:{port}/session/end")).await?;
    wait(&browser, "button[name=logout]").await?.click().await?;
    // It goes on to another page once it has told everybody.
    wait_for("the provider to be done", PATIENCE, async || {
        let here = browser.tab.current_url().await?;
        Ok(here.path().ends_with("/session/end/success").then_some(()))
    })
    .await?;
    browser.open("/sign-in").await?;
    ensure!(own(&browser).await?.0 == 401, "the console was not told, or did not believe it");

    // A clock that is ahead by more is not believed.
    running.kill_hard();
    running = provider(&stack, port, folder.path(), Some((id, 300)))?;
    sign_in(&browser, "anna").await?;
    let told = wait(&browser, "[role=alert]").await?.text().await?;
    ensure!(own(&browser).await?.0 == 401 && !told.is_empty(), "{told}");
    browser.close().await?;

    // The command line works beside the console that runs.
    let (well, listed) = directory(&stack, &["list"])?;
    let listed = &listed["directories"][0];
    ensure!(well && listed["name"] == "Login" && listed["roles"] == 1 && listed["accounts"] == 1, "{listed}");
    ensure!(directory(&stack, &["test", "login"])?.0);
    running.kill_hard();
    let (well, tried) = directory(&stack, &["test", "login"])?;
    ensure!(!well && tried["steps"][0]["verdict"] == "failed", "{tried}");
    ensure!(directory(&stack, &["remove", "Login"])?.0);
    ensure!(stack.api.get("/api/v1/directories").await?["items"] == json!([]));
    Ok(())
}

/// Runs `playhead directory`: whether it went well, and what it printed.
fn directory(stack: &Stack, args: &[&str]) -> Result<(bool, serde_json::Value)> {
    let mut command = Command::new(playhead());
    command.arg("directory").args(args).arg("--json").arg("--data").arg(stack.server_data());
    let run = command.output()?;
    Ok((run.status.success(), serde_json::from_slice(&run.stdout).unwrap_or_default()))
}

/// Starts the provider, which may be told of a directory's id, to tell the console who leaves, and of how far its clock is ahead.
fn provider(stack: &Stack, port: u16, folder: &Path, later: Option<(&str, u32)>) -> Result<Program> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let module = here.join("../../web/node_modules/oidc-provider/lib/index.js");
    ensure!(module.exists(), "oidc-provider is not installed: run `npm ci` in web");
    let mut command = Command::new("node");
    command.arg(here.join("tests/openid/provider.mjs")).arg(port.to_string());
    command.arg(format!("{}/api/v1/sign-in/openid/callback", stack.url));
    command.arg(format!("{}/sign-in", stack.url)).arg(module);
    if let Some((directory, ahead)) = later {
        command.arg(format!("{}/api/v1/sign-in/openid/{directory}/back-channel-logout", stack.url));
        command.arg(ahead.to_string());
    }
    let mut provider = Program::start(&mut command, &folder.join("provider.log"))?;
    ensure!(provider.line()? == "ready");
    Ok(provider)
}

/// Goes to the provider by the button of the page, and gives a name there.
async fn sign_in(browser: &Browser, name: &str) -> Result<()> {
    browser.open("/sign-in").await?;
    wait(browser, "a[href^='/api/v1/sign-in/openid/']").await?.click().await?;
    wait(browser, "input[name=login]").await?.send_keys(name).await?;
    browser.tab.find(Locator::Css("input[name=password]")).await?.send_keys("any").await?;
    browser.tab.find(Locator::Css("button[type=submit]")).await?.click().await?;
    // The provider asks whether the console may know who it is.
    wait_for("the provider's second page, or the console's", PATIENCE, async || {
        let submit = browser.tab.find_all(Locator::Css("form[action*='/interaction/'] button")).await?;
        let login = browser.tab.find_all(Locator::Css("input[name=login]")).await?;
        if let (Some(submit), true) = (submit.first(), login.is_empty()) {
            // It may be gone already: then the page has moved on.
            let _ = submit.click().await;
        }
        let here = browser.tab.current_url().await?;
        Ok((!here.as_str().contains("/interaction/") && !here.as_str().contains("/auth")).then_some(()))
    })
    .await
}

async fn wait(browser: &Browser, css: &str) -> Result<fantoccini::elements::Element> {
    let found = wait_for(css, PATIENCE, async || {
        // A page that is just giving way to the next one has no elements to find, and says so by an error.
        let found = browser.tab.find_all(Locator::Css(css)).await.unwrap_or_default();
        Ok(found.into_iter().next())
    });
    match found.await {
        Ok(found) => Ok(found),
        Err(error) => {
            let text = browser.tab.source().await.unwrap_or_default();
            let url = browser.tab.current_url().await?;
            Err(error)
                .with_context(|| format!("{css} at {url}: {}", text.chars().take(3000).collect::<String>()))
        }
    }
}

/// Who the browser is at the console.
async fn own(browser: &Browser) -> Result<(u64, serde_json::Value)> {
    let script = "const done = arguments[0];
        fetch('/api/v1/me').then(async (answer) => done([answer.status, await answer.json()]))";
    let answer = browser.tab.execute_async(script, vec![]).await?;
    Ok((answer[0].as_u64().context("no status")?, answer[1].clone()))
}
