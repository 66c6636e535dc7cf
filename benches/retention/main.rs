//! Measures whether retention keeps up while the server accepts and delivers as much as it can. The file must stop
//! growing. The rate must stay near that of a server that keeps everything.
//!
//! ```text
//! cargo bench --bench retention                        # 60 s at full rate, a retention of 10 s; some 2 minutes in all
//! cargo bench --bench retention -- --minutes 10        # the long form: 10 minutes, a retention of a minute
//! cargo bench --bench retention -- --seconds 120 --retention 20
//! cargo bench --bench retention -- --accounts 1000     # each with a destination
//! cargo bench --bench retention -- --rest              # what a server at rest costs, with old rows of three kinds
//! cargo bench --bench retention -- --binary PATH       # another build of the server
//! ```
//!
//! All traffic stays on loopback.

mod play;
mod rest;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use support::report::Report;
use support::{Result, system};

/// How the bench was called.
pub struct Options {
    /// The server's binary.
    pub binary: PathBuf,
    /// Length of the load at full rate.
    pub length: Duration,
    /// The server's retention.
    pub retention: Duration,
    /// Number of accounts, each with one destination.
    pub accounts: usize,
}

fn main() -> ExitCode {
    support::run("retention", support::load_part, measure)
}

fn measure(args: &[String]) -> Result<bool> {
    let mut options = Options {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_data-pusher")),
        length: Duration::from_secs(60),
        retention: Duration::ZERO,
        accounts: 1,
    };
    let mut at_rest = false;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--bench" => {}
            "--minutes" => options.length = Duration::from_secs(60 * value()?.parse::<u64>()?),
            "--seconds" => options.length = Duration::from_secs(value()?.parse()?),
            "--retention" => options.retention = Duration::from_secs(value()?.parse()?),
            "--accounts" => options.accounts = value()?.parse()?,
            "--rest" => at_rest = true,
            "--binary" => options.binary = value()?.into(),
            other => return Err(format!("no such argument: {other}").into()),
        }
    }
    if options.retention.is_zero() {
        options.retention = (options.length / 6).min(Duration::from_secs(60)).max(Duration::from_secs(1));
    }
    let mut report = Report::default();
    report.begin();
    if at_rest {
        rest::measure(&options, &mut report)?;
    } else {
        play::measure(&options, &mut report)?;
    }
    report.end(&system::target_folder().join("retention.json"))
}
