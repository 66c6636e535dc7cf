//! The command line: flags, their environment variables and defaults. Parsed once, at start.

pub mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use ipnet::IpNet;

use crate::app::{Config, LogFormat};
use crate::delivery::Trust;
use crate::domain::duration;
use crate::domain::origin::Origin;
use crate::domain::rate::Rate;
use crate::domain::retry::RetrySchedule;
use crate::domain::secret::AdminToken;
use values::{boolean, file, max_body, memory, network, origin, retention, schedule, timeout};

/// Receives JSON for an account and pushes it to every destination of that account, and loses none of it.
#[derive(Debug, Parser)]
#[command(name = "data-pusher", version, about)]
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

#[derive(Debug, Args)]
struct Serve {
    /// Address to listen on
    #[arg(long, env = "DATA_PUSHER_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Database file; made where there is none
    #[arg(long, env = "DATA_PUSHER_DATABASE", default_value = "data-pusher.db", value_name = "FILE")]
    database: PathBuf,

    /// Token of the admin API; without one, the first start makes one and keeps it in DATABASE.admin-token
    #[arg(long, env = "DATA_PUSHER_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    admin_token: Option<String>,

    /// File that holds the token of the admin API
    #[arg(long, env = "DATA_PUSHER_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,

    /// For a laptop: no admin token, destinations on loopback allowed; listens on loopback only
    #[arg(long, env = "DATA_PUSHER_DEV", value_parser = boolean)]
    dev: bool,

    /// Where people reach the server, if not at --listen, such as `https://push.example.com` behind a reverse proxy
    #[arg(long, env = "DATA_PUSHER_PUBLIC_URL", value_name = "URL", value_parser = Origin::parse)]
    public_url: Option<Origin>,

    /// Origin whose pages may call the API with a token of their own, such as `https://app.example.com` (repeatable)
    #[arg(long, env = "DATA_PUSHER_CORS_ORIGIN", value_delimiter = ',', value_name = "ORIGIN", value_parser = origin)]
    cors_origin: Vec<Origin>,

    /// Network that destinations may be in, though it is not global, such as 10.1.0.0/16 (repeatable)
    #[arg(long, env = "DATA_PUSHER_ALLOW_NETWORK", value_delimiter = ',', value_name = "CIDR", value_parser = network)]
    allow_network: Vec<IpNet>,

    /// File with certificates (PEM) of authorities that https destinations may have theirs from, besides Mozilla's (repeatable)
    #[arg(long, env = "DATA_PUSHER_CA_FILE", value_delimiter = ',', value_name = "FILE", value_parser = file)]
    ca_file: Vec<PathBuf>,

    /// Attempts under way at once, over all destinations
    #[arg(long, env = "DATA_PUSHER_WORKERS", default_value_t = 1024, value_parser = clap::value_parser!(u16).range(1..=8192))]
    workers: u16,

    /// Attempts under way at once to one destination
    #[arg(long, env = "DATA_PUSHER_DESTINATION_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    destination_concurrency: u16,

    /// Time for one attempt, from look-up to the end of the answer
    #[arg(long, env = "DATA_PUSHER_TIMEOUT", default_value = "15s", value_parser = timeout)]
    timeout: Duration,

    /// Delays between attempts; when they are used up the delivery is exhausted. With `--retry-schedule=` there are none,
    /// and each delivery is tried once
    #[arg(long, env = "DATA_PUSHER_RETRY_SCHEDULE", default_value = "5s,5m,30m,2h,5h,10h,14h,20h,24h", value_parser = schedule)]
    retry_schedule: RetrySchedule,

    /// Pause a destination after nothing but failures for this long
    #[arg(long, env = "DATA_PUSHER_PAUSE_AFTER", default_value = "5d", value_parser = duration::parse)]
    pause_after: Duration,

    /// Largest request body, such as 1MiB, 1MB or 1048576
    #[arg(long, env = "DATA_PUSHER_MAX_BODY", default_value = "1MiB", value_name = "SIZE", value_parser = max_body)]
    max_body: usize,

    /// Memory for documents and answers, all of them together; what does not fit waits in the file or is answered 503
    #[arg(long, env = "DATA_PUSHER_MEMORY", default_value = "256MiB", value_name = "SIZE", value_parser = memory)]
    memory: usize,

    /// Time for a request's head, then for its body (a second more for each 8 KiB), then for each piece of the answer
    #[arg(long, env = "DATA_PUSHER_REQUEST_TIMEOUT", default_value = "15s", value_parser = timeout)]
    request_timeout: Duration,

    /// Events that one account may send, such as 100/s or 6000/m, all of them at once if need be; no limit by default
    #[arg(long, env = "DATA_PUSHER_ACCOUNT_RATE", value_name = "RATE", value_parser = Rate::parse)]
    account_rate: Option<Rate>,

    /// Keep events, deliveries, attempts and the counts of charts for this long; events with a pending delivery stay, those
    /// with an Idempotency-Key and the counts stay for 24 hours at least
    #[arg(long, env = "DATA_PUSHER_RETENTION", default_value = "30d", value_parser = retention)]
    retention: Duration,

    /// How log lines look
    #[arg(long, env = "DATA_PUSHER_LOG_FORMAT", default_value = "auto")]
    log_format: LogFormat,

    /// At the end, wait this long for attempts under way
    #[arg(long, env = "DATA_PUSHER_SHUTDOWN_GRACE", default_value = "30s", value_parser = duration::parse)]
    shutdown_grace: Duration,
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
    let command = Cli::command().mut_subcommands(|command| command.mut_args(without_empty_variable));
    let matches = command.try_get_matches_from(args).map_err(|error| stop(&error))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| stop(&error))?;
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

fn stop(error: &clap::Error) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Exit::Help(error.render().to_string())
        }
        _ => Exit::Usage(one_line(error)),
    }
}

/// The first sentence of clap's message, without usage and hints.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let sentence: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    format!("{}; see data-pusher serve --help", sentence.join(" ").trim_start_matches("error: "))
}

impl Serve {
    /// Of the two ways to give an admin token: a flag wins over the other way's variable, as it does over its own.
    fn choose_token(&mut self, matches: &ArgMatches) -> Result<(), String> {
        use ValueSource::{CommandLine, EnvVariable};
        match (matches.value_source("admin_token"), matches.value_source("admin_token_file")) {
            (Some(CommandLine), Some(CommandLine)) => {
                Err("--admin-token and --admin-token-file are both given; give one of them".to_owned())
            }
            (Some(EnvVariable), Some(EnvVariable)) => {
                Err("DATA_PUSHER_ADMIN_TOKEN and DATA_PUSHER_ADMIN_TOKEN_FILE are both set; set one of them".to_owned())
            }
            (Some(CommandLine), _) => {
                self.admin_token_file = None;
                Ok(())
            }
            (_, Some(CommandLine)) => {
                self.admin_token = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn config(self) -> Result<Config, String> {
        if self.dev && !self.listen.ip().is_loopback() {
            return Err(format!(
                "--dev listens on loopback only, and {} is not; drop --dev or listen on 127.0.0.1",
                self.listen
            ));
        }
        if self.dev && (self.admin_token.is_some() || self.admin_token_file.is_some()) {
            return Err("--dev needs no admin token; give one or the other".to_owned());
        }
        let given = match (&self.admin_token, &self.admin_token_file) {
            (Some(token), _) => Some(AdminToken::parse(token)?),
            (None, Some(path)) => Some(token_in(path)?),
            (None, None) => None,
        };
        Ok(Config {
            listen: self.listen,
            database: self.database,
            admin_token: given,
            dev: self.dev,
            public_url: self.public_url,
            cors_origins: self.cors_origin,
            allow_network: self.allow_network,
            trust: Trust::load(&self.ca_file)?,
            workers: usize::from(self.workers),
            destination_concurrency: usize::from(self.destination_concurrency),
            timeout: self.timeout,
            retry_schedule: self.retry_schedule,
            pause_after: self.pause_after,
            max_body: self.max_body,
            memory: self.memory,
            request_timeout: self.request_timeout,
            account_rate: self.account_rate,
            retention: self.retention,
            log_format: self.log_format,
            shutdown_grace: self.shutdown_grace,
        })
    }
}

fn token_in(path: &Path) -> Result<AdminToken, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the admin token from {}: {error}", path.display()))?;
    AdminToken::parse(text.trim()).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
