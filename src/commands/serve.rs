//! `data-pusher serve`: its flags, their environment variables and defaults. The doc comments are the help text.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgMatches, Args};
use ipnet::IpNet;

use super::secrets_key;
use super::token_flags::{self, Way};
use super::values::{
    account_id, boolean, checkpoints, count, file, listen, max_body, memory, network, origin, retention, schedule,
    timeout,
};
use crate::app::{Config, LogFormat};
use crate::delivery::Trust;
use crate::domain::duration;
use crate::domain::ids::AccountId;
use crate::domain::instance::InstanceName;
use crate::domain::origin::Origin;
use crate::domain::rate::Rate;
use crate::domain::retry::RetrySchedule;
use crate::domain::sealing::key::SecretsKey;
use crate::domain::secret::AdminToken;
use crate::store::Checkpoints;

#[derive(Debug, Args)]
pub struct Serve {
    /// Address to listen on
    #[arg(long, env = "DATA_PUSHER_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = listen)]
    listen: SocketAddr,

    /// Database file; created if there is none
    #[arg(long, env = "DATA_PUSHER_DATABASE", default_value = "data-pusher.db", value_name = "FILE")]
    database: PathBuf,

    /// Admin token; without one, the first start creates one in DATABASE.admin-token (16 characters or more)
    #[arg(
        long,
        help_heading = "Access",
        env = "DATA_PUSHER_ADMIN_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    admin_token: Option<String>,

    /// File that holds the admin token
    #[arg(
        long,
        help_heading = "Access",
        env = "DATA_PUSHER_ADMIN_TOKEN_FILE",
        hide_env_values = true,
        value_name = "FILE"
    )]
    admin_token_file: Option<PathBuf>,

    /// File with the key that seals header values and signing secrets in the database, as `data-pusher key new` makes it
    #[arg(long, help_heading = "Access", env = "DATA_PUSHER_SECRETS_KEY_FILE", hide_env_values = true, value_name = "FILE", value_parser = secrets_key::read)]
    secrets_key_file: Option<SecretsKey>,

    /// For a laptop: no admin token, destinations may be on loopback, listens on loopback only
    #[arg(long, env = "DATA_PUSHER_DEV", value_parser = boolean)]
    dev: bool,

    /// URL under which people reach the server behind a reverse proxy, such as `https://push.example.com`
    #[arg(long, help_heading = "Access", env = "DATA_PUSHER_PUBLIC_URL", hide_env_values = true, value_name = "URL", value_parser = Origin::parse)]
    public_url: Option<Origin>,

    /// Origin whose web pages may call the API with a token, such as `https://app.example.com` (repeatable)
    #[arg(long, help_heading = "Access", env = "DATA_PUSHER_CORS_ORIGIN", hide_env_values = true, value_delimiter = ',', value_name = "ORIGIN", value_parser = origin)]
    cors_origin: Vec<Origin>,

    /// Private network in which destinations may be, such as 10.1.0.0/16 (repeatable)
    #[arg(long, help_heading = "Deliveries", env = "DATA_PUSHER_ALLOW_NETWORK", value_delimiter = ',', value_name = "CIDR", value_parser = network)]
    allow_network: Vec<IpNet>,

    /// PEM file with further certificate authorities for https destinations, besides Mozilla's (repeatable)
    #[arg(long, help_heading = "Deliveries", env = "DATA_PUSHER_CA_FILE", value_delimiter = ',', value_name = "FILE", value_parser = file)]
    ca_file: Vec<PathBuf>,

    /// Maximum number of attempts in progress, over all destinations
    #[arg(long, help_heading = "Deliveries", env = "DATA_PUSHER_WORKERS", default_value_t = 1024, value_parser = count::<8192>)]
    workers: u16,

    /// Maximum number of attempts in progress to one destination
    #[arg(long, help_heading = "Deliveries", env = "DATA_PUSHER_DESTINATION_CONCURRENCY", default_value_t = 32, value_parser = count::<256>)]
    destination_concurrency: u16,

    /// Time limit of one attempt, from the DNS lookup to the end of the response
    #[arg(long, help_heading = "Deliveries", env = "DATA_PUSHER_TIMEOUT", default_value = "15s", value_parser = timeout)]
    timeout: Duration,

    /// Delays between attempts of a delivery; after the last one the delivery is exhausted. With --retry-schedule= each
    /// delivery is tried once
    #[arg(long, help_heading = "Deliveries", env = "DATA_PUSHER_RETRY_SCHEDULE", default_value = "5s,5m,30m,2h,5h,10h,14h,20h,24h", value_parser = schedule)]
    retry_schedule: RetrySchedule,

    /// Pause a destination when all attempts have failed for this long
    #[arg(long, help_heading = "Deliveries", env = "DATA_PUSHER_PAUSE_AFTER", default_value = "5d", value_parser = duration::parse)]
    pause_after: Duration,

    /// Maximum size of a request body, such as 1MiB, 1MB or 1048576
    #[arg(long, help_heading = "Limits", env = "DATA_PUSHER_MAX_BODY", default_value = "1MiB", value_name = "SIZE", value_parser = max_body)]
    max_body: usize,

    /// Memory for all documents and responses together; beyond it deliveries wait in the file, and requests get 503
    #[arg(long, help_heading = "Limits", env = "DATA_PUSHER_MEMORY", default_value = "256MiB", value_name = "SIZE", value_parser = memory)]
    memory: usize,

    /// Time limit for a request's headers, then for its body (a second more for each 8 KiB received), then for sending
    /// each part of the response
    #[arg(long, help_heading = "Limits", env = "DATA_PUSHER_REQUEST_TIMEOUT", default_value = "15s", value_parser = timeout)]
    request_timeout: Duration,

    /// Events that one account may send, such as 100/s or 6000/m; a burst up to that number is allowed; no limit by
    /// default
    #[arg(long, help_heading = "Limits", env = "DATA_PUSHER_ACCOUNT_RATE", value_name = "RATE", value_parser = Rate::parse)]
    account_rate: Option<Rate>,

    /// Account that is told what happens, by events such as destination.failing; give it a destination that reaches you
    #[arg(long, help_heading = "Operation", env = "DATA_PUSHER_NOTIFY_ACCOUNT", value_name = "ACCOUNT_ID", value_parser = account_id)]
    notify_account: Option<AccountId>,

    /// Who copies the database's write-ahead log into the database: own (this server), or external (a replicator such as
    /// Litestream)
    #[arg(long, help_heading = "Operation", env = "DATA_PUSHER_CHECKPOINTS", default_value = "own", value_name = "WHO", value_parser = checkpoints)]
    checkpoints: Checkpoints,

    /// Name of this server among several: new tokens become cl_NAME_…, so that a proxy can tell whose they are (1 to 16
    /// of a-z 0-9)
    #[arg(long, help_heading = "Operation", env = "DATA_PUSHER_INSTANCE", value_name = "NAME")]
    instance: Option<InstanceName>,

    /// Delete events, deliveries, attempts and statistics after this time. Events with a pending delivery are kept.
    /// Events with an Idempotency-Key, and statistics, are kept for at least 24 hours
    #[arg(long, help_heading = "Operation", env = "DATA_PUSHER_RETENTION", default_value = "30d", value_parser = retention)]
    retention: Duration,

    /// Format of log lines
    #[arg(long, help_heading = "Operation", env = "DATA_PUSHER_LOG_FORMAT", default_value = "auto")]
    log_format: LogFormat,

    /// When stopping, wait this long for attempts in progress
    #[arg(long, help_heading = "Operation", env = "DATA_PUSHER_SHUTDOWN_GRACE", default_value = "30s", value_parser = duration::parse)]
    shutdown_grace: Duration,
}

impl Serve {
    /// Of the two ways to give an admin token: a flag wins over the other way's variable, as it does over its own.
    pub fn choose_token(&mut self, matches: &ArgMatches) -> Result<(), String> {
        match token_flags::way(matches, "admin_token", "admin_token_file")? {
            Way::Token => self.admin_token_file = None,
            Way::File => self.admin_token = None,
            Way::Any => {}
        }
        Ok(())
    }

    /// The settings of the server.
    ///
    /// # Errors
    /// One line that says which flags do not go together, or which file cannot be read.
    pub fn config(self) -> Result<Config, String> {
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
            secrets_key: self.secrets_key_file,
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
            notify_account: self.notify_account,
            checkpoints: self.checkpoints,
            instance: self.instance,
            retention: self.retention,
            log_format: self.log_format,
            shutdown_grace: self.shutdown_grace,
        })
    }
}

fn token_in(path: &Path) -> Result<AdminToken, String> {
    let text = token_flags::read(path, "admin token")?;
    AdminToken::parse(text.trim()).map_err(|error| format!("{}: {error}", path.display()))
}
