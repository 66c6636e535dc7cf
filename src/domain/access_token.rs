//! Tokens with a role: their fields, and the rules for these. What a role may do is in `access`, and the text of a token
//! in `secret`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::access::Role;
use super::ids::{AccountId, TokenId};
use super::text::check_name;
use super::time::Timestamp;

/// Most tokens that reach all accounts. Expired ones count until they are revoked.
pub const MAX_FOR_ALL: usize = 1_000;

/// Most tokens that reach one account. Each account has places of its own, so that nobody learns from a refusal what
/// others have.
pub const MAX_PER_ACCOUNT: usize = 50;

/// A token may expire at most this much later: ten years.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3_653 * 24 * 3_600);

/// Name of a token: 1 to 100 characters after trimming, without control characters and misplaced invisible characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenName(String);

/// A time in the future at which a token stops working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenExpiry(Timestamp);

/// A token that is to be made.
#[derive(Debug, Clone)]
pub struct NewAccessToken {
    /// What people call it.
    pub name: TokenName,
    /// What it may do.
    pub role: Role,
    /// The one account that it reaches. `None` for all that its maker reaches.
    pub account_id: Option<AccountId>,
    /// When it stops working. `None` for never.
    pub expires_at: Option<TokenExpiry>,
}

/// A token as it is read. Its text is not part of it.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// Public id.
    pub id: TokenId,
    /// What people call it.
    pub name: TokenName,
    /// What it may do.
    pub role: Role,
    /// The one account that it reaches. `None` for all.
    pub account_id: Option<AccountId>,
    /// Last four characters of its text.
    pub hint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working. `None` for never.
    pub expires_at: Option<Timestamp>,
    /// Beginning of the minute in which it was last used. `None` if it was not.
    pub last_used_at: Option<Timestamp>,
}

impl TokenName {
    /// A text from the database, which was parsed when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The trimmed name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TokenName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim();
        if !(1..=100).contains(&name.chars().count()) {
            return Err("must have 1 to 100 characters after trimming".to_owned());
        }
        if name.chars().any(char::is_control) {
            return Err("must have no control characters".to_owned());
        }
        check_name(name)?;
        Ok(Self(name.to_owned()))
    }
}

impl TokenExpiry {
    /// Accepts a time after `now`, at most [`MAX_LIFETIME`] later.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn new(at: Timestamp, now: Timestamp) -> Result<Self, String> {
        if at <= now {
            return Err("must be in the future".to_owned());
        }
        if at > now.plus(MAX_LIFETIME) {
            return Err("must be at most ten years from now; leave it out for a token that does not expire".to_owned());
        }
        Ok(Self(at))
    }

    /// The time.
    pub fn at(self) -> Timestamp {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_counted_in_characters() {
        assert_eq!("  ci  ".parse::<TokenName>().unwrap().as_str(), "ci");
        assert!("ä".repeat(100).parse::<TokenName>().is_ok());
        for text in ["", "  ", "a\u{7}b", "a\u{202e}b", &"ä".repeat(101)] {
            assert!(text.parse::<TokenName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_token_expires_later_than_now_and_within_ten_years() {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let later = |millis| Timestamp::from_millis(now.millis() + millis);
        assert_eq!(TokenExpiry::new(later(1), now).map(TokenExpiry::at), Ok(later(1)));
        assert!(TokenExpiry::new(now.plus(MAX_LIFETIME), now).is_ok());
        for at in [now, later(-1), now.plus(MAX_LIFETIME + Duration::from_millis(1)), Timestamp::LATEST] {
            assert!(TokenExpiry::new(at, now).is_err(), "{at}");
        }
    }
}
