//! `data-pusher check`. What it looks for is in `store/upkeep/check`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::finished::Finished;
use super::progress::Bar;
use super::secrets_key;
use crate::delivery::clock;
use crate::domain::sealing::key::{SecretsKey, SecretsKeys};
use crate::error::Result;
use crate::process::interrupt;
use crate::store::upkeep::check::{Report, check};

/// Text at the end of the help.
pub const EXIT_CODES: &str = "Each fault is one line on standard output: a code, what is wrong, and what to do. \
Notes go to standard error.

Exit codes: 0 the file is whole; 1 it has faults, or cannot be read; 2 a flag is wrong.";

/// The flags.
#[derive(Debug, Args)]
pub struct Check {
    /// Database file or backup
    #[arg(long, env = "DATA_PUSHER_DATABASE", default_value = "data-pusher.db", value_name = "FILE")]
    database: PathBuf,

    /// File with the key that the secrets are sealed with, to open each of them too
    #[arg(long, env = "DATA_PUSHER_SECRETS_KEY_FILE", hide_env_values = true, value_name = "FILE", value_parser = secrets_key::read)]
    secrets_key_file: Option<SecretsKey>,

    /// Print one line of JSON with all faults
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Checks the file.
    ///
    /// # Errors
    /// Says in one line why it cannot be checked.
    pub fn run(self) -> Result<Finished> {
        interrupt::listen();
        let began = Instant::now();
        let bar = Bar::new(false);
        let report =
            check(&self.database, clock::wall(), &SecretsKeys::new(self.secrets_key_file), &|step| bar.show(step))?;
        drop(bar);
        let is_right = report.faults.is_empty();
        if self.json {
            return Ok(Finished { data: format!("{}\n", as_json(&report, began)), notes: String::new(), is_right });
        }
        let mut data = String::new();
        for fault in &report.faults {
            let advice = if fault.advice.is_empty() { String::new() } else { format!("; {}", fault.advice) };
            data += &format!("{}: {}{advice}\n", fault.code, fault.text);
        }
        if report.more_faults > 0 {
            data += &format!("and {} more faults\n", report.more_faults);
        }
        let mut notes: String = report.remarks.iter().map(|remark| format!("note: {remark}\n")).collect();
        if is_right {
            let held = report.counts.map(|counts| format!(" ({} events)", counts.events)).unwrap_or_default();
            notes += &format!("{} is whole{held}\n", report.path.display());
        }
        Ok(Finished { data, notes, is_right })
    }
}

fn as_json(report: &Report, began: Instant) -> serde_json::Value {
    let faults: Vec<_> = report
        .faults
        .iter()
        .map(|fault| json!({"code": fault.code, "text": fault.text, "advice": fault.advice}))
        .collect();
    let counts = report.counts;
    json!({
        "path": report.path.to_string_lossy(),
        "whole": report.faults.is_empty(),
        "faults": faults,
        "more_faults": report.more_faults,
        "notes": report.remarks,
        "schema_version": report.version,
        "key_id": report.key.map(|key| key.to_string()),
        "old_key_id": report.key_before.map(|key| key.to_string()),
        "accounts": counts.map(|counts| counts.accounts),
        "destinations": counts.map(|counts| counts.destinations),
        "events": counts.map(|counts| counts.events),
        "deliveries": counts.map(|counts| counts.deliveries),
        "duration_ms": u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
