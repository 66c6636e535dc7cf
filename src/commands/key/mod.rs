//! `data-pusher key`: makes the key that seals secrets, seals a file with another key, and opens sealed copies. What is
//! sealed, and how, is in `domain/sealing` and `store`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::finished::Finished;
use super::secrets_key;
use crate::delivery::clock;
use crate::domain::sealing::key::{SecretsKey, SecretsKeys};
use crate::error::{Error, Kind, Result};
use crate::store::upkeep::rotate::{open_copy, rotate};

/// Text at the end of the help of `key new`.
const NEW_CODES: &str =
    "Keep a copy of the file apart from the database and its backups: without the key, the secrets are \
gone; and who has both has the secrets.

Exit codes: 0 the file is there; 1 it is not, and one line says why; 2 a flag is wrong.";

/// Text at the end of the help of `key rotate`.
const ROTATE_CODES: &str =
    "The server must be stopped. Copies beside the database whose names end in .sealed are sealed with \
the new key too. Other sealed copies and backups keep needing the old key; those beside the database are named. If the command is killed or fails halfway, run it again with the same two \
keys: until then the server refuses the file, and both keys are needed. Then start the server with the new key.

Exit codes: 0 everything is sealed with the new key; 1 it is not, and one line says why; 2 a flag is wrong.";

/// Text at the end of the help of `key open`.
const OPEN_CODES: &str =
    "Copies beside the database whose names end in .sealed were made while its secrets were plain. OUT \
is readable by you only, holds plain secrets, and never replaces a file.

Exit codes: 0 OUT is there, whole; 1 it is not, and one line says why; 2 a flag is wrong.";

/// The commands.
#[derive(Debug, Args)]
pub struct Key {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a new key in a new file, for --secrets-key-file
    #[command(after_help = NEW_CODES)]
    New {
        /// File to make, readable by you only (mode 0600)
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Seal all secrets of a database with another key
    #[command(after_help = ROTATE_CODES)]
    Rotate {
        /// Database file
        #[arg(long, env = "DATA_PUSHER_DATABASE", default_value = "data-pusher.db", value_name = "FILE")]
        database: PathBuf,

        /// File with the key that the secrets are sealed with now
        #[arg(long, env = "DATA_PUSHER_SECRETS_KEY_FILE", hide_env_values = true, value_name = "FILE", value_parser = secrets_key::read)]
        secrets_key_file: SecretsKey,

        /// File with the key to seal them with
        #[arg(long, value_name = "FILE", value_parser = secrets_key::read)]
        new_key_file: SecretsKey,
    },
    /// Open a copy that was sealed as a whole
    #[command(after_help = OPEN_CODES)]
    Open {
        /// File with the key
        #[arg(long, env = "DATA_PUSHER_SECRETS_KEY_FILE", hide_env_values = true, value_name = "FILE", value_parser = secrets_key::read)]
        secrets_key_file: SecretsKey,

        /// The sealed copy
        #[arg(value_name = "COPY")]
        copy: PathBuf,

        /// File to make
        #[arg(value_name = "OUT")]
        to: PathBuf,
    },
}

impl Key {
    /// Does what was asked for.
    ///
    /// # Errors
    /// Says in one line what failed.
    pub fn run(self) -> Result<Finished> {
        let notes = match self.what {
            What::New { file } => {
                let key = secrets_key::make(&file).map_err(|why| Error::new(Kind::Internal, "key_failed", why))?;
                format!("made the key {} in {}; keep a copy of it apart from the database\n", key.id(), file.display())
            }
            What::Rotate { database, secrets_key_file, new_key_file } => {
                if secrets_key_file.id() == new_key_file.id() {
                    let why = "both files hold the same key; data-pusher key new FILE makes another one";
                    return Err(Error::new(Kind::Internal, "key_failed", why));
                }
                let keys = SecretsKeys::rotating(new_key_file, secrets_key_file);
                let rotated = rotate(&database, &keys, clock::wall())?;
                let mut notes = format!(
                    "all secrets of {} are sealed with the new key ({} sealed now); the old key opens only older backups\n",
                    rotated.path.display(),
                    rotated.values
                );
                for copy in &rotated.others {
                    notes += &format!(
                        "warning: the copy {} beside it stays sealed with an older key; keep that key as long as the copy, or delete the copy\n",
                        copy.display()
                    );
                }
                if rotated.unopened > 0 {
                    notes += &format!(
                        "warning: secrets of {} destinations open with neither key; data-pusher check names them\n",
                        rotated.unopened
                    );
                }
                notes
            }
            What::Open { secrets_key_file, copy, to } => {
                open_copy(&copy, &to, &SecretsKeys::new(Some(secrets_key_file)))?;
                format!("opened into {}; it holds plain secrets\n", to.display())
            }
        };
        Ok(Finished { data: String::new(), notes, is_right: true })
    }
}
