//! The chapters of the document.

use poem_openapi::Tags;

/// Each operation belongs to one.
#[derive(Tags)]
pub enum Tag {
    /// Whose data it is: accounts and their app secret tokens.
    Accounts,
    /// Where an account's events go, and how.
    Destinations,
    /// The data handler, which takes an account's JSON.
    Data,
    /// What became of each event at each destination.
    Deliveries,
    /// What was received.
    Events,
    /// The server itself.
    Operations,
}
