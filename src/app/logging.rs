//! Logs go to stderr: for people on a terminal, as JSON otherwise.

use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::config::LogFormat;
use crate::error::{Error, Result};
use crate::process::output::{self, LogLines};

/// What is logged where `RUST_LOG` does not say.
const DEFAULT_FILTER: &str = "warn,data_pusher=info";

/// What is never logged more finely than this, whatever `RUST_LOG` says: at finer levels these log the headers and bodies
/// that they send and receive, and so secrets.
fn cap() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("data_pusher", LevelFilter::TRACE)
        .with_targets(["ureq", "ureq_proto", "rustls"].map(|library| (library, LevelFilter::WARN)))
}

/// Starts logging. `RUST_LOG` chooses levels; without it, or where it is empty, this program's at info and all others' at
/// warn.
///
/// # Errors
/// The operating system gives no thread.
pub fn start(format: LogFormat) -> Result<()> {
    output::start().map_err(|error| Error::internal(format!("cannot start the log's thread: {error}")))?;
    let asked = std::env::var("RUST_LOG").ok().filter(|levels| !levels.trim().is_empty());
    let (filter, wrong) = match asked.as_deref().map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(DEFAULT_FILTER), Some(error)),
        None => (EnvFilter::new(DEFAULT_FILTER), None),
    };
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(|| LogLines).log_internal_errors(false);
    let as_json = format == LogFormat::Json || (format == LogFormat::Auto && !terminal);
    let lines = if as_json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_target(false).with_ansi(terminal).boxed()
    };
    tracing_subscriber::registry().with(lines.with_filter(filter.and(cap()))).init();
    // The default hook writes to standard error itself, and would wait for who reads it.
    std::panic::set_hook(Box::new(log_panic));
    if let Some(error) = wrong {
        tracing::warn!(%error, "RUST_LOG is wrong and does not count; write it as info or as warn,data_pusher=debug");
    }
    Ok(())
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    tracing::error!(
        thread = thread.name(),
        location = panic.location().map(ToString::to_string),
        reason = panic
            .payload()
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.payload().downcast_ref::<String>().map(String::as_str)),
        "panicked"
    );
}
