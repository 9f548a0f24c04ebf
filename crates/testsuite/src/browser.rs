//! A real browser: Debian's Chromium, driven by its own driver.

use crate::{Program, Shot, Stack, free_port, wait_for};
use anyhow::{Context as _, Result};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Looks at the player's canvas until a colour (red, green, blue) is there; answers `false` after ten seconds.
pub const AWAIT_COLOUR: &str = include_str!("await_colour.js");

/// Copies the player's canvas and takes its pixels.
const COPY: &str = r#"
    const stage = document.querySelector('[data-testid=stage]');
    const copy = document.createElement('canvas');
    copy.width = stage.width; copy.height = stage.height;
    const context = copy.getContext('2d', { willReadFrequently: true });
    context.drawImage(stage, 0, 0);
    const pixels = context.getImageData(0, 0, copy.width, copy.height).data;"#;

/// A browser with one tab, signed in.
pub struct Browser {
    /// The tab.
    pub tab: Client,
    url: String,
    profile: PathBuf,
    _driver: Program,
}

/// The player page in a browser.
pub struct Player<'a>(&'a Browser);

impl Browser {
    /// Starts a browser with an empty profile and signs in at the console.
    ///
    /// # Errors
    /// Chromium or its driver is not installed, or the sign-in page does not work.
    pub async fn start(folder: &Path, stack: &Stack) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        let driver = Program::start(&mut command, &folder.join("chromedriver.log"))?;
        let profile = folder.join("chromium");
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1920,1200",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let wanted =
            json!({ "goog:chromeOptions": { "args": args }, "goog:loggingPrefs": { "browser": "ALL" } });
        let wanted = wanted.as_object().context("an object")?.clone();
        let address = format!("http://127.0.0.1:{port}");
        let tab = wait_for("the browser", Duration::from_secs(30), async || {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            Ok(builder.capabilities(wanted.clone()).connect(&address).await.ok())
        })
        .await?;
        let browser = Self { tab, url: stack.url.clone(), profile, _driver: driver };
        browser.sign_in(&stack.password).await?;
        Ok(browser)
    }

    /// Opens a page of the console.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn open(&self, path: &str) -> Result<()> {
        Ok(self.tab.goto(&format!("{}{path}", self.url)).await?)
    }

    /// Opens a recording's player, at `seconds` where given.
    ///
    /// # Errors
    /// The player does not show a picture in time.
    pub async fn player(&self, recording: &str, seconds: Option<f64>) -> Result<Player<'_>> {
        let at = seconds.map(|seconds| format!("?t={seconds:.6}")).unwrap_or_default();
        self.open(&format!("/recordings/{recording}{at}")).await?;
        let player = Player(self);
        wait_for("the player's first picture", Duration::from_secs(20), async || {
            Ok(player.state().await?["painted_us"].as_u64())
        })
        .await?;
        Ok(player)
    }

    /// Ends the browser in an orderly way.
    ///
    /// # Errors
    /// It is gone already.
    pub async fn close(self) -> Result<()> {
        Ok(self.tab.clone().close().await?)
    }

    async fn sign_in(&self, password: &str) -> Result<()> {
        self.open("/").await?;
        let wait = || self.tab.wait().at_most(Duration::from_secs(20));
        let user = wait().for_element(Locator::Css("input[autocomplete=username]")).await?;
        user.send_keys("admin").await?;
        let secret = self.tab.find(Locator::Css("input[autocomplete=current-password]")).await?;
        secret.send_keys(password).await?;
        self.tab.find(Locator::Css("button[type=submit]")).await?.click().await?;
        wait().for_element(Locator::Css("nav")).await?;
        Ok(())
    }
}

impl Drop for Browser {
    /// A failed test leaves no browser behind: the driver does not end what it started when it is killed itself.
    fn drop(&mut self) {
        let profile = self.profile.display().to_string();
        for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let command = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            let id = process.file_name().to_string_lossy().parse();
            if let Ok(id) = id
                && command.contains("chromium")
                && command.contains(&profile)
            {
                let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
            }
        }
    }
}

impl Player<'_> {
    /// What the player tells of itself in `window.playhead`.
    ///
    /// # Errors
    /// The page is gone.
    pub async fn state(&self) -> Result<Value> {
        Ok(self.0.tab.execute("return window.playhead ? {...window.playhead} : null", vec![]).await?)
    }

    /// SHA-256 and size of the canvas's pixels as they are now.
    ///
    /// # Errors
    /// There is no canvas.
    pub async fn hash(&self) -> Result<(u64, u64, String)> {
        let script = COPY.to_owned()
            + r#"
            const done = arguments[arguments.length - 1];
            crypto.subtle.digest('SHA-256', pixels).then(hash => done([copy.width, copy.height,
                [...new Uint8Array(hash)].map(byte => byte.toString(16).padStart(2, '0')).join('')]));"#;
        let answer = self.0.tab.execute_async(&script, vec![]).await?;
        let number = |index: usize| answer[index].as_u64().context("no size");
        Ok((number(0)?, number(1)?, answer[2].as_str().context("no hash")?.to_owned()))
    }

    /// The canvas's pixels as they are now.
    ///
    /// # Errors
    /// There is no canvas.
    pub async fn pixels(&self) -> Result<Shot> {
        // As text, a character for each byte: the driver hands on nothing else.
        let script = COPY.to_owned()
            + r#"
            let text = '';
            for (let at = 0; at < pixels.length; at += 32768)
                text += String.fromCharCode(...pixels.subarray(at, at + 32768));
            return [copy.width, copy.height, text];"#;
        let answer = self.0.tab.execute(&script, vec![]).await?;
        let side = |index: usize| answer[index].as_u64().context("no size");
        let text = answer[2].as_str().context("no pixels")?;
        let rgba = text.chars().map(|character| character as u32 as u8).collect();
        Ok(Shot { width: side(0)? as u32, height: side(1)? as u32, rgba })
    }

    /// Waits until the canvas shows exactly `shot`.
    ///
    /// # Errors
    /// It does not in time.
    pub async fn shows(&self, shot: &Shot, patience: Duration) -> Result<()> {
        let expected = (u64::from(shot.width), u64::from(shot.height), shot.hash());
        let what = format!("the canvas to show {shot:?}");
        let shown = wait_for(&what, patience, async || Ok((self.hash().await? == expected).then_some(())));
        match shown.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(shot.difference(&self.pixels().await?))),
        }
    }

    /// Runs a script in the page.
    ///
    /// # Errors
    /// The script throws.
    pub async fn run(&self, script: &str, args: Vec<Value>) -> Result<Value> {
        Ok(self.0.tab.execute(script, args).await?)
    }
}
