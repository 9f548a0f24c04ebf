//! Figures for those who run the server, in the form that Prometheus reads; and whether it is ready to take recordings in.
//!
//! No label holds a name of a person, host or recording.

use crate::{VERSION, core::Shared, recordings::lock, storage::TendMetrics};
use playhead_net::HttpMetrics;
use playhead_protocol::message::Refusal;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode_registry},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

/// How long the database may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Operation {
    operation: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Place {
    location: String,
}

/// Everything that is counted while it happens. What is known anyway is looked up when somebody asks.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    looked: Looked,
    pub(crate) http: HttpMetrics,
    pub(crate) fragments: Counter,
    pub(crate) fragment_bytes: Counter,
    pub(crate) uncompressed_bytes: Counter,
    refusals: Family<Reason, Counter>,
    /// From the last byte of a fragment until its acknowledgement is handed to the connection.
    pub(crate) acknowledged: Histogram,
    pub(crate) sync: Histogram,
    pub(crate) group_fragments: Histogram,
    pub(crate) group_bytes: Histogram,
    pub(crate) journal_errors: Counter,
    /// How long shared storage took to take a part of the journal.
    pub(crate) shared_put: Histogram,
    pub(crate) shared_errors: Counter,
    stored: Family<Place, Counter>,
    stored_bytes: Family<Place, Counter>,
    pub(crate) storing: Histogram,
    pub(crate) store_errors: Counter,
    database: Family<Operation, Histogram, fn() -> Histogram>,
    pub(crate) tending: Arc<TendMetrics>,
}

/// What is looked up.
#[derive(Default)]
struct Looked {
    connections: Gauge,
    agents: Gauge,
    recordings: Gauge,
    sessions: Gauge,
    unstored_bytes: Gauge,
    journal_free: Gauge,
    disk_free: Gauge,
    to_store: Gauge,
    intake_open: Gauge,
    uptime: Gauge<f64, AtomicU64>,
    location_errors: Family<Place, Gauge>,
}

fn times() -> Histogram {
    Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("playhead");
        let http = HttpMetrics::new(&mut registry);
        let metrics = Self {
            looked: Looked::default(),
            http,
            fragments: Counter::default(),
            fragment_bytes: Counter::default(),
            uncompressed_bytes: Counter::default(),
            refusals: Family::default(),
            acknowledged: times(),
            sync: times(),
            group_fragments: Histogram::new([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]),
            group_bytes: Histogram::new([12, 14, 16, 18, 20, 22, 24].map(|power| f64::from(1 << power))),
            journal_errors: Counter::default(),
            shared_put: times(),
            shared_errors: Counter::default(),
            stored: Family::default(),
            stored_bytes: Family::default(),
            storing: Histogram::new([0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0]),
            store_errors: Counter::default(),
            database: Family::new_with_constructor(times),
            tending: Arc::default(),
            registry: Mutex::default(),
        };
        metrics.register(&mut registry);
        metrics.looked.register(&mut registry);
        metrics.tending.register(&mut registry);
        *lock(&metrics.registry) = registry;
        Arc::new(metrics)
    }

    fn register(&self, registry: &mut Registry) {
        let build = Info::new(vec![("version", VERSION)]);
        registry.register("build", "What runs", build);
        registry.register("fragments_received", "Fragments that agents sent", self.fragments.clone());
        registry.register_with_unit(
            "fragments_received",
            "Bytes of the fragments that agents sent",
            Unit::Bytes,
            self.fragment_bytes.clone(),
        );
        registry.register_with_unit(
            "fragments_uncompressed",
            "Bytes of the same when decompressed",
            Unit::Bytes,
            self.uncompressed_bytes.clone(),
        );
        registry.register("refusals", "What was refused to agents, by reason", self.refusals.clone());
        let seconds = [
            (
                "acknowledgement",
                "From a fragment's arrival until its acknowledgement is on its way",
                &self.acknowledged,
            ),
            (
                "shared_journal_put",
                "How long shared storage took to take a part of the journal",
                &self.shared_put,
            ),
            ("journal_sync", "How long the disk took to make a group of fragments durable", &self.sync),
            (
                "segment_store",
                "How long a segment took to be stored, read back and written down",
                &self.storing,
            ),
        ];
        for (name, help, histogram) in seconds {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        registry.register(
            "journal_group_fragments",
            "Fragments made durable by one sync",
            self.group_fragments.clone(),
        );
        registry.register_with_unit(
            "journal_group",
            "Bytes made durable by one sync",
            Unit::Bytes,
            self.group_bytes.clone(),
        );
        registry.register("journal_errors", "Groups that could not be written", self.journal_errors.clone());
        registry.register(
            "shared_journal_errors",
            "Parts of the journal that shared storage did not take at first",
            self.shared_errors.clone(),
        );
        registry.register("segments_stored", "Segments that were stored, by location", self.stored.clone());
        registry.register_with_unit(
            "segments_stored",
            "Bytes of segments that were stored, by location",
            Unit::Bytes,
            self.stored_bytes.clone(),
        );
        registry.register(
            "segment_store_errors",
            "Segments that could not be stored at first",
            self.store_errors.clone(),
        );
        registry.register_with_unit(
            "database",
            "How long the database took, by operation",
            Unit::Seconds,
            self.database.clone(),
        );
    }

    pub(crate) fn refused(&self, reason: Refusal) {
        let reason = match reason {
            Refusal::Unspecified => "unspecified",
            Refusal::Later => "later",
            Refusal::Mismatch => "mismatch",
            Refusal::Malformed => "malformed",
            Refusal::Quarantined => "quarantined",
            Refusal::NotYours => "not-yours",
        };
        self.refusals.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn stored(&self, location: &str, bytes: u64, time: Duration) {
        let place = Place { location: location.to_owned() };
        self.stored.get_or_create(&place).inc();
        self.stored_bytes.get_or_create(&place).inc_by(bytes);
        self.storing.observe(time.as_secs_f64());
    }

    pub(crate) fn database(&self, operation: &'static str, time: Duration) {
        self.database.get_or_create(&Operation { operation }).observe(time.as_secs_f64());
    }
}

impl Looked {
    fn register(&self, registry: &mut Registry) {
        let gauges = [
            ("agent_connections", "Connections of agents", &self.connections),
            ("agents_connected", "Agents that are connected", &self.agents),
            ("recordings_held", "Recordings of which something is not stored yet", &self.recordings),
            ("sessions_connected", "Recordings that their agent has open", &self.sessions),
            ("recordings_to_store", "Recordings that wait for a segment to be stored", &self.to_store),
            (
                "intake_open",
                "1 when recordings are taken in, 0 when the disk or the storage is full",
                &self.intake_open,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        let bytes = [
            ("unstored", "Bytes of fragments that are in no stored segment yet", &self.unstored_bytes),
            (
                "journal_room",
                "Bytes that may still queue for the journal before agents have to wait",
                &self.journal_free,
            ),
            ("disk_free", "Free bytes on the disk of the data folder", &self.disk_free),
        ];
        for (name, help, gauge) in bytes {
            registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        }
        registry.register_with_unit("uptime", "Since the server's start", Unit::Seconds, self.uptime.clone());
        registry.register(
            "storage_location_errors",
            "Failures of each storage location since the start",
            self.location_errors.clone(),
        );
    }

    fn look(&self, core: &Shared) {
        let set = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        let (agents, connections) = {
            let connected = lock(&core.connected);
            (connected.len(), connected.values().sum::<usize>())
        };
        set(&self.agents, agents as u64);
        set(&self.connections, connections as u64);
        let all = core.recordings.all();
        set(&self.recordings, all.len() as u64);
        let (mut sessions, mut bytes) = (0, 0);
        for live in &all {
            let (connected, held) = live.standing();
            sessions += u64::from(connected);
            bytes += held;
        }
        set(&self.sessions, sessions);
        set(&self.unstored_bytes, bytes);
        set(&self.to_store, core.recordings.waiting_to_seal() as u64);
        set(&self.journal_free, core.journal.free_room());
        set(&self.disk_free, core.space.free());
        set(&self.intake_open, u64::from(core.space.problem().is_none()));
        self.uptime.set(core.started.elapsed().as_secs_f64());
        for location in core.storage.all() {
            let place = Place { location: location.id.clone() };
            set(&self.location_errors.get_or_create(&place), location.errors.load(Ordering::Relaxed));
        }
    }
}

/// A view on a running server for those who watch over it.
#[derive(Clone)]
pub struct Monitor(Shared);

impl Monitor {
    pub(crate) fn new(core: Shared) -> Self {
        Self(core)
    }

    /// Appends all figures in OpenMetrics' text form, without its end mark.
    pub fn encode(&self, out: &mut String) {
        self.0.metrics.looked.look(&self.0);
        // A text takes everything.
        let _ = encode_registry(out, &lock(&self.0.metrics.registry));
    }

    /// What keeps the server from taking recordings in: nothing when it is ready.
    pub async fn not_ready(&self) -> Vec<String> {
        let core = &self.0;
        let mut problems: Vec<String> = core.space.problem().into_iter().collect();
        match timeout(PATIENCE, core.store.settings()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => problems.push(format!("the database does not answer: {error}")),
            Err(_) => problems.push(format!("the database did not answer within {} s", PATIENCE.as_secs())),
        }
        if core.journal.is_closed() {
            problems.push("the journal is closed".into());
        }
        problems.extend(lock(&core.storage_problem).clone());
        problems.extend(core.storage.problems());
        problems
    }
}

#[cfg(test)]
mod tests {
    use crate::{Server, Settings};

    #[tokio::test]
    async fn a_new_server_is_ready_and_says_so_in_figures() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Settings::new(folder.path())).await.unwrap();
        let monitor = server.monitor();
        assert_eq!(monitor.not_ready().await, Vec::<String>::new());
        let mut text = String::new();
        monitor.encode(&mut text);
        for line in [
            "# TYPE playhead_acknowledgement_seconds histogram",
            "# UNIT playhead_acknowledgement_seconds seconds",
            "playhead_fragments_received_total 0",
            "playhead_sessions_connected 0",
            "playhead_intake_open 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} not in {text}");
        }
        server.shutdown().await;
        assert!(monitor.not_ready().await.iter().any(|problem| problem.contains("database")));
    }
}
