//! What of an account is taken from one database to another: the account with its tokens, and its destinations with
//! their secrets. Events and deliveries stay where they are. How it looks as JSON is decided in `api`.

use std::fmt;
use std::str::FromStr;

use super::account::AccountFields;
use super::destination::{DestinationFields, Pause, SigningSecrets};
use super::ids::{AccountId, DestinationId, IdSlot};
use super::secret::TokenDigest;
use super::time::Timestamp;

/// Last characters of an app secret token, by which people can distinguish tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHint(String);

/// What is exported from one database and imported into another.
#[derive(Debug, Clone)]
pub struct Export {
    /// The slot of the database, which the other one must not have: while an account moves, both may send its events.
    /// `None` where no server has started on the database.
    pub id_slot: Option<IdSlot>,
    /// The accounts, oldest first.
    pub accounts: Vec<ExportedAccount>,
}

/// An account with all that belongs to it except events.
#[derive(Debug, Clone)]
pub struct ExportedAccount {
    /// Public id.
    pub id: AccountId,
    /// The fields that a client set.
    pub fields: AccountFields,
    /// Its tokens.
    pub tokens: ExportedTokens,
    /// When the account was created.
    pub created_at: Timestamp,
    /// When the account was last changed.
    pub updated_at: Timestamp,
    /// Its destinations, oldest first.
    pub destinations: Vec<ExportedDestination>,
}

/// The app secret tokens of an account. The tokens themselves are known only to those who were given them.
#[derive(Debug, Clone)]
pub struct ExportedTokens {
    /// Digest of the token.
    pub current: TokenDigest,
    /// Last characters of the token.
    pub hint: TokenHint,
    /// Digest of the token before the last rotation, and the time until which it works too.
    pub previous: Option<(TokenDigest, Timestamp)>,
}

/// A destination with its secrets.
#[derive(Debug, Clone)]
pub struct ExportedDestination {
    /// Public id.
    pub id: DestinationId,
    /// The fields that a client set.
    pub fields: DestinationFields,
    /// Signing secrets.
    pub secrets: SigningSecrets,
    /// The pause, if the destination is paused.
    pub pause: Option<Pause>,
    /// When the destination was created.
    pub created_at: Timestamp,
    /// When the destination was last changed.
    pub updated_at: Timestamp,
}

impl TokenHint {
    /// A text from the database, which was parsed when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenHint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be the last four characters of the token".to_owned())
        }
    }
}

impl fmt::Display for TokenHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Drops what has ended by `now`: overlaps of rotations that are over say nothing any more.
pub fn without_ended_overlaps(mut account: ExportedAccount, now: Timestamp) -> ExportedAccount {
    account.tokens.previous = account.tokens.previous.filter(|(_, until)| now < *until);
    for destination in &mut account.destinations {
        destination.secrets.previous = destination.secrets.previous.take().filter(|(_, until)| now < *until);
    }
    account
}
