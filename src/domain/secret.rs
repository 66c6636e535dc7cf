//! Types for secrets. `Debug` of each prints `***`. The text is only available from a method that names it.

use std::fmt::Write as _;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::instance::InstanceName;
use super::token_kind::TokenKind;

/// An account's app secret token, as it is sent. The server keeps only its [`TokenDigest`].
#[derive(Clone)]
pub struct AppToken(String);

impl AppToken {
    /// A new token: 40 characters of a 64-character alphabet, 240 bits. Before them stands the name of the instance, if
    /// it has one. The length tells such a token from one without a name, which may have `_` at the same place.
    pub fn generate(instance: Option<&InstanceName>) -> Self {
        let random = nanoid::nanoid!(40);
        let beginning = TokenKind::Account.beginning();
        Self(instance.map_or_else(|| format!("{beginning}{random}"), |name| format!("{beginning}{name}_{random}")))
    }

    /// Accepts a token that a user gives, to send it: 4 to 512 visible ASCII characters.
    ///
    /// # Errors
    /// A sentence that says what would be right. The sentence never contains the token.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !(4..=512).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("the token must have 4 to 512 visible ASCII characters, without spaces".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A token with a role, as it is sent. The server keeps only its [`TokenDigest`].
#[derive(Clone)]
pub struct RoleToken(String);

impl RoleToken {
    /// A new token: 40 characters of a 64-character alphabet, 240 bits.
    pub fn generate() -> Self {
        Self(format!("{}{}", TokenKind::Role.beginning(), nanoid::nanoid!(40)))
    }
}

/// What the server does with a token of its own making: it shows the token once, and keeps its digest and its hint.
macro_rules! kept_by_digest {
    ($($name:ty),*) => {$(
        impl $name {
            /// The text, for the one response that shows it, and for the requests that send it.
            pub fn reveal(&self) -> &str {
                &self.0
            }

            /// The digest, which the file stores and by which the token is found.
            pub fn digest(&self) -> TokenDigest {
                TokenDigest::of(self.0.as_bytes())
            }

            /// The last four characters, by which people can distinguish tokens.
            pub fn hint(&self) -> String {
                self.0[self.0.len() - 4..].to_owned()
            }
        }
    )*};
}

kept_by_digest!(AppToken, RoleToken);

/// SHA-256 of a token. Tokens are random with over 192 bits, so no salt or slow hash is needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest(pub [u8; 32]);

impl TokenDigest {
    /// Digest of any bytes that were sent as a token.
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Hexadecimal digits, for a file that moves accounts.
    pub fn reveal(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl FromStr for TokenDigest {
    type Err = String;

    /// Reads the text that [`reveal`](Self::reveal) returns. The error does not repeat the text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "must be a SHA-256 of 64 hexadecimal digits".to_owned();
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut digest = [0; 32];
        for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(digest))
    }
}

/// The key that signs the requests to a destination: 32 random bytes. The text form is `whsec_` and padded standard
/// base64 (Standard Webhooks).
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret([u8; 32]);

impl SigningSecret {
    /// A new random secret.
    pub fn generate() -> Self {
        // nanoid uses the operating system's generator. 64 characters are 384 bits, hashed down to 256.
        Self(Sha256::digest(nanoid::nanoid!(64).as_bytes()).into())
    }

    /// Reads `whsec_…`.
    ///
    /// # Errors
    /// A sentence that says what would be right. The sentence never contains the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = text.trim().strip_prefix("whsec_").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| {
            "a signing secret is whsec_ and 44 characters of base64, as GET …/signing-secret shows it".to_owned()
        })
    }

    /// The secret from the database.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// `whsec_…`, for the response that shows it.
    pub fn reveal(&self) -> String {
        format!("whsec_{}", BASE64_STANDARD.encode(self.0))
    }
}

impl FromStr for SigningSecret {
    type Err = String;

    /// Reads the text that [`reveal`](Self::reveal) returns. The error does not repeat the text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.strip_prefix("whsec_").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or_else(|| "must be whsec_ and 32 bytes in padded standard base64".to_owned())
    }
}

/// The token for the admin API.
#[derive(Clone)]
pub struct AdminToken(String);

impl AdminToken {
    /// Shortest admin token that is accepted, in characters.
    pub const MIN_LENGTH: usize = 16;

    /// A new token of 240 bits.
    pub fn generate() -> Self {
        Self(format!("{}{}", TokenKind::Admin.beginning(), nanoid::nanoid!(40)))
    }

    /// Accepts a token of 16 to 512 visible ASCII characters.
    ///
    /// # Errors
    /// A sentence that says what would be right. The sentence never contains the token.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !(Self::MIN_LENGTH..=512).contains(&text.len()) {
            return Err("the admin token must have 16 to 512 characters".to_owned());
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("the admin token must be visible ASCII without spaces".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The text, for the file that keeps it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this token. The time of the comparison does not show how much of `given` is right.
    pub fn matches(&self, given: &[u8]) -> bool {
        TokenDigest::of(self.0.as_bytes()).0.ct_eq(&TokenDigest::of(given).0).into()
    }
}

/// Keeps secrets out of logs and errors: `Debug` of these types prints `***`.
macro_rules! hidden {
    ($($name:ty),*) => {$(
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str("***")
            }
        }
    )*};
}

pub(super) use hidden;

hidden!(AppToken, RoleToken, TokenDigest, SigningSecret, AdminToken);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let token = AppToken::generate(None);
        let all =
            format!("{token:?} {:?} {:?} {:?}", token.digest(), SigningSecret::generate(), AdminToken::generate());
        assert_eq!(all + &format!(" {:?}", RoleToken::generate()), "*** *** *** *** ***");
    }

    #[test]
    fn a_token_has_over_192_bits_and_a_hint_of_four() {
        let token = AppToken::generate(None);
        assert_eq!(token.reveal().len(), 43);
        assert!(token.reveal().ends_with(&token.hint()) && token.hint().len() == 4);
        let token = RoleToken::generate();
        assert!(token.reveal().starts_with("dpt_") && token.reveal().len() == 44);
        assert!(token.reveal().ends_with(&token.hint()) && token.hint().len() == 4);
    }

    #[test]
    fn a_token_of_an_instance_tells_by_its_beginning_whose_it_is() {
        let token = AppToken::generate("eu2".parse().ok().as_ref());
        assert!(token.reveal().starts_with("cl_eu2_") && token.reveal().len() == 47);
    }

    #[test]
    fn the_kind_of_a_token_is_seen_at_its_beginning() {
        let kind = |token: &str| TokenKind::of_beginning(token.as_bytes());
        assert_eq!(kind(AppToken::generate(None).reveal()), Some(TokenKind::Account));
        assert_eq!(kind(AppToken::generate("eu2".parse().ok().as_ref()).reveal()), Some(TokenKind::Account));
        assert_eq!(kind(RoleToken::generate().reveal()), Some(TokenKind::Role));
        assert_eq!(kind(AdminToken::generate().reveal()), Some(TokenKind::Admin));
        for other in ["", "cl", "CL_0123", "0123456789abcdef", "xdpt_"] {
            assert_eq!(kind(other), None, "{other}");
        }
    }

    #[test]
    fn digests_and_signing_secrets_are_read_as_they_are_shown() {
        let digest = TokenDigest::of(b"abc");
        assert!(digest.reveal().starts_with("ba7816bf"));
        assert!(digest.reveal().parse() == Ok(digest) && digest.reveal().to_uppercase().parse() == Ok(digest));
        for text in ["", "ba78", &"g".repeat(64), &"\u{e4}".repeat(32), &format!("{}0", digest.reveal())] {
            assert!(text.parse::<TokenDigest>().is_err(), "{text}");
        }
        let secret = SigningSecret::generate();
        assert!(secret.reveal().parse::<SigningSecret>().is_ok_and(|read| read == secret));
        for text in ["", "whsec_", "whsec_AAAA", &secret.reveal()[6..], &secret.reveal().replace('=', "")] {
            assert!(text.parse::<SigningSecret>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_signing_secret_is_whsec_and_padded_base64_of_32_bytes() {
        let secret = SigningSecret::from_bytes([0; 32]);
        assert_eq!(secret.reveal(), format!("whsec_{}=", "A".repeat(43)));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_repeated() {
        let secret = SigningSecret::generate();
        assert!(SigningSecret::parse(&secret.reveal()).unwrap() == secret);
        for text in ["", "whsec_", "whsec_canary", &secret.reveal()[6..], &format!("whsec_{}", "A".repeat(44))] {
            assert!(!SigningSecret::parse(text).unwrap_err().contains("canary"), "{text}");
        }
        for text in ["", "abc", "canary canary", "canary\u{e9}"] {
            assert!(!AppToken::parse(text).unwrap_err().contains("canary"), "{text}");
        }
        assert_eq!(AppToken::parse("cl_0123").unwrap().reveal(), "cl_0123");
    }

    #[test]
    fn only_the_admin_token_itself_matches() {
        let token = AdminToken::parse("0123456789abcdef").unwrap();
        assert!(token.matches(b"0123456789abcdef"));
        assert!(!token.matches(b"0123456789abcdeF") && !token.matches(b""));
        assert!(AdminToken::parse("short").is_err() && AdminToken::parse("0123456789 abcdef").is_err());
    }
}
