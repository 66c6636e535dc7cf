//! A file with a million deliveries: what starting, looking and deleting cost then, measured from outside on the real
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

use serde_json::json;

use support::{Result, sink, sinks, system};

/// How the bench was called.
struct Options {
    binary: PathBuf,
    deliveries: usize,
}

/// A figure, and the most or least that it should be.
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    target: Target,
}

#[derive(Clone, Copy)]
enum Target {
    None,
    AtMost(f64),
}

/// All figures, written as they come.
#[derive(Default)]
struct Report(Vec<Figure>);

impl Report {
    fn take(&mut self, name: &str, value: f64, unit: &'static str, target: Target) {
        let figure = Figure { name: name.to_owned(), value, unit, target };
        let target = match figure.target {
            Target::None => String::new(),
            Target::AtMost(most) => format!("at most {most}"),
        };
        let verdict = if figure.met() { "" } else { "  MISSED" };
        println!("{name:<58} {value:>10.1} {unit:<6} {target:>14}{verdict}");
        self.0.push(figure);
    }

    fn end(&self, deliveries: usize) -> Result<bool> {
        let figures: Vec<_> = self
            .0
            .iter()
            .map(|figure| json!({ "name": figure.name, "value": figure.value, "unit": figure.unit, "met": figure.met() }))
            .collect();
        let path = system::target_folder().join("backlog.json");
        std::fs::write(&path, serde_json::to_vec_pretty(&json!({ "deliveries": deliveries, "figures": figures }))?)?;
        println!("figures: backlog.json in the target folder");
        Ok(self.0.iter().all(Figure::met))
    }
}

impl Figure {
    fn met(&self) -> bool {
        match self.target {
            Target::None => true,
            Target::AtMost(most) => self.value <= most,
        }
    }
}

fn main() -> ExitCode {
    system::many_files();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some(sinks::SINK_ARGUMENT) => sink::run().map(|()| true).map_err(Into::into),
        // `cargo test --all-targets` starts benches as well, without this.
        _ if !args.iter().any(|arg| arg == "--bench") => {
            println!("a measurement, not a test: cargo bench --bench backlog");
            Ok(true)
        }
        _ => measure(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
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
    play::all(&options, &mut report)?;
    report.end(options.deliveries)
}
