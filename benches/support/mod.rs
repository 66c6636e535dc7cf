//! What the benchmarks share: the server under test, receiving processes, the load, and queries to the system.

// Each benchmark is a program of its own and uses a part of this module.
#![allow(dead_code)]

pub mod generator;
pub mod http;
pub mod load;
pub mod message;
pub mod receiver;
pub mod report;
pub mod server;
pub mod sink;
pub mod sinks;
pub mod stage;
pub mod system;
pub mod tally;
pub mod tls;
pub mod verdict;

use std::path::Path;
use std::process::ExitCode;

/// The result of a benchmark, or why the benchmark cannot go on.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Runs the benchmark `name`, or the part of it for which this process was started. The first argument names the part;
/// `part` returns `None` for an argument that it does not know. `measure` returns whether every target was met.
pub fn run(
    name: &str,
    part: impl FnOnce(&str, &[String]) -> Option<Result<()>>,
    measure: impl FnOnce(&[String]) -> Result<bool>,
) -> ExitCode {
    system::many_files();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().and_then(|first| part(first, &args[1..])) {
        Some(ended) => ended.map(|()| true),
        // `cargo test --all-targets` also starts benches, but without `--bench`.
        None if !args.iter().any(|arg| arg == "--bench") => {
            println!("a measurement, not a test: cargo bench --bench {name}");
            Ok(true)
        }
        None => measure(&args),
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

/// The processes besides the server where events are sent at full rate: generator and receiver.
pub fn load_part(argument: &str, rest: &[String]) -> Option<Result<()>> {
    match argument {
        generator::ARGUMENT => Some(generator::run()),
        receiver::ARGUMENT => Some(receiver::run(rest)),
        _ => None,
    }
}

/// The receiving process of the benchmarks that have a healthy destination.
pub fn sink_part(argument: &str, rest: &[String]) -> Option<Result<()>> {
    (argument == sinks::SINK_ARGUMENT).then(|| sink::run(Path::new(rest.first().map_or("", String::as_str))))
}
