//! `data-pusher restore`. What it does is in `store/upkeep/restore.rs`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::backup::{describe, json};
use super::finished::Finished;
use super::progress::Bar;
use crate::delivery::clock;
use crate::error::Result;
use crate::process::interrupt;
use crate::store::upkeep::restore::{RestoreOptions, restore};

/// Text at the end of the help.
pub const EXIT_CODES: &str = "IN is copied and checked first, and stays as it is. The file that stood at FILE is \
kept as FILE.before-restore-TIME. The admin token in FILE.admin-token stays.

Exit codes: 0 it is restored; 1 it is not and what stood there still does, or the output could not be written, and one \
line says which; 2 a flag is wrong.";

/// The flags.
#[derive(Debug, Args)]
pub struct Restore {
    /// Database file
    #[arg(long, env = "DATA_PUSHER_DATABASE", default_value = "data-pusher.db", value_name = "FILE")]
    database: PathBuf,

    /// The backup: a file of `data-pusher backup`, of an upgrade, or a copy that was made while the server was stopped
    #[arg(value_name = "IN")]
    from: PathBuf,

    /// Print one line of JSON: path, before, remarks, and the same as for a backup
    #[arg(long)]
    json: bool,
}

impl Restore {
    /// Restores the backup.
    ///
    /// # Errors
    /// Says in one line what failed.
    pub fn run(self) -> Result<Finished> {
        interrupt::listen();
        let began = Instant::now();
        let bar = Bar::new(false);
        let options = RestoreOptions { database: self.database, from: self.from };
        let restored = restore(&options, clock::wall(), &|step| bar.show(step))?;
        drop(bar);
        let (file, before) = (&restored.file, &restored.before);
        if self.json {
            let mut printed = json(file, began);
            printed["before"] = before.as_ref().map(|path| path.to_string_lossy()).into();
            printed["remarks"] = restored.remarks.into();
            return Ok(Finished { data: format!("{printed}\n"), notes: String::new(), is_right: true });
        }
        let mut notes = format!("restored {} ({})\n", file.path.display(), describe(file, began));
        if let Some(before) = before {
            notes += &format!("what stood there before is {}\n", before.display());
        }
        for remark in restored.remarks {
            notes += &format!("note: {remark}\n");
        }
        Ok(Finished { data: String::new(), notes, is_right: true })
    }
}
