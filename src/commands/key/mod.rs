//! `data-pusher key`: makes the key that seals secrets, names it, seals a file with another key, opens sealed copies, and
//! gives a file up whose key is lost. What is sealed, and how, is in `domain/sealing` and `store`.

mod forget;
mod rotate;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::finished::Finished;
use super::secrets_key::{self, KeyFile};
use crate::domain::sealing::key::{SecretsKey, SecretsKeys};
use crate::error::{Error, Kind, Result};
use crate::store::upkeep::rotate::open_copy;

/// Text at the end of the help of `key new`.
const NEW_CODES: &str =
    "Keep a copy of the file apart from the database and its backups: without the key, the secrets are \
gone; and who has both has the secrets.

Exit codes: 0 the file is there; 1 it is not, and one line says why; 2 a flag is wrong.";

/// Text at the end of the help of `key open`.
const OPEN_CODES: &str =
    "Copies beside the database whose names end in .sealed were made while its secrets were plain. OUT \
is readable by you only, holds plain secrets, and never replaces a file.

Exit codes: 0 OUT is there, whole; 1 it is not, and one line says why; 2 a flag is wrong.";

/// Text at the end of the help of `key id`.
const ID_CODES: &str = "The id says nothing about the key. Nothing else is printed.

Exit codes: 0 the id is printed; 1 it cannot be written; 2 the file holds no key, and one line says why.";

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
    /// Print the id of the key in a file: errors and `data-pusher check` name keys by it
    #[command(after_help = ID_CODES)]
    Id {
        /// File with the key
        #[arg(value_name = "FILE", value_parser = secrets_key::read)]
        file: SecretsKey,
    },
    /// Seal all secrets of a database with another key
    #[command(after_help = rotate::CODES)]
    Rotate {
        /// Database file
        #[arg(long, env = "DATA_PUSHER_DATABASE", default_value = "data-pusher.db", value_name = "FILE")]
        database: PathBuf,

        /// File with the key that the secrets are sealed with now
        #[arg(long, env = "DATA_PUSHER_SECRETS_KEY_FILE", hide_env_values = true, value_name = "FILE", value_parser = secrets_key::read_named)]
        secrets_key_file: KeyFile,

        /// File with the key to seal them with
        #[arg(long, value_name = "FILE", value_parser = secrets_key::read_named)]
        new_key_file: KeyFile,
    },
    /// Make a database whose key is lost need no key; its destinations must be set again
    #[command(after_help = forget::CODES)]
    Forget(forget::Forget),
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
            What::Id { file } => {
                return Ok(Finished { data: format!("{}\n", file.id()), notes: String::new(), is_right: true });
            }
            What::New { file } => {
                let key = secrets_key::make(&file).map_err(|why| Error::new(Kind::Internal, "key_failed", why))?;
                let made = KeyFile { path: file, key };
                format!("made the key {made}; keep a copy of it apart from the database\n")
            }
            What::Rotate { database, secrets_key_file, new_key_file } => {
                rotate::run(&database, secrets_key_file, new_key_file)?
            }
            What::Forget(forget) => return forget.run(),
            What::Open { secrets_key_file, copy, to } => {
                open_copy(&copy, &to, &SecretsKeys::new(Some(secrets_key_file)))?;
                format!("opened into {}; it holds plain secrets\n", to.display())
            }
        };
        Ok(Finished { data: String::new(), notes, is_right: true })
    }
}
