//! For those who watch over the program: figures, whether it is alive, and whether it is ready.

use crate::{limits, process};
use anyhow::{Result, ensure};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use playhead_net::Listener;
use serde_json::json;
use std::{fmt::Write as _, net::SocketAddr};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// OpenMetrics' media type. Prometheus asks for it first.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Flags of this listener.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "watching")]
pub(crate) struct Args {
    /// Loopback address with /metrics for Prometheus, /healthz (alive) and /readyz (ready, or what is missing) [default: none]
    #[arg(long = "metrics", value_name = "ADDRESS:PORT", env = "PLAYHEAD_METRICS")]
    address: Option<SocketAddr>,
}

/// What is watched.
#[derive(Clone, Default)]
pub(crate) struct Watched {
    pub(crate) server: Option<playhead_server::Monitor>,
    pub(crate) console: Option<playhead_console::Monitor>,
}

/// A listener that runs until it is told to stop.
#[derive(Default)]
pub(crate) struct Watching {
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
    /// Where it listens.
    #[cfg(test)]
    address: Option<SocketAddr>,
}

impl Watching {
    /// Starts it, where one is wanted.
    ///
    /// # Errors
    /// An address that others can reach, or one that is taken.
    pub(crate) async fn start(args: &Args, watched: Watched) -> Result<Self> {
        let Some(address) = args.address else { return Ok(Self::default()) };
        ensure!(
            address.ip().is_loopback(),
            "{address} can be reached from other machines: give --metrics a loopback address such as 127.0.0.1:9464, and let a collector on \
             this machine fetch from there"
        );
        let listener = Listener::bind(address, None).await?;
        let (stop, address) = (CancellationToken::new(), listener.address());
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .with_state(watched);
        let serving = Some(tokio::spawn(listener.serve(router, stop.clone())));
        tracing::info!(%address, "metrics are served");
        Ok(Self {
            stop,
            serving,
            #[cfg(test)]
            address: Some(address),
        })
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Some(serving) = self.serving {
            // A panic there was reported when it happened.
            let _ = serving.await;
        }
    }
}

async fn metrics(State(watched): State<Watched>) -> Response {
    let mut text = String::new();
    if let Some(server) = &watched.server {
        server.encode(&mut text);
    }
    if let Some(console) = &watched.console {
        console.encode(&mut text);
    }
    own(&mut text);
    text.push_str("# EOF\n");
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}

/// What the system says of this process, under the names that all programs use.
fn own(text: &mut String) {
    let Ok(usage) = process::usage(std::process::id()) else { return };
    let mut put = |name: &str, kind: &str, unit: &str, help: &str, value: f64| {
        let suffix = if kind == "counter" { "_total" } else { "" };
        let unit = if unit.is_empty() { String::new() } else { format!("# UNIT {name} {unit}\n") };
        // A text takes everything.
        let _ = write!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}\n{unit}{name}{suffix} {value}\n");
    };
    put("process_cpu_seconds", "counter", "seconds", "Processor time", usage.cpu_seconds);
    put("process_resident_memory_bytes", "gauge", "bytes", "Memory in use", usage.rss_bytes as f64);
    put("process_threads", "gauge", "", "Threads", usage.threads as f64);
    put("process_open_fds", "gauge", "", "Open files and connections", process::open_files() as f64);
    let most = limits::open_files().unwrap_or_default();
    put("process_max_fds", "gauge", "", "Files and connections that may be open", most as f64);
}

async fn ready(State(watched): State<Watched>) -> Response {
    let mut problems = Vec::new();
    if let Some(server) = &watched.server {
        problems.extend(server.not_ready().await);
    }
    if let Some(console) = &watched.console {
        problems.extend(console.not_ready().await);
    }
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": problems.is_empty(), "problems": problems }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_net::Endpoint;
    use playhead_server::{Server, Settings};
    use std::{io::Write as _, process::Stdio};

    async fn get(address: SocketAddr, path: &str) -> (u16, String) {
        let endpoint = Endpoint::new(&format!("http://{address}"), None).unwrap();
        let (status, body) = endpoint.connect().await.unwrap().get(path).await.unwrap();
        (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    async fn start(server: &Server) -> Watching {
        let args = Args { address: Some("127.0.0.1:0".parse().unwrap()) };
        let watched = Watched { server: Some(server.monitor()), console: None };
        Watching::start(&args, watched).await.unwrap()
    }

    #[tokio::test]
    async fn a_server_is_alive_and_ready_until_its_disk_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Settings::new(folder.path())).await.unwrap();
        let watching = start(&server).await;
        let address = watching.address.unwrap();
        assert_eq!(get(address, "/healthz").await, (200, "ok\n".into()));
        assert_eq!(get(address, "/readyz").await, (200, r#"{"problems":[],"ready":true}"#.into()));
        server.shutdown().await;
        assert_eq!(get(address, "/healthz").await.0, 200);
        let (status, body) = get(address, "/readyz").await;
        assert!(status == 503 && body.contains("database"), "{body}");
        watching.stop().await;
    }

    #[tokio::test]
    async fn figures_are_for_this_machine_alone() {
        let args = Args { address: Some("0.0.0.0:0".parse().unwrap()) };
        let error = Watching::start(&args, Watched::default()).await.err().unwrap().to_string();
        assert!(error.contains("loopback"), "{error}");
    }

    /// By the parser of Prometheus' own Python client, which `scripts/deps.sh test` installs.
    #[tokio::test]
    async fn prometheus_can_read_the_figures() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Settings::new(folder.path())).await.unwrap();
        let watching = start(&server).await;
        let (_, text) = get(watching.address.unwrap(), "/metrics").await;
        watching.stop().await;
        server.shutdown().await;
        assert!(text.ends_with("# EOF\n") && text.contains("process_cpu_seconds_total"), "{text}");

        let script = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
                      names = [family.name for family in parse(sys.stdin.read())]\n\
                      assert len(names) == len(set(names)), names\nprint(' '.join(names))";
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/venv/bin/python3");
        let has_parser = |python: &&str| {
            let import = ["-c", "import prometheus_client"];
            let run = std::process::Command::new(python).args(import).stderr(Stdio::null()).status();
            run.is_ok_and(|status| status.success())
        };
        let python = [own, "python3"].into_iter().find(has_parser);
        let python = python.expect("a python3 with prometheus_client: run scripts/deps.sh test");
        let mut parser = std::process::Command::new(python)
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = parser.wait_with_output().unwrap();
        assert!(output.status.success(), "{text}");
        let names = String::from_utf8(output.stdout).unwrap();
        for name in
            ["playhead_acknowledgement_seconds", "playhead_journal_group_fragments", "process_open_fds"]
        {
            assert!(names.split_whitespace().any(|other| other == name), "{name} not in {names}");
        }
    }
}
