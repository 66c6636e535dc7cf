//! Accounts and their fields. An account owns destinations and events. The app secret token of an account is in
//! `secret`.

use std::fmt;
use std::str::FromStr;

use unicase::UniCase;

use super::ids::{AccountId, AccountKey};
use super::text::{check_address, check_name};
use super::time::Timestamp;

/// An e-mail address, unique among accounts without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// A text from the database, which was parsed when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The address as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form that must be unique: full case folding without a language, as in Unicode's CaseFolding.txt (C and F).
    pub fn folded(&self) -> String {
        UniCase::new(self.as_str()).to_folded_case()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Email {
    type Err = String;

    /// Accepts one `@`, with a part before it and a domain after it. The domain has a dot or is `localhost`. The limit
    /// is 254 bytes (RFC 5321). Whether the address receives mail is not checked.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || Err("must be an e-mail address such as ada@example.com".to_owned());
        check_address(text)?;
        if text.len() > 254 {
            return Err("must be at most 254 bytes long".to_owned());
        }
        let Some((local, domain)) = text.rsplit_once('@') else { return wrong() };
        let local_fits = (1..=64).contains(&local.len())
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && !local.chars().any(|c| c.is_control() || c.is_whitespace() || "@\"(),:;<>[]\\".contains(c));
        let label_fits = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        if local_fits && domain.split('.').all(label_fits) && (domain.contains('.') || domain == "localhost") {
            Ok(Self(text.to_owned()))
        } else {
            wrong()
        }
    }
}

/// An account's name: 1 to 200 characters after trimming, without control characters and misplaced invisible
/// characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountName(String);

impl AccountName {
    /// A text from the database, which was parsed when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The trimmed name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AccountName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim();
        if !(1..=200).contains(&name.chars().count()) {
            return Err("must have 1 to 200 characters after trimming".to_owned());
        }
        if name.chars().any(char::is_control) {
            return Err("must have no control characters".to_owned());
        }
        check_name(name)?;
        Ok(Self(name.to_owned()))
    }
}

/// An account's website: an absolute http or https URL of at most 2,048 bytes. The server shows the URL but never calls
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Website(String);

impl Website {
    /// A text from the database, which was parsed when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The URL as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Website {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Website {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "must be an absolute http or https URL such as https://example.com".to_owned();
        check_address(text)?;
        if text.len() > 2_048 {
            return Err("must be at most 2048 bytes long".to_owned());
        }
        let lower = text.to_ascii_lowercase();
        let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")).ok_or_else(wrong)?;
        // Refuse what only a lenient parser accepts: extra slashes, backslashes, white space.
        if rest.starts_with('/') || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(wrong());
        }
        let url = url::Url::parse(text).map_err(|_| wrong())?;
        if url.host_str().is_none_or(str::is_empty) || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong());
        }
        Ok(Self(text.to_owned()))
    }
}

/// An account as it is read. The token is not part of it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Key inside the database file.
    pub key: AccountKey,
    /// Public id.
    pub id: AccountId,
    /// Unique e-mail address.
    pub email: Email,
    /// Name.
    pub name: AccountName,
    /// Website, if one is set.
    pub website: Option<Website>,
    /// Last four characters of the app secret token.
    pub token_hint: String,
    /// When the account was created.
    pub created_at: Timestamp,
    /// When the account was last changed.
    pub updated_at: Timestamp,
}

/// The fields of an account that a client may set.
#[derive(Debug, Clone)]
pub struct AccountFields {
    /// Unique e-mail address.
    pub email: Email,
    /// Name.
    pub name: AccountName,
    /// Website.
    pub website: Option<Website>,
}

/// A partial change (RFC 7396). `None` leaves a field as it is, and `Some(None)` clears it.
#[derive(Debug, Clone, Default)]
pub struct AccountPatch {
    /// New e-mail address.
    pub email: Option<Email>,
    /// New name.
    pub name: Option<AccountName>,
    /// New website.
    pub website: Option<Option<Website>>,
}

impl AccountPatch {
    /// The fields of `account` after the change.
    pub fn apply(self, account: &Account) -> AccountFields {
        AccountFields {
            email: self.email.unwrap_or_else(|| account.email.clone()),
            name: self.name.unwrap_or_else(|| account.name.clone()),
            website: self.website.unwrap_or_else(|| account.website.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_could_receive_mail_are_taken() {
        for text in ["ada@example.com", "a.b+tag@sub.example.co", "ä@exämple.org", "root@localhost"] {
            assert!(text.parse::<Email>().is_ok(), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_address_are_refused() {
        for text in
            ["", "ada", "@example.com", "ada@", "a b@example.com", "a@b", "a@@b.c", "a@-b.c", "a..b@c.d", "a@b..c"]
        {
            assert!(text.parse::<Email>().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_the_same_whatever_their_case_in_any_script() {
        let folded = |text: &str| text.parse::<Email>().unwrap().folded();
        for same in [
            ["ada@example.com", "ADA@Example.COM"],
            ["stra\u{df}e@example.com", "STRASSE@example.com"],
            ["stra\u{1e9e}e@example.com", "strasse@example.com"],
            // Sigma inside a word, at the end of a word, and as a capital letter.
            ["\u{3c3}\u{3cc}\u{3c2}@example.com", "\u{3a3}\u{38c}\u{3a3}@example.com"],
            ["\u{3c3}\u{3cc}\u{3c3}@example.com", "\u{3c3}\u{3cc}\u{3c2}@example.com"],
            ["\u{fb01}n@example.com", "FIN@example.com"],
            ["k@ex\u{e4}mple.org", "\u{212a}@EX\u{c4}MPLE.ORG"],
        ] {
            assert_eq!(folded(same[0]), folded(same[1]), "{same:?}");
        }
        // No language has rules of its own: the Turkish dotless i is a different letter.
        assert_ne!(folded("\u{131}@example.com"), folded("I@example.com"));
        assert_eq!(folded("I@example.com"), "i@example.com");
        let once = folded("STRA\u{1e9e}E@example.com");
        assert_eq!(folded(&once), once);
    }

    #[test]
    fn what_nobody_sees_is_refused_by_name() {
        for text in ["a\u{200d}da@example.com", "ada@exam\u{ad}ple.com", "\u{feff}ada@example.com"] {
            assert!(text.parse::<Email>().unwrap_err().contains("invisible characters, and has U+"), "{text:?}");
        }
        for text in ["https://exam\u{ad}ple.com/", "https://example.com/\u{202e}gpj", "\u{200b}https://example.com"] {
            assert!(text.parse::<Website>().unwrap_err().contains("invisible characters, and has U+"), "{text:?}");
        }
        assert!("Ada\u{202e}".parse::<AccountName>().unwrap_err().contains("U+202E"));
        assert!("\u{1f469}\u{200d}\u{1f467} & co".parse::<AccountName>().is_ok());
    }

    #[test]
    fn names_are_trimmed_and_counted_in_characters() {
        assert_eq!("  Ada  ".parse::<AccountName>().unwrap().as_str(), "Ada");
        assert!("ä".repeat(200).parse::<AccountName>().is_ok());
        assert!("ä".repeat(201).parse::<AccountName>().is_err());
        assert!("   ".parse::<AccountName>().is_err() && "a\u{7}b".parse::<AccountName>().is_err());
    }

    #[test]
    fn a_website_is_absolute_http_or_https() {
        assert!("https://example.com/a?b".parse::<Website>().is_ok());
        for text in
            ["", "example.com", "ftp://example.com", "http://", "javascript:alert(1)", "https:///x", "http://a b/"]
        {
            assert!(text.parse::<Website>().is_err(), "{text}");
        }
    }
}
