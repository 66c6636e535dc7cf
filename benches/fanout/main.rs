//! How fast the server is, compared with the maximum that the machine gives. All is measured in one run, so that the
//! ratios hold on any machine.
//!
//! ```text
//! cargo bench --bench fanout                           # all sections, some minutes
//! cargo bench --bench fanout -- accept sustained       # some, by name
//! cargo bench --bench fanout -- --quick                # short measurements, 20,000 pending instead of 1,000,000
//! cargo bench --bench fanout -- --seconds 10
//! cargo bench --bench fanout -- --binary PATH          # another build of the server
//! cargo bench --bench fanout -- --list
//! ```
//!
//! Generator, receiver and echo are separate processes, started from this program. All traffic stays on loopback. Every
//! accepted event is counted at the receiver. An event that is missing makes the run fail; so does a missed target.

mod backlog;
mod ceilings;
mod compare;
mod https;
mod parts;
mod readers;
mod sealing;
mod sections;
mod shapes;
mod shaping;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use sections::{ALL, Options, Run, Section};
use support::{Result, system};

fn main() -> ExitCode {
    support::run("fanout", part, measure)
}

/// The processes besides the server: generator, receiver and echo.
fn part(argument: &str, rest: &[String]) -> Option<Result<()>> {
    match argument {
        ceilings::ARGUMENT => Some(ceilings::run_echo()),
        _ => support::load_part(argument, rest),
    }
}

fn measure(args: &[String]) -> Result<bool> {
    let mut options = Options {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_data-pusher")),
        length: Duration::from_secs(5),
        warm: Duration::from_secs(1),
        backlog: 1_000_000,
    };
    let mut wanted: Vec<&'static Section> = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--bench" => {}
            "--quick" => {
                options.length = Duration::from_millis(1_500);
                options.warm = Duration::from_millis(500);
                options.backlog = 20_000;
            }
            "--pending" => options.backlog = value()?.parse()?,
            "--seconds" => options.length = Duration::from_secs(value()?.parse()?),
            "--binary" => options.binary = value()?.into(),
            "--list" => {
                ALL.iter().for_each(|section| println!("{:<10} {}", section.name, section.what));
                return Ok(true);
            }
            name => {
                let named = ALL.iter().find(|section| section.name == name);
                wanted.push(named.ok_or_else(|| format!("no section {name}; --list names them"))?);
            }
        }
    }
    let mut run = Run::new(options);
    run.report.begin();
    for section in ALL.iter().filter(|all| wanted.is_empty() || wanted.iter().any(|one| one.name == all.name)) {
        (section.measure)(&mut run)?;
    }
    run.report.end(&system::target_folder().join("fanout.json"))
}
