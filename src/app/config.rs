//! The validated settings of the server. No other code reads settings from the environment later.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use ipnet::IpNet;

use crate::delivery::Trust;
use crate::domain::ids::AccountId;
use crate::domain::instance::InstanceName;
use crate::domain::origin::Origin;
use crate::domain::rate::Rate;
use crate::domain::retry::RetrySchedule;
use crate::domain::sealing::key::SecretsKey;
use crate::domain::secret::AdminToken;
use crate::store::Checkpoints;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise
    Auto,
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// All settings of `data-pusher serve`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on. With port 0 the system chooses a free port.
    pub listen: SocketAddr,
    /// Database file.
    pub database: PathBuf,
    /// Admin token that the operator gave. Without one, the token is kept in a file next to the database.
    pub admin_token: Option<AdminToken>,
    /// The key that seals secrets in the database.
    pub secrets_key: Option<SecretsKey>,
    /// No admin token is needed, and destinations on loopback are allowed.
    pub dev: bool,
    /// Where people reach the server, if not at its own address.
    pub public_url: Option<Origin>,
    /// Allowed origins: their pages may call the API.
    pub cors_origins: Vec<Origin>,
    /// Networks that are not global but may have destinations.
    pub allow_network: Vec<IpNet>,
    /// Certificate authorities whose certificates are accepted.
    pub trust: Trust,
    /// Most attempts in progress at once, over all destinations.
    pub workers: usize,
    /// Most attempts in progress at once to one destination.
    pub destination_concurrency: usize,
    /// Timeout of one attempt.
    pub timeout: Duration,
    /// Delays between attempts.
    pub retry_schedule: RetrySchedule,
    /// A destination that has had only failures for this long is paused.
    pub pause_after: Duration,
    /// Largest request body, in bytes.
    pub max_body: usize,
    /// Memory budget for all documents and responses together, in bytes.
    pub memory: usize,
    /// Timeout for the headers of a request, then for its body, then for each part of the response.
    pub request_timeout: Duration,
    /// How many events one account may send. `None` is no limit.
    pub account_rate: Option<Rate>,
    /// Account that gets notices of this server as events.
    pub notify_account: Option<AccountId>,
    /// Who copies the database's write-ahead log into the database.
    pub checkpoints: Checkpoints,
    /// Name of this instance behind a proxy, which new tokens contain.
    pub instance: Option<InstanceName>,
    /// How long events are kept.
    pub retention: Duration,
    /// How log lines look.
    pub log_format: LogFormat,
    /// How long a stop waits for attempts in progress.
    pub shutdown_grace: Duration,
}
