//! Measures from outside, on the real binary, that a bad destination does not delay another.
//!
//! A healthy destination gets events on a fixed schedule: first alone, then beside destinations of other accounts that
//! misbehave. What is measured is the time from the sending of an event to its arrival.
//!
//! ```text
//! cargo bench --bench isolation                        # all scenarios
//! cargo bench --bench isolation -- hang onset          # some, by name or first part of it
//! cargo bench --bench isolation -- --quick             # 3 s each instead of 8
//! cargo bench --bench isolation -- --seconds 20
//! cargo bench --bench isolation -- --binary PATH       # another build of the server
//! cargo bench --bench isolation -- --list
//! ```
//!
//! A scenario that misses its target is played once more, because on a busy machine one miss says little. If the load
//! itself was late by as much as the bound, the scenario is inconclusive. Then the scenario is played again, at most
//! four times in all. All traffic stays on loopback.

mod fair;
mod report;
mod scenarios;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use scenarios::{ALL, Scenario, Target};
use support::stage::Options;
use support::verdict::settle;
use support::{Result, system};

/// Open files that the server and the receiver may each need.
const FILES: u64 = 2_048;

fn main() -> ExitCode {
    support::run("isolation", support::sink_part, measure)
}

fn measure(args: &[String]) -> Result<bool> {
    let files = system::many_files();
    if files < FILES {
        // The receiver must not run out of files before the server does.
        return Err(format!("needs {FILES} open files and may have {files}; raise the hard limit").into());
    }
    let mut options =
        Options { binary: PathBuf::from(env!("CARGO_BIN_EXE_data-pusher")), length: Duration::from_secs(8) };
    let mut wanted: Vec<&'static Scenario> = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--bench" => {}
            "--quick" => options.length = Duration::from_secs(3),
            "--seconds" => options.length = Duration::from_secs(value()?.parse()?),
            "--binary" => options.binary = value()?.into(),
            "--list" => {
                ALL.iter().for_each(|scenario| println!("{:<15} {}", scenario.name, scenario.what));
                return Ok(true);
            }
            name => {
                let named = |scenario: &&Scenario| {
                    scenario.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
                };
                let before = wanted.len();
                wanted.extend(ALL.iter().filter(named));
                if wanted.len() == before {
                    return Err(format!("no scenario {name}; --list names them").into());
                }
            }
        }
    }
    let mut report = report::Report::default();
    report.begin();
    // The baseline, with which all others are compared: always measured, and twice.
    for baseline in ALL.iter().filter(|scenario| scenario.target == Target::Baseline) {
        for _ in 0..2 {
            report.take(baseline, (baseline.play)(&options)?);
        }
    }
    let chosen = |scenario: &&Scenario| wanted.is_empty() || wanted.iter().any(|wanted| wanted.name == scenario.name);
    for scenario in ALL.iter().filter(chosen).filter(|scenario| scenario.target != Target::Baseline) {
        let verdict = settle(|| Ok(report.take(scenario, (scenario.play)(&options)?)))?;
        report.settled(scenario, verdict);
    }
    report.end(&system::target_folder().join("isolation.json"))
}
