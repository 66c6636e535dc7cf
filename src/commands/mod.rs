//! The command line: flags, their environment variables and defaults. Parsed once, at start.

mod serve;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::serve::Serve;
use crate::app::Config;

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
}

/// What is to be done.
pub enum Command {
    /// Run the server.
    Serve(Box<Config>),
    /// Print the OpenAPI document.
    OpenApi {
        /// As YAML instead of JSON.
        yaml: bool,
    },
    /// Print a login link of the server on this database.
    LoginLink(PathBuf),
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
    let command = Cli::command().mut_subcommands(|command| command.mut_args(without_empty_variable));
    let matches = command.try_get_matches_from(&args).map_err(|error| stop(&error, &args))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| stop(&error, &args))?;
    match cli.command {
        Commands::Serve(mut serve) => {
            let given = matches.subcommand_matches("serve").map_or(Ok(()), |matches| serve.choose_token(matches));
            let config = given.and_then(|()| serve.config()).map_err(Exit::Usage)?;
            Ok(Command::Serve(Box::new(config)))
        }
        Commands::Openapi { yaml } => Ok(Command::OpenApi { yaml }),
        Commands::LoginLink { database } => Ok(Command::LoginLink(database)),
    }
}

/// A variable that is empty is as if unset: that is how files of variables and Compose say that there is none.
fn without_empty_variable(arg: Arg) -> Arg {
    let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    if is_empty { arg.env(None::<&'static str>) } else { arg }
}

fn stop(error: &clap::Error, given: &[OsString]) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Exit::Help(error.render().to_string())
        }
        _ => Exit::Usage(one_line(error, given)),
    }
}

fn is_flag_of_serve(word: &OsString) -> bool {
    let word = word.to_string_lossy();
    let command = Cli::command();
    let serve = command.find_subcommand("serve");
    word.strip_prefix("--")
        .is_some_and(|long| serve.is_some_and(|serve| serve.get_arguments().any(|arg| arg.get_long() == Some(long))))
}

/// clap's message in one line: what is wrong, its hints, and whose help says more. Where a variable had the wrong value and no
/// flag, the variable is named.
fn one_line(error: &clap::Error, given: &[OsString]) -> String {
    let text = error.render().to_string();
    let sentence: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let mut line = sentence.join(" ").trim_start_matches("error: ").to_owned();
    if let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg)
        && let Some(flag) = argument.split_whitespace().next().filter(|flag| flag.starts_with("--"))
        && !given.iter().any(|given| given.to_string_lossy().split('=').next() == Some(flag))
        && error.kind() != ErrorKind::UnknownArgument
    {
        let variable = format!("DATA_PUSHER_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase());
        line = line.replace(&format!("for '{argument}'"), &format!("in the variable {variable}"));
    }
    let tips = text.lines().map(str::trim).filter_map(|line| line.strip_prefix("tip: "));
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: ")).unwrap_or("data-pusher");
    let command: Vec<&str> = usage.split_whitespace().take_while(|word| !word.starts_with(['-', '[', '<'])).collect();
    let of_serve = error.kind() == ErrorKind::UnknownArgument && given.get(1).is_some_and(is_flag_of_serve);
    let hint = of_serve.then(|| "did you mean data-pusher serve, and the flag after it?".to_owned());
    let parts = std::iter::once(line).chain(tips.map(str::to_owned)).chain(hint);
    format!("{}; see {} --help", parts.collect::<Vec<_>>().join("; "), command.join(" "))
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
