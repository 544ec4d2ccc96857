//! `tidemark serve`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tidemark_api::http;
use tidemark_api::wire::LakeSink;
use tidemark_collector::{Collector, Settings};
use tidemark_schema::SystemClock;
use tokio::net::TcpListener;

use super::{create, print, text_policy};
use crate::arguments::{Place, Serve};
use crate::failure::Failure;

pub(crate) async fn run(place: &Place, arguments: &Serve) -> Result<ExitCode, Failure> {
    if !arguments.listen.ip().is_loopback() {
        let hint = "listen on a loopback address and put a proxy with credentials in front of it";
        let reason = format!("{} can be reached from other machines, and there are no credentials", arguments.listen);
        return Err(Failure::usage(reason).hint(hint));
    }
    log_to_standard_error();
    let store = create(place).await?;
    // The port first: a second server must not get as far as the log of the first.
    let listener = TcpListener::bind(arguments.listen).await.map_err(|error| {
        let hint = "another program may use the port; choose one with --listen, port 0 takes any that is free";
        Failure::of(format!("{} cannot be listened on: {error}", arguments.listen)).hint(hint)
    })?;
    let mut settings = Settings::in_directory(store.log_directory());
    settings.flush_interval = Duration::from_secs(arguments.flush_seconds);
    let clock = Arc::new(SystemClock);
    let collector = Arc::new(Collector::start(settings, Arc::new(LakeSink(store.lake.clone())), clock.clone()).await?);
    let recovered = collector.health().recovered;
    // Before the address is told: whoever knows it may also ask to stop.
    let stopped = stop_requested()?;
    let address = listener.local_addr()?;
    print(&format!("listening on http://{address} (store {}; stop with Ctrl-C)\n", store.lake.location()))?;
    if recovered > 0 {
        tracing::info!(events = recovered, "recovered events from the write-ahead log");
    }
    let app = http::App::new(store, collector.clone(), clock, text_policy(arguments.text));
    http::serve(listener, http::router(app), stopped).await?;
    match Arc::try_unwrap(collector) {
        Ok(collector) => collector.shutdown().await?,
        // A request that was cut off still holds it. What it took is in the log; what was acknowledged goes to the table.
        Err(collector) => collector.flush().await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn log_to_standard_error() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TIDEMARK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,tidemark=info"));
    let logger = tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_env_filter(filter);
    if logger.try_init().is_err() {
        tracing::debug!("logging was set up already");
    }
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
