//! The command line: flags, their environment variables and defaults. Parsed once, at start.

mod backup;
mod check;
mod export;
mod finished;
mod healthcheck;
mod hidden;
mod import;
mod key;
mod listen;
mod manual;
mod progress;
mod redirect;
mod restore;
mod secrets_key;
mod send;
mod serve;
mod server_url;
mod terminal;
mod token_flags;
mod usage;
mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::backup::Backup;
use self::check::Check;
use self::export::Export;
pub use self::finished::Finished;
pub use self::healthcheck::run as healthcheck;
use self::healthcheck::{Healthcheck, HealthcheckConfig};
use self::import::Import;
use self::key::Key;
pub use self::listen::run as listen;
use self::listen::{Listen, ListenConfig};
use self::manual::{Completions, Man};
use self::restore::Restore;
pub use self::send::run as send;
use self::send::{SendCommand, SendConfig};
use self::serve::Serve;
use self::usage::one_line;
use crate::app::{Config, ExportConfig, ImportConfig};
use crate::error::Error;

/// Receives JSON for an account and pushes it to every destination of that account, and loses none of it.
#[derive(Debug, Parser)]
#[command(name = "data-pusher", version, about, max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Run the server
    Serve(Box<Serve>),
    /// Write accounts with their destinations as JSON, to import them elsewhere
    #[command(after_help = export::EXIT_CODES)]
    Export(Export),
    /// Add accounts from an exported document, all or none
    #[command(after_help = import::EXIT_CODES)]
    Import(Import),
    /// Print the OpenAPI document
    Openapi {
        /// As YAML instead of JSON
        #[arg(long)]
        yaml: bool,
    },
    /// Print another link that logs a browser in, once and within 10 minutes; the server must be running
    LoginLink {
        /// Database file of the server
        #[arg(long, env = "DATA_PUSHER_DATABASE", default_value = "data-pusher.db", value_name = "FILE")]
        database: PathBuf,
    },
    /// Receive on this machine, and print what destinations would get
    Listen(Box<Listen>),
    /// Send JSON documents to a server
    Send(Box<SendCommand>),
    /// Ask a server whether it is well
    Healthcheck(Healthcheck),
    /// Print a script that completes commands and flags in a shell
    Completions(Completions),
    /// Write man pages
    Man(Man),
    /// Copy the database, also while its server runs; the copy is checked before it gets its name
    #[command(after_help = backup::EXIT_CODES)]
    Backup(Backup),
    /// Put a backup in the place of the database, whose server must be stopped; what stood there is kept
    #[command(after_help = restore::EXIT_CODES)]
    Restore(Restore),
    /// Check a database or a backup, also while its server runs; one line for each fault
    #[command(after_help = check::EXIT_CODES)]
    Check(Check),
    /// Make the key that seals secrets, seal with another key, or open a sealed copy
    Key(Key),
}

/// What is to be done.
pub enum Command {
    /// Run the server.
    Serve(Box<Config>),
    /// Write accounts with their destinations.
    Export(ExportConfig),
    /// Add accounts with their destinations.
    Import(ImportConfig),
    /// Print the OpenAPI document.
    OpenApi {
        /// As YAML instead of JSON.
        yaml: bool,
    },
    /// Print a login link of the server on this database.
    LoginLink(PathBuf),
    /// Receive and print.
    Listen(Box<ListenConfig>),
    /// Send documents.
    Send(Box<SendConfig>),
    /// Ask a server whether it is well.
    Healthcheck(HealthcheckConfig),
    /// Print this script, which completes commands in a shell.
    Completions(String),
    /// Write man pages to this folder.
    Man(PathBuf),
    /// Copy a database file.
    Backup(Backup),
    /// Put a copy in the place of a database file.
    Restore(Restore),
    /// Check a database file.
    Check(Check),
    /// Something with keys that seal secrets.
    Key(Key),
}

/// Why nothing is to be done.
pub enum Exit {
    /// Help or version was asked for: text for stdout.
    Help(String),
    /// A bad flag: one line.
    Usage(String),
}

/// Reads the command line and its environment variables.
///
/// # Errors
/// What to print instead, and whether it was asked for.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, Exit> {
    let args: Vec<OsString> = args.collect();
    let command = Cli::command().mut_subcommands(without_empty_variables);
    let matches = command.try_get_matches_from(&args).map_err(|error| stop(error, &args))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| stop(error, &args))?;
    match cli.command {
        Commands::Serve(mut serve) => {
            let given = matches.subcommand_matches("serve").map_or(Ok(()), |matches| serve.choose_token(matches));
            let config = given.and_then(|()| serve.config()).map_err(Exit::Usage)?;
            Ok(Command::Serve(Box::new(config)))
        }
        Commands::Export(export) => Ok(Command::Export(export.config())),
        Commands::Import(import) => Ok(Command::Import(import.config(matches.subcommand_matches("import")))),
        Commands::Openapi { yaml } => Ok(Command::OpenApi { yaml }),
        Commands::LoginLink { database } => Ok(Command::LoginLink(database)),
        Commands::Listen(listen) => Ok(Command::Listen(Box::new(listen.config().map_err(Exit::Usage)?))),
        Commands::Send(mut send) => {
            let given = matches.subcommand_matches("send").map_or(Ok(()), |matches| send.choose_token(matches));
            let config = given.and_then(|()| send.config()).map_err(Exit::Usage)?;
            Ok(Command::Send(Box::new(config)))
        }
        Commands::Healthcheck(healthcheck) => Ok(Command::Healthcheck(healthcheck.config().map_err(Exit::Usage)?)),
        Commands::Completions(completions) => Ok(Command::Completions(completions.script(Cli::command()))),
        Commands::Man(man) => Ok(Command::Man(man.folder())),
        Commands::Backup(backup) => Ok(Command::Backup(backup)),
        Commands::Restore(restore) => Ok(Command::Restore(restore)),
        Commands::Check(check) => Ok(Command::Check(check)),
        Commands::Key(key) => Ok(Command::Key(key)),
    }
}

/// Writes man pages of all commands.
///
/// # Errors
/// One line that says what cannot be written.
pub fn write_man_pages(folder: &Path) -> Result<(), Error> {
    manual::write_pages(Cli::command(), folder)
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    command.mut_args(without_empty_variable).mut_subcommands(without_empty_variables)
}

/// A variable that is empty is as if unset: that is how files of variables and Compose say that there is none.
fn without_empty_variable(arg: Arg) -> Arg {
    let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    if is_empty { arg.env(None::<&'static str>) } else { arg }
}

fn stop(error: clap::Error, given: &[OsString]) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Exit::Help(error.render().to_string())
        }
        _ => Exit::Usage(one_line(error, given, &Cli::command())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::retry::RetrySchedule;

    fn config(flags: &[&str]) -> Result<Config, String> {
        let args = ["data-pusher", "serve"].iter().chain(flags).map(OsString::from);
        match parse(args) {
            Ok(Command::Serve(config)) => Ok(*config),
            Ok(_) => Err("another command".to_owned()),
            Err(Exit::Help(text) | Exit::Usage(text)) => Err(text),
        }
    }

    #[test]
    fn durations_networks_and_schedules_read_as_people_write_them() {
        let flags = ["--timeout", "200ms", "--allow-network", "10.0.0.0/8, ::1", "--allow-network", "192.168.1.7"];
        let config = config(&flags).unwrap();
        assert_eq!(config.timeout, Duration::from_millis(200));
        assert_eq!(config.allow_network.len(), 3);
        assert_eq!(config.retry_schedule, RetrySchedule::default());
    }

    #[test]
    fn a_bad_flag_is_one_line() {
        for flags in [
            &["--timeout", "5"][..],
            &["--nonsense"],
            &["--listen", "nowhere"],
            &["--dev", "--listen", "0.0.0.0:80"],
            &["--dev", "--admin-token", "0123456789abcdef"],
            &["--admin-token", "short"],
            &["--workers", "0"],
            &["--retention", "0s"],
            &["--public-url", "https://example.com/path"],
            &["--cors-origin", "*"],
            &["--request-timeout", "0s"],
            &["--account-rate", "100"],
            &["--instance", "EU"],
        ] {
            let line = config(flags).unwrap_err();
            assert!(!line.is_empty() && !line.contains('\n'), "{flags:?}: {line}");
        }
    }

    #[test]
    fn a_schedule_that_is_given_empty_tries_once() {
        assert!(config(&["--retry-schedule="]).unwrap().retry_schedule.delays().is_empty());
    }

    #[test]
    fn the_token_is_not_in_the_configuration_that_is_printed() {
        let config = config(&["--admin-token", "canary-canary-canary"]).unwrap();
        assert!(!format!("{config:?}").contains("canary"));
    }

    #[test]
    fn the_table_of_flags_in_the_documentation_is_that_of_the_program() {
        let page = include_str!("../../docs/configuration.md");
        let table = page.split("<!-- flags -->").nth(1).unwrap().split("<!-- end of flags -->").next().unwrap();
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `--")).collect();
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap();
        let flags: Vec<&Arg> = serve.get_arguments().filter(|arg| arg.get_env().is_some()).collect();
        assert_eq!(rows.len(), flags.len(), "a row for each flag");
        for flag in flags {
            let (long, variable) = (flag.get_long().unwrap(), flag.get_env().unwrap().to_string_lossy());
            let defaults: Vec<_> = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
            let default = match defaults.as_slice() {
                [] => "none".to_owned(),
                // A flag without a value is off by default.
                _ if !flag.get_action().takes_values() => "none".to_owned(),
                some => format!("`{}`", some.join(",")),
            };
            let row = format!("| `--{long}` | `{variable}` | {default} |");
            assert!(rows.iter().any(|found| found.starts_with(&row)), "{row}");
        }
    }
}
