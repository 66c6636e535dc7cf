//! What the server is told, validated; nothing reads the environment later.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use ipnet::IpNet;

use crate::delivery::Trust;
use crate::domain::origin::Origin;
use crate::domain::rate::Rate;
use crate::domain::retry::RetrySchedule;
use crate::domain::secret::AdminToken;

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
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Database file.
    pub database: PathBuf,
    /// Given admin token; without one it is kept beside the database.
    pub admin_token: Option<AdminToken>,
    /// No admin token, destinations on loopback allowed.
    pub dev: bool,
    /// Where people reach the server, if not at its own address.
    pub public_url: Option<Origin>,
    /// Origins whose pages may call the API.
    pub cors_origins: Vec<Origin>,
    /// Networks that are not global and still allowed.
    pub allow_network: Vec<IpNet>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Attempts under way at once, over all destinations.
    pub workers: usize,
    /// Attempts under way at once to one destination.
    pub destination_concurrency: usize,
    /// For one attempt.
    pub timeout: Duration,
    /// Delays between attempts.
    pub retry_schedule: RetrySchedule,
    /// A destination with nothing but failures for this long is paused.
    pub pause_after: Duration,
    /// Largest request body, in bytes.
    pub max_body: usize,
    /// For documents and answers in memory, all of them together, in bytes.
    pub memory: usize,
    /// For the head of a request, then for its body, then for each piece of the answer to be taken.
    pub request_timeout: Duration,
    /// Events that one account may send; all of them where none is given.
    pub account_rate: Option<Rate>,
    /// How long events are kept.
    pub retention: Duration,
    /// How log lines look.
    pub log_format: LogFormat,
    /// At the end, for attempts under way.
    pub shutdown_grace: Duration,
}
