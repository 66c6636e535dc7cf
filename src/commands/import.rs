//! `data-pusher import`: its flags. The doc comments are the help text.

use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use ipnet::IpNet;

use super::secrets_key;
use super::values::network;
use crate::app::ImportConfig;
use crate::domain::sealing::key::SecretsKey;

/// Exit codes, for the help.
pub const EXIT_CODES: &str = "\
If a server runs on the file, the server imports: the command must run as its user, on its machine.

Exit codes:
  0  the accounts were imported, or left out by --skip-existing
  1  nothing was imported, or the output could not be written; lines say which and why
  2  the command line is wrong";

#[derive(Debug, Args)]
pub struct Import {
    /// Database file; created if there is none. One of an earlier version is refused
    #[arg(long, env = "DATA_PUSHER_DATABASE", default_value = "data-pusher.db", value_name = "FILE")]
    database: PathBuf,

    /// Leave out accounts whose id, e-mail address, token or destination exists already
    #[arg(long)]
    skip_existing: bool,

    /// Private network in which destinations may be, such as 10.1.0.0/16 (repeatable); for a file on which no server
    /// runs, else the flags of the server hold
    #[arg(long, value_delimiter = ',', value_name = "CIDR", value_parser = network)]
    allow_network: Vec<IpNet>,

    /// File with the key that opens secrets of the document, and seals those of a new or sealed database; for a file on
    /// which no server runs, else the key of the server holds
    #[arg(long, env = "DATA_PUSHER_SECRETS_KEY_FILE", hide_env_values = true, value_name = "FILE", value_parser = secrets_key::read)]
    secrets_key_file: Option<SecretsKey>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,

    /// Document that `data-pusher export` wrote; - is standard input
    #[arg(value_name = "IN")]
    input: PathBuf,
}

impl Import {
    /// What is to be done. `matches` tell whether a value is that of a flag or that of a variable.
    pub fn config(self, matches: Option<&ArgMatches>) -> ImportConfig {
        let source = matches.and_then(|matches| matches.value_source("secrets_key_file"));
        let input = (self.input != Path::new("-")).then_some(self.input);
        ImportConfig {
            database: self.database,
            input,
            skip_existing: self.skip_existing,
            allow_network: self.allow_network,
            json: self.json,
            secrets_key: self.secrets_key_file,
            is_key_given: source == Some(ValueSource::CommandLine),
        }
    }
}
