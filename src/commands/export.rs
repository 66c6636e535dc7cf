//! `data-pusher export`: its flags. The doc comments are the help text.

use std::path::PathBuf;

use clap::Args;

use super::secrets_key;
use super::values::account_id;
use crate::app::ExportConfig;
use crate::domain::ids::AccountId;
use crate::domain::sealing::key::SecretsKey;

/// Exit codes, for the help.
pub const EXIT_CODES: &str = "\
Events, deliveries and tokens with a role are not in the document. It holds secrets: digests of tokens, signing secrets, headers.
With a key, signing secrets and headers are sealed, and an import needs the same key.
The server may run on the file or not. The file is not changed.

Exit codes:
  0  everything was written
  1  it failed; one line says why
  2  the command line is wrong";

#[derive(Debug, Args)]
pub struct Export {
    /// Database file
    #[arg(long, env = "DATA_PUSHER_DATABASE", default_value = "data-pusher.db", value_name = "FILE")]
    database: PathBuf,

    /// Only this account; all accounts by default
    #[arg(long, value_name = "ID", value_parser = account_id)]
    account: Option<AccountId>,

    /// Write to this file, which only you can read (mode 0600), and not to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// File with the key that the secrets of the database are sealed with; they are sealed in the document too
    #[arg(long, env = "DATA_PUSHER_SECRETS_KEY_FILE", hide_env_values = true, value_name = "FILE", value_parser = secrets_key::read)]
    secrets_key_file: Option<SecretsKey>,

    /// Write secrets plain, to import them where there is another key, or none
    #[arg(long)]
    plain: bool,

    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
}

impl Export {
    /// What is to be done.
    pub fn config(self) -> ExportConfig {
        ExportConfig {
            database: self.database,
            account: self.account,
            output: self.output,
            force: self.force,
            secrets_key: self.secrets_key_file,
            plain: self.plain,
        }
    }
}
