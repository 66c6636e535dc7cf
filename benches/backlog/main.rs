//! A file with a million deliveries: what a start, a list and a deletion then cost. Measured from outside, on the real
//! binary.
//!
//! ```text
//! cargo bench --bench backlog                          # 1,000,000 deliveries, some minutes
//! cargo bench --bench backlog -- --quick               # 50,000
//! cargo bench --bench backlog -- --deliveries N
//! cargo bench --bench backlog -- --binary PATH         # another build of the server
//! ```
//!
//! All traffic stays on loopback.

mod lists;
mod play;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use support::report::Report;
use support::{Result, system};

/// How the bench was called.
struct Options {
    binary: PathBuf,
    deliveries: usize,
}

fn main() -> ExitCode {
    support::run("backlog", support::sink_part, measure)
}

fn measure(args: &[String]) -> Result<bool> {
    let mut options = Options { binary: PathBuf::from(env!("CARGO_BIN_EXE_data-pusher")), deliveries: 1_000_000 };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--bench" => {}
            "--quick" => options.deliveries = 50_000,
            "--deliveries" => options.deliveries = value()?.parse()?,
            "--binary" => options.binary = value()?.into(),
            other => return Err(format!("no such argument: {other}").into()),
        }
    }
    let mut report = Report::default();
    report.begin();
    play::all(&options, &mut report)?;
    report.end(&system::target_folder().join("backlog.json"))
}
