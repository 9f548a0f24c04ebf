//! OpenTelemetry traces of a fragment's way: from the agent's queue over the journal into storage.
//!
//! Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set; then nothing is even looked at. The parts of the program only say, as events of
//! one target, that a step of a fragment is done ([`TARGET`]); here those of the fragments that are followed become spans and are
//! sent as OTLP over HTTP in JSON. Which fragments are followed, and the ids of their traces, follow from the recording's id and the
//! fragment's number: agent and server agree on both without telling each other.

use anyhow::{Context as _, Result, ensure};
use http::Uri;
use playhead_net::{DialError, Endpoint};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    env,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::mpsc, time::timeout};
use tracing::{Event, Subscriber, field::Visit, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, layer::Context, registry::LookupSpan};

/// Target of the events that tell of a fragment's steps.
pub(crate) const TARGET: &str = "playhead::way";
/// Of so many fragments one is followed, unless told otherwise.
const SHARE: f64 = 0.01;
/// Spans that wait to be sent; more are dropped and counted.
const QUEUE: usize = 4_096;
/// Spans in one request.
const BATCH: usize = 512;
const PERIOD: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of the program waits for what is still to be sent.
const LAST: Duration = Duration::from_secs(3);
/// Fragments of this agent that are under way and followed.
const UNDER_WAY: usize = 4_096;

/// A step that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    trace: [u8; 16],
    id: [u8; 8],
    /// None for the whole way.
    parent: Option<[u8; 8]>,
    name: &'static str,
    start_ns: u128,
    end_ns: u128,
    recording: String,
    seq: u64,
}

/// Turns events into spans.
pub(crate) struct Way {
    spans: mpsc::Sender<Span>,
    dropped: Arc<AtomicU64>,
    /// Fragments with a trace id below this are followed.
    below: u64,
    /// When followed fragments were queued and sent, as this process said.
    under_way: Mutex<HashMap<(String, u64), (u128, u128)>>,
}

/// Sends spans until it is dropped.
pub(crate) struct Exporter {
    thread: JoinHandle<()>,
    stop: tokio_util::sync::CancellationToken,
}

/// Begins, where the environment asks for it.
///
/// # Errors
/// An endpoint that cannot be used, or a share that is none.
#[expect(clippy::type_complexity, reason = "a layer and its counterpart")]
pub(crate) fn start<S>() -> Result<Option<(Box<dyn Layer<S> + Send + Sync>, Exporter)>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let get = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let url = match (get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), get("OTEL_EXPORTER_OTLP_ENDPOINT")) {
        (Some(url), _) => url,
        (None, Some(url)) => format!("{}/v1/traces", url.trim_end_matches('/')),
        (None, None) => return Ok(None),
    };
    let share = match get("OTEL_TRACES_SAMPLER_ARG") {
        Some(text) => text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share)),
        None => Some(SHARE),
    };
    let share = share.context("expected a share between 0 and 1 in OTEL_TRACES_SAMPLER_ARG")?;
    let service = get("OTEL_SERVICE_NAME").unwrap_or_else(|| "playhead".into());
    let (way, exporter) = begin(&url, share, service)?;
    let only = Targets::new().with_target(TARGET, LevelFilter::TRACE);
    Ok(Some((way.with_filter(only).boxed(), exporter)))
}

fn begin(url: &str, share: f64, service: String) -> Result<(Way, Exporter)> {
    let uri: Uri = url.parse().with_context(|| format!("'{url}' is no address"))?;
    ensure!(uri.path().starts_with('/'), "'{url}' is no address");
    let endpoint = Endpoint::new(url, None)?;
    let (spans, waiting) = mpsc::channel(QUEUE);
    let (dropped, stop) = (Arc::new(AtomicU64::new(0)), tokio_util::sync::CancellationToken::new());
    let sender = Sender {
        endpoint,
        path: uri.path().to_owned(),
        service,
        dropped: Arc::clone(&dropped),
        complained: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told = stop.clone();
    let run = move || runtime.block_on(sender.run(waiting, told));
    let thread = std::thread::Builder::new().name("traces".into()).spawn(run)?;
    // The largest share is everything.
    let below = if share >= 1.0 { u64::MAX } else { (share * u64::MAX as f64) as u64 };
    Ok((Way { spans, dropped, below, under_way: Mutex::default() }, Exporter { thread, stop }))
}

impl Exporter {
    /// Sends what is left, for a short while.
    pub(crate) fn finish(self) {
        self.stop.cancel();
        // Bounded in time by the thread itself.
        let _ = self.thread.join();
    }
}

/// What an event says.
#[derive(Default)]
struct Step {
    name: String,
    recording: String,
    seq: u64,
    next_seq: Option<u64>,
    took_us: u64,
}

impl Visit for Step {
    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        match field.name() {
            "seq" => self.seq = value,
            "next_seq" => self.next_seq = Some(value),
            "took_us" => self.took_us = value,
            _ => {}
        }
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "step" {
            self.name = value.to_owned();
        }
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "recording" {
            self.recording = format!("{value:?}");
        }
    }
}

/// Ids of a fragment's trace and of the span for its whole way.
fn ids(recording: &str, seq: u64) -> ([u8; 16], [u8; 8]) {
    let mut hasher = blake3::Hasher::new_derive_key("playhead 2026-11 fragment trace v1");
    hasher.update(recording.as_bytes());
    hasher.update(&seq.to_le_bytes());
    let (mut trace, mut root, mut output) = ([0; 16], [0; 8], hasher.finalize_xof());
    output.fill(&mut trace);
    output.fill(&mut root);
    (trace, root)
}

impl Way {
    fn step(&self, step: &Step, now_ns: u128) {
        // A step over many fragments is one of each.
        let last = step.next_seq.unwrap_or(step.seq + 1);
        for seq in step.seq..last {
            let (trace, root) = ids(&step.recording, seq);
            let [a, b, c, d, e, f, g, h, ..] = trace;
            if u64::from_be_bytes([a, b, c, d, e, f, g, h]) <= self.below {
                self.followed(step, seq, (trace, root), now_ns);
            }
        }
    }

    fn followed(&self, step: &Step, seq: u64, (trace, root): ([u8; 16], [u8; 8]), now_ns: u128) {
        let start_ns = now_ns.saturating_sub(u128::from(step.took_us) * 1_000);
        let span = |name, parent, start_ns| {
            let mut id = root;
            if parent {
                let hash = blake3::hash(&[&root[..], str::as_bytes(name)].concat());
                id.copy_from_slice(&hash.as_bytes()[..8]);
            }
            let parent = parent.then_some(root);
            Span { trace, id, parent, name, start_ns, end_ns: now_ns, recording: step.recording.clone(), seq }
        };
        let key = (step.recording.clone(), seq);
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match step.name.as_str() {
            "queue" => {
                if under_way.len() < UNDER_WAY {
                    under_way.insert(key, (start_ns, now_ns));
                }
                self.put(span("agent queue", true, start_ns));
            }
            "send" => {
                if let Some(times) = under_way.get_mut(&key) {
                    times.1 = now_ns;
                }
            }
            "durable" => {
                if let Some((queued_ns, sent_ns)) = under_way.remove(&key) {
                    self.put(span("uplink", true, sent_ns));
                    self.put(span("fragment", false, queued_ns));
                }
            }
            "intake" => self.put(span("server intake", true, start_ns)),
            "sync" => self.put(span("journal sync", true, start_ns)),
            "acknowledge" => self.put(span("server acknowledge", true, start_ns)),
            "store" => self.put(span("segment store", true, start_ns)),
            _ => {}
        }
    }

    fn put(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<S: Subscriber> Layer<S> for Way {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut step = Step::default();
        event.record(&mut step);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.step(&step, now.as_nanos());
    }
}

struct Sender {
    endpoint: Endpoint,
    path: String,
    service: String,
    dropped: Arc<AtomicU64>,
    complained: bool,
}

impl Sender {
    async fn run(mut self, mut spans: mpsc::Receiver<Span>, stop: tokio_util::sync::CancellationToken) {
        let mut batch = Vec::new();
        loop {
            let full = async { while batch.len() < BATCH && spans.recv_many(&mut batch, BATCH).await > 0 {} };
            tokio::select! {
                _ = timeout(PERIOD, full) => {}
                () = stop.cancelled() => break,
            }
            self.send(&mut batch, PATIENCE).await;
        }
        while let Ok(span) = spans.try_recv() {
            batch.push(span);
        }
        self.send(&mut batch, LAST).await;
    }

    async fn send(&mut self, batch: &mut Vec<Span>, patience: Duration) {
        if batch.is_empty() {
            return;
        }
        let body = request(&self.service, batch);
        let count = batch.len() as u64;
        batch.clear();
        let posting = async { self.endpoint.connect().await?.post::<Value, Value>(&self.path, &body).await };
        let error = match timeout(patience, posting).await {
            // Some answer with nothing at all.
            Ok(Ok(_) | Err(DialError::Answer(_))) => {
                self.complained = false;
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", patience.as_secs()),
        };
        let dropped = self.dropped.fetch_add(count, Ordering::Relaxed) + count;
        // Once, not every few seconds.
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!(error, dropped, "traces cannot be sent and are dropped");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An ExportTraceServiceRequest.
fn request(service: &str, spans: &[Span]) -> Value {
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let spans: Vec<Value> = spans
        .iter()
        .map(|span| {
            json!({
                "traceId": hex(&span.trace),
                "spanId": hex(&span.id),
                "parentSpanId": span.parent.map(|id| hex(&id)).unwrap_or_default(),
                "name": span.name,
                // Internal.
                "kind": 1,
                "startTimeUnixNano": span.start_ns.to_string(),
                "endTimeUnixNano": span.end_ns.to_string(),
                "attributes": [
                    text("playhead.recording", &span.recording),
                    { "key": "playhead.fragment", "value": { "intValue": span.seq.to_string() } },
                ],
            })
        })
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    json!({ "resourceSpans": [{
        "resource": { "attributes": [text("service.name", service), text("service.version", version)] },
        "scopeSpans": [{ "scope": { "name": "playhead", "version": version }, "spans": spans }],
    }] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Json, Router, extract::State, routing::post};
    use playhead_net::Listener;

    type Received = Arc<Mutex<Vec<Value>>>;

    /// A small receiver of OTLP over HTTP.
    async fn receiver() -> (String, Received) {
        let received = Received::default();
        let take = async |State(received): State<Received>, Json(body): Json<Value>| {
            received.lock().unwrap().push(body);
            Json(json!({}))
        };
        let router = Router::new().route("/otlp/v1/traces", post(take)).with_state(Arc::clone(&received));
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        let url = format!("http://{}/otlp/v1/traces", listener.address());
        tokio::spawn(listener.serve(router, tokio_util::sync::CancellationToken::new()));
        (url, received)
    }

    fn tell(way: &Way, name: &str, seq: u64, next_seq: Option<u64>, took_us: u64) {
        let step = Step { name: name.into(), recording: "r1".into(), seq, next_seq, took_us };
        way.step(&step, 1_000_000_000);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_way_of_a_fragment_is_one_trace_on_agent_and_server() {
        let (url, received) = receiver().await;
        let (agent, sending) = begin(&url, 1.0, "agent".into()).unwrap();
        tell(&agent, "queue", 7, None, 5_000);
        tell(&agent, "send", 7, None, 0);
        tell(&agent, "durable", 7, Some(8), 0);
        let (server, serving) = begin(&url, 1.0, "server".into()).unwrap();
        for step in ["intake", "sync", "acknowledge", "store"] {
            tell(&server, step, 7, None, 300);
        }
        tokio::task::spawn_blocking(|| {
            sending.finish();
            serving.finish();
        })
        .await
        .unwrap();
        let received = received.lock().unwrap();
        let spans: Vec<&Value> = received
            .iter()
            .flat_map(|body| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap())
            .collect();
        let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "agent queue",
                "uplink",
                "fragment",
                "server intake",
                "journal sync",
                "server acknowledge",
                "segment store"
            ]
        );
        let root = &spans[2]["spanId"];
        assert_eq!(spans[2]["parentSpanId"], "");
        for span in &spans {
            assert_eq!(span["traceId"], spans[0]["traceId"]);
            assert_eq!(span["traceId"].as_str().unwrap().len(), 32);
            assert!(span == &spans[2] || span["parentSpanId"] == *root);
        }
        assert_eq!(spans[3]["startTimeUnixNano"], "999700000");
        assert_eq!(spans[0]["attributes"][1]["value"]["intValue"], "7");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_a_share_is_followed_and_a_receiver_that_is_away_holds_nothing_up() {
        let (way, exporter) = begin("http://127.0.0.1:1/v1/traces", 0.1, "x".into()).unwrap();
        tell(&way, "store", 0, Some(10_000), 1);
        // What the sender has in hand is neither waiting nor given up yet.
        let all = || QUEUE - way.spans.capacity() + way.dropped.load(Ordering::Relaxed) as usize;
        let expected = 800..1_200;
        for _ in 0..200 {
            if expected.contains(&all()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(expected.contains(&all()), "{}", all());
        tokio::task::spawn_blocking(|| exporter.finish()).await.unwrap();
        assert!(
            begin("http://other.example/v1/traces", 1.0, "x".into()).is_err(),
            "plain HTTP to another machine"
        );
    }
}
