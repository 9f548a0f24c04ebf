//! A site of several servers behind a load balancer, on PostgreSQL and S3.

use crate::gate::{Gate, To};
use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use playhead_testsuite::{Api, Display, Program, free_port, playhead, wait_for};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Seconds without a sign of life after which another server takes over.
pub(crate) const LEASE: u64 = 2;
const START: Duration = Duration::from_secs(60);

pub(crate) struct Site {
    folder: PathBuf,
    pub(crate) api: Api,
    pub(crate) database: Gate,
    pub(crate) storage: Gate,
    url: String,
    balancer_port: u16,
    ports: [u16; 3],
    pub(crate) servers: [Option<Program>; 3],
    token: String,
    storage_url: String,
    psql: String,
    _balancer: Program,
    _console: Program,
}

impl Site {
    /// Starts everything; `None` without PostgreSQL and S3.
    pub(crate) async fn start(folder: &Path, name: &str) -> Result<Option<Self>> {
        let (Ok(postgres), Ok(s3)) =
            (std::env::var("PLAYHEAD_TEST_POSTGRES"), std::env::var("PLAYHEAD_TEST_S3"))
        else {
            println!("NOT RUN: needs PLAYHEAD_TEST_POSTGRES and PLAYHEAD_TEST_S3, see `make test`");
            return Ok(None);
        };
        let schema = format!("cluster_{name}_{}", std::process::id());
        let psql = postgres.clone();
        sql(&psql, &format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"))?;
        let socket = postgres.split("host=").nth(1).context("expected a server on a Unix socket")?;
        let socket = Path::new(socket.split('&').next().unwrap_or(socket)).join(".s.PGSQL.5432");
        let database = Gate::new(To::Socket(socket)).await?;
        let endpoint = std::env::var("AWS_ENDPOINT")?;
        let address = endpoint.trim_start_matches("http://").parse()?;
        let storage = Gate::new(To::Address(address)).await?;
        let url =
            format!("postgres://postgres@127.0.0.1:{}/playhead?options[search_path]={schema}", database.port);

        let listen = format!("127.0.0.1:{}", free_port()?);
        let mut console = Command::new(playhead());
        console.args(["console", "--listen", &listen, "--json", "--data"]).arg(folder.join("console"));
        let mut console = Program::start(&mut console, &folder.join("console.log"))?;
        let ready: Value = serde_json::from_str(&console.line()?)?;
        let text = |key: &str| ready[key].as_str().context("no such text");
        let api = Api::sign_in(text("url")?, text("user")?, text("password")?).await?;
        let wanted = json!({ "kind": "server", "uses": 3 });
        let (status, made) = api.call(reqwest::Method::POST, "/api/v1/join-tokens", Some(wanted)).await?;
        let token = made["token"].as_str().with_context(|| format!("no token: {status} {made}"))?.to_owned();

        let ports = [free_port()?, free_port()?, free_port()?];
        let balancer_port = free_port()?;
        let config = folder.join("haproxy.cfg");
        std::fs::write(&config, balancer(balancer_port, ports))?;
        let mut balancer = Command::new("haproxy");
        balancer.arg("-db").arg("-f").arg(&config);
        let balancer = Program::start(&mut balancer, &folder.join("haproxy.log"))?;
        let mut site = Self {
            folder: folder.to_owned(),
            api,
            database,
            storage,
            url,
            balancer_port,
            ports,
            servers: [None, None, None],
            token,
            storage_url: format!("{s3}/cluster-{name}-{}", std::process::id()),
            psql: format!("{psql}&options[search_path]={schema}"),
            _balancer: balancer,
            _console: console,
        };
        // The first one makes the authority of all.
        site.start_server(0).await?;
        site.launch(1)?;
        site.launch(2)?;
        for number in 1..3 {
            site.is_up(number).await?;
        }
        Ok(Some(site))
    }

    fn data(&self, number: usize) -> PathBuf {
        self.folder.join(format!("server{number}"))
    }

    /// Starts a server, or starts it again.
    pub(crate) async fn start_server(&mut self, number: usize) -> Result<()> {
        self.launch(number)?;
        self.is_up(number).await
    }

    fn launch(&mut self, number: usize) -> Result<()> {
        let data = self.data(number);
        if number > 0 && !data.exists() {
            // One authority for all, or agents would not trust the others.
            std::fs::create_dir_all(&data)?;
            for file in ["authority.pem", "authority.key"] {
                std::fs::copy(self.data(0).join(file), data.join(file))?;
            }
        }
        let mut command = Command::new(playhead());
        command.arg("server").arg("--data").arg(&data);
        command.args(["--json", "--name", "Cluster", "--join", &self.token, "--database", &self.url]);
        command.args(["--server-name", &format!("s{number}"), "--storage", &self.storage_url]);
        command.args(["--lease-seconds", &LEASE.to_string()]);
        command.args(["--listen-agents", &format!("127.0.0.1:{}", self.ports[number])]);
        command.args(["--agents-url", &format!("https://127.0.0.1:{}", self.balancer_port)]);
        command.env("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.storage.port));
        command.env("AWS_ALLOW_HTTP", "true").env_remove("DISPLAY");
        let server = Program::start(&mut command, &self.folder.join(format!("server{number}.log")))?;
        self.servers[number] = Some(server);
        Ok(())
    }

    /// Waits until a server that was launched takes part.
    async fn is_up(&mut self, number: usize) -> Result<()> {
        self.server(number)?.line()?;
        let name = format!("s{number}");
        wait_for("the server to be there", START, async || {
            let all = self.report().await?;
            Ok(all.iter().any(|server| server["name"] == name && server["state"] == "running").then_some(()))
        })
        .await
    }

    pub(crate) fn server(&mut self, number: usize) -> Result<&mut Program> {
        self.servers[number].as_mut().context("the server was not started")
    }

    /// The servers as the site tells of them.
    pub(crate) async fn report(&self) -> Result<Vec<Value>> {
        let sites = self.api.get("/api/v1/sites").await?;
        let id = sites["items"][0]["id"].as_str().context("no site")?.to_owned();
        let servers = self.api.get(&format!("/api/v1/sites/{id}/servers")).await?;
        Ok(servers["items"].as_array().context("no servers")?.clone())
    }

    /// Number of the server that holds the recording, asked of the database itself.
    pub(crate) fn holder(&self, recording: &str) -> Result<usize> {
        let text = format!(
            "SELECT s.name FROM recordings r JOIN servers s ON s.id = r.server WHERE r.id = '{recording}'"
        );
        let name = sql(&self.psql, &text)?;
        name.trim().trim_start_matches('s').parse().with_context(|| format!("no holder: '{name}'"))
    }

    /// What the database says.
    pub(crate) fn sql(&self, text: &str) -> Result<String> {
        sql(&self.psql, text)
    }

    pub(crate) async fn agents_token(&self, uses: u32) -> Result<String> {
        let body = json!({ "kind": "agent", "uses": uses });
        let (status, made) = self.api.call(reqwest::Method::POST, "/api/v1/join-tokens", Some(body)).await?;
        Ok(made["token"].as_str().with_context(|| format!("no token: {status} {made}"))?.to_owned())
    }

    /// Sessions of the load generator, which compares at the end what was acknowledged with what is there.
    pub(crate) async fn load(&self, sessions: u32, seconds: u64) -> Result<Program> {
        let token = self.agents_token(sessions).await?;
        let mut command = Command::new(playhead());
        command.args(["bench", "load", "--profile", "busy", "--scripts", "1", "--json", "--join", &token]);
        command.args(["--sessions", &sessions.to_string(), "--seconds", &seconds.to_string()]);
        Program::start(&mut command, &self.folder.join("load.log"))
    }

    /// Waits until so many recordings are live and something of each was acknowledged.
    pub(crate) async fn live(&self, count: usize) -> Result<()> {
        wait_for("all sessions to be recorded", START, async || {
            let all = self.api.recordings().await?;
            let begun = |recording: &&Value| {
                recording["state"] == "live" && recording["duration_us"].as_u64() > Some(0)
            };
            Ok((all.iter().filter(begun).count() >= count).then_some(()))
        })
        .await
    }

    /// Downloads a finished recording and proves it.
    pub(crate) async fn verify(&self, recording: &Value) -> Result<()> {
        let id = recording["id"].as_str().context("no id")?;
        let count = recording["segments"].as_u64().context("no segments")?;
        let folder = self.folder.join("download").join(id);
        std::fs::create_dir_all(&folder)?;
        for number in 0..count {
            let path = format!("/api/v1/recordings/{id}/segments/{number}");
            let bytes =
                wait_for("a segment to be stored", START, async || Ok(self.api.bytes(&path).await.ok()))
                    .await?;
            std::fs::write(folder.join(format!("{number:06}.mcap")), bytes)?;
        }
        let mut command = Command::new(playhead());
        command.arg("verify").arg(&folder);
        let run = tokio::task::spawn_blocking(move || command.output()).await??;
        let told = [run.stdout, run.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        ensure!(run.status.code() == Some(0), "verify {id}: {}: {told}", run.status);
        Ok(())
    }

    /// Waits for all recordings to be finished, proves each, and gives them.
    pub(crate) async fn all_proved(&self, count: usize) -> Result<Vec<Value>> {
        let all = wait_for("all recordings to be finished", START, async || {
            let all = self.api.recordings().await?;
            Ok(all.iter().all(|recording| recording["state"] == "finished").then_some(all))
        })
        .await?;
        ensure!(all.len() == count, "expected {count} recordings, got {}: {all:#?}", all.len());
        let proving = futures_util::stream::iter(all.iter().map(|recording| self.verify(recording)));
        proving.buffer_unordered(4).try_collect::<()>().await?;
        Ok(all)
    }
}

/// Runs SQL and gives what it prints.
fn sql(url: &str, text: &str) -> Result<String> {
    let (url, path) = match url.split_once("&options[search_path]=") {
        Some((url, path)) => (url, format!("SET search_path TO {path};")),
        None => (url, String::new()),
    };
    let run = Command::new("psql")
        .args([url, "-qtAX", "-v", "ON_ERROR_STOP=1", "-c", &format!("{path}{text}")])
        .output()?;
    ensure!(run.status.success(), "psql: {}", String::from_utf8_lossy(&run.stderr));
    Ok(String::from_utf8(run.stdout)?)
}

/// The load balancer's settings: `deploy/haproxy.cfg` with the test's ports.
fn balancer(port: u16, servers: [u16; 3]) -> String {
    let example = include_str!("../../../../deploy/haproxy.cfg");
    let mut lines: Vec<String> = Vec::new();
    let mut ports = servers.into_iter();
    for line in example.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            // Few suffice, and the system may not grant more.
            ["maxconn", _] => lines.push("    maxconn 1000".into()),
            ["bind", _] => lines.push(format!("    bind 127.0.0.1:{port}")),
            ["server", name, _, ..] => {
                lines.extend(ports.next().map(|port| format!("    server {name} 127.0.0.1:{port} check")));
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A busy desktop and the agent that records it.
pub(crate) struct Desk {
    pub(crate) agent: Program,
    busy: Arc<AtomicBool>,
    at_work: Arc<AtomicBool>,
    working: Option<std::thread::JoinHandle<Result<()>>>,
    pub(crate) flash: std::sync::mpsc::Sender<u32>,
    pub(crate) host: String,
}

impl Desk {
    pub(crate) async fn start(site: &Site, number: u64) -> Result<Self> {
        let folder = site.folder.join(format!("desk{number}"));
        std::fs::create_dir_all(&folder)?;
        let mut display = Display::start(&folder, 640, 480, number)?;
        let (token, host) = (site.agents_token(1).await?, format!("desk{number}"));
        let mut command = Command::new(playhead());
        command.args(["agent", "--display", display.name(), "--join", &token, "--host", &host]);
        command.arg("--data").arg(folder.join("agent")).env_remove("DISPLAY");
        let agent = Program::start(&mut command, &folder.join("agent.log"))?;
        let (busy, at_work) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let (flash, flashes) = std::sync::mpsc::channel();
        let (go_on, act) = (Arc::clone(&busy), Arc::clone(&at_work));
        let working = std::thread::spawn(move || {
            while go_on.load(Ordering::Relaxed) {
                if act.load(Ordering::Relaxed) {
                    display.act()?;
                }
                for colour in flashes.try_iter() {
                    display.flash(colour)?;
                }
                std::thread::sleep(Duration::from_millis(if act.load(Ordering::Relaxed) { 60 } else { 2 }));
            }
            Ok(())
        });
        Ok(Self { agent, busy, at_work, working: Some(working), flash, host })
    }

    /// Whether it draws by itself.
    pub(crate) fn set_at_work(&self, at_work: bool) {
        self.at_work.store(at_work, Ordering::Relaxed);
    }

    /// Its recording.
    pub(crate) async fn recording(&self, site: &Site) -> Result<Value> {
        wait_for("the desk's recording", START, async || {
            let all = site.api.recordings().await?;
            Ok(all.into_iter().find(|recording| recording["host"] == self.host.as_str()))
        })
        .await
    }

    /// How many of its fragments were sent and acknowledged: media time up to which the site has it.
    pub(crate) async fn recorded_us(&self, site: &Site) -> Result<u64> {
        self.recording(site).await?["duration_us"].as_u64().context("no duration")
    }

    /// Ends the agent in order; the recording is finished then.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.busy.store(false, Ordering::Relaxed);
        let code = self.agent.stop(Duration::from_secs(20))?;
        ensure!(code == Some(0), "the agent ended with {code:?}");
        if let Some(working) = self.working.take() {
            working.join().map_err(|_| anyhow::anyhow!("the desktop failed"))??;
        }
        Ok(())
    }
}
