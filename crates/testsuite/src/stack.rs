//! Playhead's programs together, in one process or as several.

use crate::{Api, Program, playhead, wait_for};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// How the roles are spread over processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `playhead up`: console and server in one.
    Together,
    /// `playhead console` and `playhead server`, which dials out to it.
    Apart,
}

/// A running console and server, and what is needed to use and restart them.
pub struct Stack {
    folder: PathBuf,
    layout: Layout,
    ports: (u16, u16),
    server: Option<Program>,
    console: Option<Program>,
    /// A signed-in client.
    pub api: Api,
    /// Address of the console.
    pub url: String,
    /// The administrator's password.
    pub password: String,
    /// More arguments for the program with the recording server in it.
    server_args: Vec<String>,
}

impl Stack {
    /// Starts everything below `folder`.
    ///
    /// # Errors
    /// Something does not start; the error carries its log.
    pub async fn start(folder: &Path, layout: Layout) -> Result<Self> {
        Self::start_with(folder, layout, &[]).await
    }

    /// The same, with more arguments for the program with the recording server in it.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start_with(folder: &Path, layout: Layout, server_args: &[&str]) -> Result<Self> {
        let mut stack = Self {
            folder: folder.to_owned(),
            layout,
            ports: (crate::free_port()?, crate::free_port()?),
            server: None,
            console: None,
            api: Api::new("http://127.0.0.1:1")?,
            url: String::new(),
            password: String::new(),
            server_args: server_args.iter().map(|&arg| arg.to_owned()).collect(),
        };
        stack.start_server().await?;
        Ok(stack)
    }

    /// Folder with the recording server's data.
    pub fn server_data(&self) -> PathBuf {
        match self.layout {
            Layout::Together => self.folder.join("data"),
            Layout::Apart => self.folder.join("server"),
        }
    }

    /// The program with the recording server in it.
    pub fn server(&mut self) -> &mut Program {
        self.server.as_mut().expect("started by the constructor")
    }

    /// Starts the program with the recording server in it again, on the same data and ports. Also the first start.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_server(&mut self) -> Result<()> {
        let listen = format!("127.0.0.1:{}", self.ports.0);
        let agents = format!("127.0.0.1:{}", self.ports.1);
        match self.layout {
            Layout::Together => {
                let data = self.server_data();
                let mut command =
                    self.command("up", &data, &["--listen", &listen, "--agents", &agents, "--json"]);
                command.args(&self.server_args);
                self.server = Some(Program::start(&mut command, &self.folder.join("up.log"))?);
                let ready = ready(self.server())?;
                self.signed_in(&ready).await
            }
            Layout::Apart => {
                let console_data = self.folder.join("console");
                if self.console.is_none() {
                    let mut command =
                        self.command("console", &console_data, &["--listen", &listen, "--json"]);
                    let mut console = Program::start(&mut command, &self.folder.join("console.log"))?;
                    let ready = ready(&mut console)?;
                    self.console = Some(console);
                    self.signed_in(&ready).await?;
                }
                let data = self.server_data();
                let token = self.server_token(&data).await?;
                let mut args = vec!["--listen-agents", &agents, "--json"];
                if let Some(token) = &token {
                    args.extend(["--join", token]);
                }
                let mut command = self.command("server", &data, &args);
                command.args(&self.server_args);
                self.server = Some(Program::start(&mut command, &self.folder.join("server.log"))?);
                ready(self.server())?;
                self.site_is_available().await
            }
        }
    }

    /// Starts an agent for `displays`, with its data in `name` below the folder. It joins at its first start.
    ///
    /// # Errors
    /// It does not start.
    pub async fn agent(&self, name: &str, displays: &[&str]) -> Result<Program> {
        self.agent_with(name, displays, &[], &[]).await
    }

    /// The same, with more arguments and variables.
    ///
    /// # Errors
    /// It does not start.
    pub async fn agent_with(
        &self,
        name: &str,
        displays: &[&str],
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Program> {
        let data = self.folder.join(name);
        let mut args = more.to_vec();
        for display in displays {
            args.extend(["--display", display]);
        }
        let token =
            if data.join("identity.json").exists() { None } else { Some(self.api.agent_token().await?) };
        if let Some(token) = &token {
            args.extend(["--join", token]);
        }
        let mut command = self.command("agent", &data, &args);
        command.envs(variables.iter().copied());
        Program::start(&mut command, &self.folder.join(format!("{name}.log")))
    }

    /// The newest recording once there is one that `wanted` likes.
    ///
    /// # Errors
    /// None comes in time.
    pub async fn recording(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = async || Ok(self.api.recordings().await?.into_iter().find(|recording| wanted(recording)));
        wait_for(&format!("a recording: {what}"), Duration::from_secs(20), found).await
    }

    /// A recording as the console tells of it now.
    ///
    /// # Errors
    /// The console does not know it.
    pub async fn look(&self, id: &str) -> Result<Value> {
        self.api.get(&format!("/api/v1/recordings/{id}")).await
    }

    /// Waits until a recording is what `wanted` likes.
    ///
    /// # Errors
    /// It does not come to that in time.
    pub async fn until(&self, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let (mut last, what) = (Value::Null, format!("recording {id}: {what}"));
        let there = wait_for(&what, Duration::from_secs(30), async || {
            last = self.look(id).await?;
            Ok(wanted(&last).then(|| last.clone()))
        });
        there.await.with_context(|| format!("the recording is {last}"))
    }

    /// Every stored file of a recording, in order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn files(&self, recording: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut folders = vec![self.server_data().join("recordings")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten() {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "mcap")
                    && path.to_string_lossy().contains(recording)
                {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The files of a finished recording once all its segments are in storage.
    ///
    /// # Errors
    /// They do not get there in time.
    pub async fn sealed(&self, recording: &str) -> Result<Vec<PathBuf>> {
        wait_for("all segments to be in storage", Duration::from_secs(20), async || {
            let segments =
                self.look(recording).await?["segments"].as_u64().context("no number of segments")?;
            Ok(Some(self.files(recording)?).filter(|files| files.len() as u64 == segments && segments > 0))
        })
        .await
    }

    /// Proves a finished recording with `playhead verify`.
    ///
    /// # Errors
    /// What the program says of it.
    pub async fn verify(&self, recording: &str) -> Result<()> {
        let files = self.sealed(recording).await?;
        let run = Command::new(playhead()).arg("verify").args(&files).output()?;
        let told = [run.stdout, run.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        ensure!(run.status.code() == Some(0), "verify: {}: {told}", run.status);
        Ok(())
    }

    fn command(&self, role: &str, data: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(playhead());
        command.arg(role).arg("--data").arg(data).args(args).env_remove("DISPLAY");
        command
    }

    async fn signed_in(&mut self, ready: &Value) -> Result<()> {
        let text = |key: &str| {
            Ok::<_, anyhow::Error>(ready[key].as_str().with_context(|| format!("no {key}"))?.to_owned())
        };
        self.url = text("url")?;
        self.password = text("password")?;
        self.api = Api::sign_in(&self.url, &text("user")?, &self.password).await?;
        Ok(())
    }

    /// A token for a server that has not joined yet.
    async fn server_token(&self, data: &Path) -> Result<Option<String>> {
        if data.join("console.json").exists() {
            return Ok(None);
        }
        let body = serde_json::json!({ "kind": "server" });
        let (status, answer) =
            self.api.call(reqwest::Method::POST, "/api/v1/join-tokens", Some(body)).await?;
        Ok(Some(answer["token"].as_str().with_context(|| format!("no token: {status} {answer}"))?.to_owned()))
    }

    async fn site_is_available(&self) -> Result<()> {
        wait_for("the server to be available at the console", Duration::from_secs(15), async || {
            let sites = self.api.get("/api/v1/sites").await?;
            let servers =
                sites["items"].as_array().into_iter().flatten().flat_map(|site| site["servers"].as_array());
            Ok(servers.flatten().any(|server| server["state"] == "available").then_some(()))
        })
        .await
    }
}

/// Reads the line that a program prints when it is ready.
fn ready(program: &mut Program) -> Result<Value> {
    let line = program.line()?;
    serde_json::from_str(&line).with_context(|| format!("expected a JSON line, got '{line}'"))
}
