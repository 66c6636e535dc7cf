//! `data-pusher key forget`: its flags and what it prints. What it does is in `store/upkeep/forget.rs`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::commands::finished::Finished;
use crate::commands::secrets_key;
use crate::delivery::clock;
use crate::domain::sealing::key::SecretsKey;
use crate::error::{Error, Kind, Result};
use crate::store::upkeep::forget::{Forgotten, forget};

/// Text at the end of the help.
pub const CODES: &str = "For a key that is lost. The server must be stopped. A copy of the database is kept first, as \
DATABASE.before-forget-TIME. Then the database needs no key, and keeps accounts, tokens, events and pending deliveries. \
Destinations stay, and their deliveries wait until you set each again: replace it by a PUT with all its headers, and rotate \
its signing secret. Their ids are printed, one a line, and again when the command is run again. If the key turns up, start \
the server with it: it still opens all that was not set again.

Exit codes: 0 the database needs no key; 1 it is as it was, or the output could not be written, and one line says which; \
2 a flag is wrong.";

/// The variable that other commands take a key file from.
const VARIABLE: &str = "DATA_PUSHER_SECRETS_KEY_FILE";

/// The flags.
#[derive(Debug, Args)]
pub struct Forget {
    /// Database file
    #[arg(long, env = "DATA_PUSHER_DATABASE", default_value = "data-pusher.db", value_name = "FILE")]
    database: PathBuf,

    /// A key that you have: if it is the right one, nothing is changed. Of the two keys of a rotation that was not
    /// completed, the one that is not lost. The variable DATA_PUSHER_SECRETS_KEY_FILE may name a file that is lost
    // No variable of clap: that would refuse a file that is not there.
    #[arg(long, value_name = "FILE", value_parser = secrets_key::read)]
    secrets_key_file: Option<SecretsKey>,
}

impl Forget {
    /// Forgets the key.
    ///
    /// # Errors
    /// Says in one line what failed.
    pub fn run(self) -> Result<Finished> {
        let (key, mut notes) = match self.secrets_key_file {
            Some(key) => (Some(key), String::new()),
            None => of_variable()?,
        };
        let forgotten = forget(&self.database, key, clock::wall())?;
        let data = forgotten.destinations.iter().map(|id| format!("{id}\n")).collect();
        notes += &done(&forgotten);
        Ok(Finished { data, notes, is_right: true })
    }
}

/// The key in the file that the variable names, or a note that this file is lost.
fn of_variable() -> Result<(Option<SecretsKey>, String)> {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else {
        return Ok((None, String::new()));
    };
    let failed = |why: String| Error::new(Kind::Internal, "key_failed", why);
    let text = path.to_string_lossy();
    if SecretsKey::parse(&text).is_ok() {
        let why = format!("{VARIABLE} holds a key itself; write it to a file of mode 600, and name that file");
        return Err(failed(why));
    }
    if Path::new(&path).metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok((None, format!("note: the key file that {VARIABLE} names is not there\n")));
    }
    secrets_key::read(&text).map(|key| (Some(key), String::new())).map_err(|why| {
        failed(format!("cannot read the key file that {VARIABLE} names: {why}; if the key is lost, unset {VARIABLE}"))
    })
}

fn done(forgotten: &Forgotten) -> String {
    let path = forgotten.path.display();
    let copy = forgotten.copy.as_ref().map(|copy| copy.display());
    let mut notes = match (forgotten.left, copy) {
        (_, None) => format!("{path} needs no key already\n"),
        (None, Some(copy)) => format!("{path} needs no key any more; the copy {copy} still does\n"),
        (Some(key), Some(copy)) => format!(
            "{path} needs the key {key} alone; start the server with it, for it opens what it has sealed; the copy {copy} \
             needs the lost one too\n"
        ),
    };
    notes += &match forgotten.destinations.len() {
        0 => "no destination must be set again\n".to_owned(),
        count => format!(
            "{count} destination{} must be set again, and deliveries wait until then: replace each by a PUT with all its \
             headers, and rotate its signing secret\n",
            if count == 1 { "" } else { "s" }
        ),
    };
    notes
}
