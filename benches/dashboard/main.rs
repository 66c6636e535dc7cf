//! The dashboard over a file with a million deliveries: how long each page takes, and at what rate events are accepted
//! beside ten pages that are open and live. Measured from outside, on the real binary.
//!
//! ```text
//! cargo bench --bench dashboard                        # 1,000,000 deliveries, less than six minutes
//! cargo bench --bench dashboard -- --quick             # 50,000
//! cargo bench --bench dashboard -- --deliveries N
//! cargo bench --bench dashboard -- --pages             # only the pages
//! cargo bench --bench dashboard -- --keep PATH         # leaves a copy of the file there, to look at its queries
//! cargo bench --bench dashboard -- --binary PATH       # another build of the server
//! ```
//!
//! All traffic stays on loopback.

mod accept;
mod file;
mod live;
mod pages;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use support::report::Report;
use support::server::Server;
use support::{Result, system};

/// How the bench was called.
struct Options {
    binary: PathBuf,
    deliveries: usize,
    /// Measurements of accepting with live pages, and as many without.
    pairs: usize,
    /// Length of each. Beside a busy server a page rests for some seconds between two readings.
    length: Duration,
    /// Whether accepting is measured.
    accepts: bool,
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    support::run("dashboard", support::load_part, measure)
}

fn measure(args: &[String]) -> Result<bool> {
    let mut options = Options {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_data-pusher")),
        deliveries: 1_000_000,
        pairs: 5,
        length: Duration::from_secs(10),
        accepts: true,
        keep: None,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--bench" => {}
            "--quick" => (options.deliveries, options.pairs) = (50_000, 3),
            "--deliveries" => options.deliveries = value()?.parse()?,
            "--pairs" => options.pairs = value()?.parse()?,
            "--seconds" => options.length = Duration::from_secs(value()?.parse()?),
            "--pages" => options.accepts = false,
            "--keep" => options.keep = Some(value()?.into()),
            "--binary" => options.binary = value()?.into(),
            other => return Err(format!("no such argument: {other}").into()),
        }
    }
    let mut report = Report::default();
    report.begin();
    // What is a month old is to stay.
    let mut server = Server::start(&options.binary, &["--retention", "60d"])?;
    let began = Instant::now();
    let mut filled = 0;
    server.stop_and_do(|path| {
        filled = file::fill(path, options.deliveries)?;
        if let Some(copy) = &options.keep {
            std::fs::copy(path, copy)?;
        }
        Ok(())
    })?;
    println!("{filled} deliveries written in {:.0} s", began.elapsed().as_secs_f64());
    pages::measure(&server, &mut report)?;
    if options.accepts {
        accept::measure(&options, &mut server, &mut report)?;
    }
    if server.errors() > 0 {
        report.fault(format!("{} errors in the server's log", server.errors()));
    }
    report.end(&system::target_folder().join("dashboard.json"))
}
