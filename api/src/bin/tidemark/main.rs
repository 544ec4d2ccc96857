//! The one binary. Its commands live in `commands`; what they do lives in the library.

mod arguments;
mod background;
mod commands;
mod failure;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use failure::Failure;

/// Many threads allocate events that others free. The allocator of glibc keeps what was freed in pools per thread, which is
/// twice the memory under load. Huge pages are left alone (`no_thp`): a page of 2 MB is resident when a byte of it is used.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Files are read on these threads. The memory that each of them once needed stays with it, so the hundreds that the
/// runtime would start if asked are bounded.
const BLOCKING_THREADS: usize = 8;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(unix)]
    match arguments.command {
        Command::Serve(_) => begin_with_lean_allocator("0"),
        Command::Compare(_) => begin_with_lean_allocator("100"),
        _ => {}
    }
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().max_blocking_threads(BLOCKING_THREADS).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Failure::of(error).report(),
        };
    match runtime.block_on(run(arguments)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// Under a flood, and while the columns of a large window are decoded, memory that waits to be reused is as much as what is
/// used. The allocator gives it back after so many milliseconds (a second if nobody says otherwise), which it reads from the
/// environment before `main`; so the program begins again with that, as the same process. Giving it back at once costs a
/// comparison half of its time, after a tenth of a second nothing that can be measured.
#[cfg(unix)]
fn begin_with_lean_allocator(milliseconds: &str) {
    use std::os::unix::process::CommandExt;

    const VARIABLE: &str = "MIMALLOC_PURGE_DELAY";
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let mut again = std::process::Command::new(program);
        let failed = again.args(std::env::args_os().skip(1)).env(VARIABLE, milliseconds).exec();
        // It goes on as it is, with more memory.
        tracing::debug!(error = %failed, "the program could not begin again");
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let store = &arguments.store;
    match arguments.command {
        Command::Demo(demo) => commands::demo::run(store, &demo).await,
        Command::Serve(serve) => commands::serve::run(store, &serve).await,
        Command::Import(import) => commands::import::run(store, &import).await,
        Command::Export(export) => commands::export::run(store, &export).await,
        Command::Corpus(corpus) => commands::corpus::run(store, &corpus).await,
        Command::Compare(compare) => commands::compare::run(store, &compare).await,
        Command::Diff(diff) => commands::diff::run(store, &diff).await,
        Command::Policy(policy) => commands::policy::run(&policy),
        Command::Key(key) => commands::key::run(store, &key).await,
        Command::Storage(storage) => commands::storage::run(store, &storage).await,
        Command::Verify(verify) => commands::verify::run(store, &verify).await,
        Command::Erase(erase) => commands::erase::run(store, &erase).await,
        Command::Audit(audit) => commands::audit::run(store, &audit).await,
        Command::Doctor(doctor) => commands::doctor::run(store, &doctor).await,
    }
}
