//! The groups of operations in the OpenAPI document. Their order is set in `document/normalise.rs`, not here.

use poem_openapi::Tags;

/// A group of operations. Each operation belongs to exactly one group.
#[derive(Tags)]
pub enum Tag {
    /// Accounts and their app secret tokens. An account owns destinations and events.
    Accounts,
    /// URLs to which an account's events are sent, with HTTP method and headers.
    Destinations,
    /// Sending JSON documents for an account, with the account's app secret token.
    Data,
    /// One event for one destination: state, attempts, retry and cancel.
    Deliveries,
    /// The JSON documents that were accepted, with their deliveries.
    Events,
    /// Tokens with a role, for programs and people that need not do everything or see every account.
    Tokens,
    /// Health, statistics and metrics of the server.
    Operations,
}
