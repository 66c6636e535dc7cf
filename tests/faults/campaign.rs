//! Runs the faults one by one and prints the result of each.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Maximum time from the end of a fault until the server is ready again.
pub const READY_WITHIN: Duration = Duration::from_secs(5);

/// A fault: its name is a sentence, its function does the harm.
pub struct Fault {
    /// Module and function, as the command line names them.
    pub name: &'static str,
    /// Does the harm, checks the result, and notes figures. A panic is a failure.
    pub inflict: fn(&mut Report),
}

/// A list of faults, each named by its path.
macro_rules! faults {
    ($($fault:path),* $(,)?) => { &[$($crate::campaign::Fault { name: stringify!($fault), inflict: $fault }),*] };
}
pub(crate) use faults;

/// What a fault reports.
#[derive(Default)]
pub struct Report {
    figures: Vec<(String, String)>,
    skipped: Option<String>,
}

impl Report {
    /// Notes a figure.
    pub fn figure(&mut self, name: &str, value: impl Display) {
        self.figures.push((name.to_owned(), value.to_string()));
    }

    /// Notes that this machine does not allow the fault or a part of it.
    pub fn skip(&mut self, why: impl Display) {
        self.skipped = Some(why.to_string());
    }
}

/// Durations of something that happened several times, such as the time until the server was ready again.
#[derive(Default)]
pub struct Durations(Vec<Duration>);

impl Durations {
    pub fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub fn longest(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }
}

impl Display for Durations {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort();
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        write!(out, "median {} ms, longest {} ms", median.as_millis(), self.longest().as_millis())
    }
}

/// Whether the long form is wanted.
pub fn is_long() -> bool {
    std::env::var("FAULTS").is_ok_and(|form| form == "long")
}

/// A value that depends on the form: short or long.
pub fn either<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// Seed of all random choices of a run. `FAULTS_SEED` repeats the choices of a run.
pub fn seed() -> u64 {
    static SEED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let given = || std::env::var("FAULTS_SEED").ok().map(|seed| seed.parse().expect("FAULTS_SEED is a number"));
    *SEED.get_or_init(|| given().unwrap_or_else(|| fastrand::u64(..)))
}

/// Runs the faults that the command line names, or all.
pub fn run(faults: &[Fault]) -> ExitCode {
    // Flags are ignored: `cargo test -- --flag` gives those of the standard harness to every target.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |fault: &&Fault| words.is_empty() || words.iter().any(|word| fault.name.contains(word.as_str()));
    let chosen: Vec<&Fault> = faults.iter().filter(wanted).collect();
    if std::env::args().any(|word| word == "--list") {
        chosen.iter().for_each(|fault| println!("{}: test", fault.name));
        return ExitCode::SUCCESS;
    }
    let form = either("short form; FAULTS=long for all of it", "long form");
    println!("\nfault campaign, {form}; FAULTS_SEED={} repeats its choices", seed());
    let (mut held, mut fell, mut skipped) = (0, Vec::new(), Vec::new());
    for fault in chosen {
        print!("\n{} ... ", fault.name);
        let _ = std::io::stdout().flush();
        let started = Instant::now();
        let mut report = Report::default();
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (fault.inflict)(&mut report)));
        let verdict = match (&ended, &report.skipped) {
            (Err(_), _) => "FELL",
            (Ok(()), Some(_)) => "SKIPPED",
            (Ok(()), None) => "held",
        };
        println!("{verdict}, {:.1} s", started.elapsed().as_secs_f64());
        for (name, value) in &report.figures {
            println!("    {name:<28} {value}");
        }
        if let Some(why) = &report.skipped {
            println!("    NOT TESTED HERE: {why}");
        }
        match verdict {
            "held" => held += 1,
            "FELL" => fell.push(fault.name),
            _ => skipped.push(fault.name),
        }
    }
    println!("\nfault campaign: {held} held, {} fell {fell:?}, {} SKIPPED {skipped:?}\n", fell.len(), skipped.len());
    if fell.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
