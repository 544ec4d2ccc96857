//! `tidemark serve`

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::Shared;
use serde_json::json;
use tidemark_api::operations::{Caller, Operations};
use tidemark_api::store::Stores;
use tidemark_api::{grpc, http};
use tidemark_collector::decode::otlp::Sources;
use tidemark_collector::{Observer, Settings, Transition, disk_reserve};
use tidemark_schema::{Clock, FingerprintKey, SystemClock};
use tokio::net::TcpListener;

use super::{Session, policy, print};
use crate::arguments::{Serve, StoreArguments};
use crate::background::Background;
use crate::failure::Failure;

/// A log that takes longer to read is read on while events are refused.
const START_WAIT: Duration = Duration::from_secs(10);
/// A merge that takes longer is cut off when the server stops.
const MERGE_WAIT: Duration = Duration::from_secs(5);
const NOTE_WAIT: Duration = Duration::from_secs(5);

pub(crate) async fn run(store: &StoreArguments, arguments: &Serve) -> Result<ExitCode, Failure> {
    for address in std::iter::once(arguments.listen).chain(arguments.otlp_grpc) {
        if !address.ip().is_loopback() {
            let hint = "listen on a loopback address and put a proxy with credentials in front of it";
            let reason = format!("{address} can be reached from other machines, and there are no credentials");
            return Err(Failure::usage(reason).hint(hint));
        }
    }
    log_to_standard_error();
    let policy = Arc::new(policy::chosen(&arguments.policy)?);
    let sources = sources(arguments.sources.as_deref())?;
    let Session { operations, caller } = Session::of(store, "server")?.under(policy);
    if !caller.tenant.is_default() {
        let hint = "leave --tenant out; `tidemark import --tenant NAME` takes events of a tenant from files";
        return Err(Failure::usage("the server records for the default tenant only").hint(hint));
    }
    operations.create_store(&caller).await?;
    let stores = Arc::clone(operations.stores());
    let keys = stores.keys().load_or_create().await?;
    // The port first: a second server must not get as far as the log of the first.
    let listener = listen(arguments.listen, "--listen").await?;
    let grpc = match arguments.otlp_grpc {
        Some(address) => Some(listen(address, "--otlp-grpc").await?),
        None => None,
    };
    let clock = Arc::new(SystemClock);
    note_what_is_left(&operations, &caller).await;
    let background = Background::start()?;
    let start = {
        let (operations, settings) = (operations.clone(), settings(arguments, &stores));
        async move { operations.start_collector(settings).await }
    };
    let started = background.handle().spawn(start);
    let collector = Arc::new(started.await.map_err(Failure::of)??);
    let health = collector.health();
    // Before the address is told: whoever knows it may also ask to stop.
    let stopped = stop_requested()?.shared();
    let address = listener.local_addr()?;
    let over_grpc = match &grpc {
        Some(listener) => format!("listening for OTLP over gRPC on {}\n", listener.local_addr()?),
        None => String::new(),
    };
    let location = stores.location();
    print(&format!("listening on http://{address} (store {location}; stop with Ctrl-C)\n{over_grpc}"))?;
    let audit = stores.audit();
    let started = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "policy": operations.policy().version(),
        "key": keys.current.id(),
        "previous_key": keys.previous.as_ref().map(FingerprintKey::id),
        "recovered_events": health.recovered,
    });
    record(audit.append(clock.now(), "server", "start", started));
    let looks = keep_maintained(operations.clone(), caller.clone(), arguments.maintain_seconds, stopped.clone());
    let looks = background.handle().spawn(looks);
    let options = http::Options { sources, decoding: Some(background.handle()), ..http::Options::default() };
    let app = http::App::new(operations.clone(), keys, collector.clone(), clock.clone(), options);
    let over_grpc = async {
        match grpc {
            Some(listener) => grpc::serve(listener, app.clone(), stopped.clone()).await,
            None => Ok(()),
        }
    };
    tokio::try_join!(http::serve(listener, http::router(app.clone()), stopped.clone()), over_grpc)?;
    drop(app);
    let flushes_failed = collector.health().flush_failures > 0;
    let collector = Arc::try_unwrap(collector);
    let requests_ended = collector.is_ok();
    let flush = async {
        match collector {
            Ok(collector) => collector.shutdown().await,
            // A request that was cut off still holds it. What it took is in the log; what was acknowledged goes to the table.
            Err(collector) => match tokio::time::timeout(Duration::from_secs(15), collector.flush()).await {
                Ok(flushed) => flushed,
                Err(_) => Err(tidemark_collector::Error::StopTimeout { seconds: 15 }),
            },
        }
    };
    let (flushed, looks) = tokio::join!(flush, tokio::time::timeout(MERGE_WAIT, looks));
    background.stop().await;
    let looks_ended_well = matches!(looks, Ok(Ok(true)));
    let something_left = !requests_ended || flushes_failed || flushed.is_err() || !looks_ended_well;
    if something_left && tokio::time::timeout(NOTE_WAIT, note_what_is_left(&operations, &caller)).await.is_err() {
        tracing::warn!(
            "the store does not answer; what an interrupted write may have left is noted with the next start"
        );
    }
    record(audit.append(clock.now(), "server", "stop", json!({ "flushed": flushed.is_ok() })));
    flushed?;
    Ok(ExitCode::SUCCESS)
}

async fn listen(address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = format!("another program may use the port; choose one with {option}, port 0 takes any that is free");
        Failure::of(format!("{address} cannot be listened on: {error}")).hint(hint)
    })
}

fn sources(file: Option<&Path>) -> Result<Sources, Failure> {
    let Some(file) = file else { return Ok(Sources::default()) };
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::of(format!("the sources {} cannot be read: {error}", file.display())).hint("correct --sources")
    })?;
    Sources::parse(&text).map_err(|error| {
        let hint = "SOURCES.md in the directory `collector` describes each key; nothing was started";
        Failure::of(format!("the sources {} cannot be used: {error}", file.display())).hint(hint)
    })
}

fn settings(arguments: &Serve, stores: &Stores) -> Settings {
    let mut settings = Settings::in_directory(stores.log_directory());
    settings.flush_interval = Duration::from_secs(arguments.flush_seconds);
    settings.disk_reserve_bytes = disk_reserve(stores.state(), arguments.reserve);
    settings.start_wait = START_WAIT;
    settings.log.budget_bytes = arguments.log_budget;
    let audit = stores.audit();
    settings.on_transition = Some(Observer::new(move |transition: &Transition| {
        let detail = json!({ "from": transition.from, "to": transition.to, "reason": transition.reason });
        record(audit.append(transition.at, "server", "mode", detail));
    }));
    settings
}

/// The audit log lies on the disk whose troubles it tells of; then the log on standard error has to do.
fn record(appended: std::io::Result<()>) {
    if let Err(error) = appended {
        tracing::error!(%error, "the audit log could not be written");
    }
}

/// Writes go in two steps, files and their commit. What was cut off in between, or failed in the second, is told, so that it
/// is not taken for something that was put there.
async fn note_what_is_left(operations: &Operations, caller: &Caller) {
    if let Err(error) = operations.note_leftovers(caller).await {
        tracing::warn!(%error, "what an interrupted write may have left could not be noted");
    }
}

/// Looks after the store again and again, until the server stops; whether all of it went well.
async fn keep_maintained(
    operations: Operations,
    caller: Caller,
    seconds: u64,
    stopped: Shared<impl Future<Output = ()> + Send>,
) -> bool {
    let audit = operations.stores().audit();
    let mut ticks = tokio::time::interval(Duration::from_secs(seconds));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut over_budget, mut went_well) = (false, true);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stopped.clone() => return went_well,
        }
        let go_on = || stopped.peek().is_none();
        let summaries = match operations.maintain_all(&caller, &go_on).await {
            Ok(summaries) => summaries,
            Err(error) => {
                tracing::warn!(%error, "maintenance failed and will be tried again");
                went_well = false;
                continue;
            }
        };
        went_well &= summaries.iter().all(|summary| summary.failures.is_empty());
        if !go_on() {
            return went_well;
        }
        tracing::debug!(?summaries, "the store was maintained");
        let exceeds = summaries.iter().any(|summary| summary.over_budget);
        if exceeds != over_budget {
            over_budget = exceeds;
            let bytes: u64 = summaries.iter().map(|summary| summary.bytes).sum();
            let detail = json!({ "over_budget": over_budget, "bytes": bytes });
            record(audit.append(SystemClock.now(), "server", "budget", detail));
        }
    }
}

fn log_to_standard_error() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TIDEMARK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,tidemark=info"));
    let logger = tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_env_filter(filter);
    if logger.try_init().is_err() {
        tracing::debug!("logging was set up already");
    }
    // A panic is a line of the log like any other. Its message may hold a value that came from outside, so it is not told.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        // Both are caught where they arise: `object_store` panics when a write that failed is taken back, and the engine of
        // `deltalake` when its work is cut off because the server stops.
        if place.contains("object_store") || place.contains("kernel_engine") {
            tracing::warn!(place, "work on the store was cut off");
        } else {
            tracing::error!(place, "a panic was caught");
        }
    }));
}

/// Listens for a request to stop from now on; what it gives ends when there is one.
fn stop_requested() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        #[cfg(unix)]
        let terminated = terminate.recv();
        #[cfg(not(unix))]
        let terminated = std::future::pending::<Option<()>>();
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated => {}
        }
    })
}
