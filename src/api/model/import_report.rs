//! What an import did, as `data-pusher import --json` prints it.

use serde::{Deserialize, Serialize};

use crate::store::Imported;

/// What an import did.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportReport {
    /// Number of accounts that were added.
    pub accounts: usize,
    /// Number of their destinations.
    pub destinations: usize,
    /// Accounts that were left out.
    pub skipped: Vec<Skipped>,
}

/// An account that was left out.
#[derive(Debug, Serialize, Deserialize)]
pub struct Skipped {
    /// Its id.
    pub account_id: String,
    /// What of it exists already.
    pub reasons: Vec<String>,
}

impl From<Imported> for ImportReport {
    fn from(imported: Imported) -> Self {
        let skipped = imported.skipped.into_iter();
        let skipped = skipped.map(|account| Skipped { account_id: account.id.to_string(), reasons: account.reasons });
        Self { accounts: imported.accounts, destinations: imported.destinations, skipped: skipped.collect() }
    }
}
