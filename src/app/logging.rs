//! Logs go to stderr: for people on a terminal, as JSON otherwise.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::cli::LogFormat;

/// What is never logged more finely, whatever `RUST_LOG` says.
const SILENCED: [&str; 4] = ["ureq=warn", "ureq_proto=warn", "rustls=warn", "hyper=info"];

/// Starts logging. `RUST_LOG` chooses levels; without it, this program's at info and all others' at warn.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,data_pusher=info"));
    // At finer levels these log the headers and bodies that they send: secrets of destinations.
    let filter = SILENCED.iter().filter_map(|directive| directive.parse().ok()).fold(filter, EnvFilter::add_directive);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Auto if !terminal => builder.json().flatten_event(true).init(),
        LogFormat::Auto | LogFormat::Text => builder.with_target(false).with_ansi(terminal).init(),
    }
}
