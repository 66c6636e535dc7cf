//! Logging to standard error: text for people on a terminal, JSON otherwise.

use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::config::LogFormat;
use crate::error::{Error, Result};
use crate::process::output::{self, LogLines};

/// Levels where `RUST_LOG` is not set.
const DEFAULT_FILTER: &str = "warn,data_pusher=info";

/// Added to the levels while this program logs at debug.
const DEBUG: &str = "data_pusher=debug";

/// The finest level of each target, whatever `RUST_LOG` asks for. At finer levels these libraries log headers and
/// bodies, which hold secrets.
fn cap() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("data_pusher", LevelFilter::TRACE)
        .with_targets(["ureq", "ureq_proto", "rustls"].map(|library| (library, LevelFilter::WARN)))
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStyle {
    /// Text, to a terminal.
    Terminal,
    /// Text, to a file or another program.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is to become of the levels of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LevelChange {
    /// To debug, or back to what they were at the start.
    Toggle,
    /// To what they were at the start.
    Usual,
}

/// The levels of the log while the server runs.
pub struct LogLevels {
    /// Those of the start, as `RUST_LOG` writes them.
    usual: String,
    is_debug: bool,
    filter: reload::Handle<EnvFilter, Registry>,
}

impl LogLevels {
    /// Changes the levels, and says which are in force.
    pub fn set(&mut self, change: LevelChange) {
        self.is_debug = change == LevelChange::Toggle && !self.is_debug;
        let levels = if self.is_debug { format!("{},{DEBUG}", self.usual) } else { self.usual.clone() };
        let changed = EnvFilter::try_new(&levels).map_err(|error| error.to_string());
        match changed.and_then(|filter| self.filter.reload(filter).map_err(|error| error.to_string())) {
            Ok(()) => tracing::info!(levels, "levels of the log changed"),
            Err(error) => tracing::warn!(error, "the levels of the log stay as they were"),
        }
    }
}

/// Starts logging. `RUST_LOG` sets the levels. Where `RUST_LOG` is unset or empty, this program logs at info and all
/// libraries at warn.
///
/// # Errors
/// The operating system cannot start a thread.
pub fn start(format: LogFormat) -> Result<(LogStyle, LogLevels)> {
    output::start().map_err(|error| Error::internal(format!("cannot start the log's thread: {error}")))?;
    let asked = std::env::var("RUST_LOG").ok().filter(|levels| !levels.trim().is_empty());
    let (usual, wrong) = match asked.map(|levels| EnvFilter::try_new(&levels).map(|_| levels)) {
        Some(Ok(levels)) => (levels, None),
        Some(Err(error)) => (DEFAULT_FILTER.to_owned(), Some(error)),
        None => (DEFAULT_FILTER.to_owned(), None),
    };
    let (filter, handle) = reload::Layer::new(EnvFilter::new(&usual));
    let (terminal, colours) = (std::io::stderr().is_terminal(), output::is_rich(&std::io::stderr()));
    let lines = tracing_subscriber::fmt::layer().with_writer(|| LogLines).log_internal_errors(false);
    let as_json = format == LogFormat::Json || (format == LogFormat::Auto && !terminal);
    let lines = if as_json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_target(false).with_ansi(colours).boxed()
    };
    tracing_subscriber::registry().with(lines.with_filter(filter.and(cap()))).init();
    // The default hook writes to standard error directly, so it would wait for a slow reader.
    std::panic::set_hook(Box::new(log_panic));
    if let Some(error) = wrong {
        tracing::warn!(%error, "RUST_LOG is wrong and does not count; write it as info or as warn,data_pusher=debug");
    }
    let style = match (as_json, terminal) {
        (true, _) => LogStyle::Json,
        (false, true) => LogStyle::Terminal,
        (false, false) => LogStyle::Text,
    };
    Ok((style, LogLevels { usual, is_debug: false, filter: handle }))
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
