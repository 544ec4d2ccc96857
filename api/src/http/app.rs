use std::sync::Arc;
use std::time::Duration;

use tidemark_analyzer as analyzer;
use tidemark_collector::decode;
use tidemark_collector::decode::otlp::Sources;
use tidemark_collector::intake::{IntakeLimits, Memory};
use tidemark_collector::{Collector, Intake};
use tidemark_lake::SqlLimits;
use tidemark_schema::{Clock, FingerprintKeys, TenantName};
use tokio::runtime::Handle;

use crate::operations::{Caller, Operations};

use super::gate::Gate;
use super::metrics::Metrics;
use super::registered::Registered;

const MIB: usize = 1024 * 1024;

/// What all requests share. Cloning is cheap.
#[derive(Clone)]
pub struct App {
    pub(crate) operations: Operations,
    /// Who asks: whoever reaches a loopback address of this machine.
    pub(crate) caller: Arc<Caller>,
    pub(crate) collector: Arc<Collector>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) options: Arc<Options>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) registered: Arc<Registered>,
}

/// How requests are served.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names and addresses, besides the loopback ones, under which this server may be asked; without port.
    pub hosts: Vec<String>,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// What one event may be at most.
    pub events: decode::Limits,
    /// Where spans keep what no convention names.
    pub sources: Sources,
    /// How comparisons judge.
    pub comparison: analyzer::Options,
    /// What requests may cost.
    pub limits: Limits,
    /// Where bodies are decoded: the runtime that serves requests if `None`. Threads of lower priority leave the processor
    /// to whoever asks something.
    pub decoding: Option<Handle>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            request_timeout: Duration::from_mins(1),
            events: decode::Limits::default(),
            sources: Sources::default(),
            comparison: analyzer::Options::default(),
            limits: Limits::default(),
            decoding: None,
        }
    }
}

/// What requests may cost. All limits are hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a batch of events as it is sent.
    pub body_bytes: usize,
    /// Bytes of a batch of events after decompression.
    pub content_bytes: usize,
    /// Events of a batch.
    pub batch_events: usize,
    /// Bytes of a manifest as it is sent; it is held in memory, so a larger one has to be compressed.
    pub manifest_body_bytes: usize,
    /// Bytes of a manifest after decompression; it is read as a stream.
    pub manifest_content_bytes: u64,
    /// Entries of a manifest. A million take about 300 MB; `tidemark corpus register` takes ten times as many.
    pub manifest_entries: u64,
    /// Bytes of all bodies that are received, decoded or waiting for their answer; beyond it requests are turned away.
    pub in_flight_bytes: usize,
    /// Messages over gRPC that are received and answered at a time. Each has up to 16 MiB.
    pub messages: usize,
    /// Bodies that are decoded at a time.
    pub decoders: usize,
    /// Comparisons, diffs and registrations that run at a time.
    pub computations: usize,
    /// Traces that are looked up at a time.
    pub lookups: usize,
    /// Queries in SQL that are answered at a time.
    pub queries: usize,
    /// What one of them may take.
    pub sql: SqlLimits,
    /// How long a request waits for one of these places before it is turned away.
    pub patience: Duration,
    /// Retrievals and outputs of one trace that are shown, each.
    pub trace_events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 32 * MIB,
            content_bytes: 64 * MIB,
            batch_events: 20_000,
            manifest_body_bytes: 64 * MIB,
            manifest_content_bytes: 256 * MIB as u64,
            manifest_entries: 1_000_000,
            in_flight_bytes: 64 * MIB,
            messages: 4,
            // Whoever asks something shall find a core.
            decoders: std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, 4)),
            computations: 2,
            lookups: 16,
            queries: 2,
            sql: SqlLimits::default(),
            patience: Duration::from_secs(1),
            trace_events: 200,
        }
    }
}

impl App {
    /// Serves a store and its running collector under the operations' policy. The keys are those of the store.
    pub fn new(
        operations: Operations,
        keys: FingerprintKeys,
        collector: Arc<Collector>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Self {
        let memory = Memory::new(options.limits.in_flight_bytes);
        let gate = Arc::new(Gate::new(&options.limits, memory.clone(), options.decoding.clone()));
        let operations = operations.with_collector(Arc::clone(&collector));
        let caller = Arc::new(Caller::operator("server", TenantName::default()));
        let policy = Arc::clone(operations.policy());
        let metrics = Arc::new(Metrics::new(Arc::clone(&collector), &policy));
        let Limits { batch_events, content_bytes, .. } = options.limits;
        let limits = IntakeLimits { events: options.events, batch_events, content_bytes };
        let intake =
            Arc::new(Intake::new(Arc::clone(&clock), Arc::new(keys), policy, options.sources.clone(), limits, memory));
        let (options, registered) = (Arc::new(options), Arc::default());
        Self { operations, caller, collector, clock, intake, options, gate, metrics, registered }
    }
}
