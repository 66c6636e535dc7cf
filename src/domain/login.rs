//! How a browser logs in without the admin token: with a one-time code, which is exchanged for a session. This file
//! makes and checks codes and session tokens. Which ones are in use belongs in `web::access`.

use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::secret::{TokenDigest, hidden};
use super::time::Timestamp;

/// How long a code is valid.
pub const CODE_LIFETIME: Duration = Duration::from_secs(600);

/// Hexadecimal digits of a code's expiry, in seconds since 1970.
const EXPIRY_DIGITS: usize = 8;

/// Random characters that make each code unique: 21 characters of 6 bits, 126 bits.
const NONCE: usize = 21;

/// Random characters of a challenge.
const CHALLENGE: usize = 32;

/// Bytes of the signature that a code contains.
const TAG: usize = 16;

/// The key that signs login codes. Each run of the server makes a new key.
///
/// So the server stores nothing of a code until the code is used, and codes of earlier runs are invalid. Codes are not
/// derived from the admin token. So nobody can test guessed tokens against an old code from a log.
#[derive(Clone)]
pub struct LoginKey([u8; 32]);

/// A code, valid once and for [`CODE_LIFETIME`]. All characters of a code may stand in a URL. The script of the login
/// page knows the form of a code, and sends nothing else.
pub struct LoginCode(String);

/// A code whose signature and time were checked, in the form in which used codes are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCode {
    /// Digest of the code's text.
    pub digest: TokenDigest,
    /// The code is invalid from this time on.
    pub ends: Timestamp,
}

/// The token in a browser's session cookie.
pub struct SessionToken(String);

impl LoginKey {
    /// A new key of 256 random bits.
    pub fn generate() -> Self {
        // nanoid uses the operating system's generator. 64 characters are 384 bits, hashed down to 256.
        Self(Sha256::digest(nanoid::nanoid!(64).as_bytes()).into())
    }

    /// The key as text, for the file that `login-link` reads.
    pub fn reveal(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads the text that [`reveal`](Self::reveal) returns.
    pub fn parse(text: &str) -> Option<Self> {
        BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// A new code.
    pub fn code(&self, now: Timestamp) -> LoginCode {
        let ends = now.plus(CODE_LIFETIME).seconds();
        let head = format!("{ends:0EXPIRY_DIGITS$x}{}", nanoid::nanoid!(NONCE));
        let tag = self.tag(&head);
        LoginCode(head + &tag)
    }

    /// Checks that `given` is a code of this key and has not expired. The caller must check that the code was not used.
    pub fn check(&self, given: &str, now: Timestamp) -> Option<VerifiedCode> {
        let (head, tag) = given.split_at_checked(EXPIRY_DIGITS + NONCE)?;
        if !bool::from(self.tag(head).as_bytes().ct_eq(tag.as_bytes())) {
            return None;
        }
        let ends = i64::from_str_radix(head.get(..EXPIRY_DIGITS)?, 16).ok()?;
        let ends = Timestamp::from_millis(ends * 1_000);
        (now < ends).then(|| VerifiedCode { digest: TokenDigest::of(given.as_bytes()), ends })
    }

    /// A new challenge. Only who has the key can [`answer`](Self::answer) it.
    pub fn challenge() -> String {
        nanoid::nanoid!(CHALLENGE)
    }

    /// The answer to a challenge, which shows that this program has the key. `None` if it is no challenge.
    pub fn answer(&self, challenge: &str) -> Option<String> {
        // No answer is the signature of a code: those are made of shorter texts.
        (challenge.len() == CHALLENGE).then(|| self.tag(&format!("challenge {challenge}")))
    }

    /// Whether `given` is the answer to a challenge.
    pub fn is_answer(&self, challenge: &str, given: &str) -> bool {
        self.answer(challenge).is_some_and(|answer| answer.as_bytes().ct_eq(given.as_bytes()).into())
    }

    fn tag(&self, head: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(head.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..TAG])
    }
}

impl LoginCode {
    /// The text, for the one link that contains it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl SessionToken {
    /// A new token of 258 bits.
    pub fn generate() -> Self {
        Self(nanoid::nanoid!(43))
    }

    /// The text, for the cookie.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The digest, which is all that the server keeps of the token.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.0.as_bytes())
    }
}

hidden!(LoginKey, LoginCode, SessionToken);

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_767_225_600_500)
    }

    #[test]
    fn a_code_is_good_for_ten_minutes_and_for_its_own_key() {
        let key = LoginKey::generate();
        let code = key.code(now());
        let good = key.check(code.reveal(), now()).unwrap();
        assert_eq!(key.check(code.reveal(), now().plus(Duration::from_secs(599))), Some(good));
        assert_eq!(key.check(code.reveal(), now().plus(CODE_LIFETIME)), None);
        assert_eq!(LoginKey::generate().check(code.reveal(), now()), None);
        let same = LoginKey::parse(&key.reveal()).unwrap();
        assert!(same.check(code.reveal(), now()).is_some());
    }

    #[test]
    fn a_code_with_any_character_changed_added_or_left_out_is_worth_nothing() {
        let key = LoginKey::generate();
        let code = key.code(now()).reveal().to_owned();
        for at in 0..code.len() {
            let mut changed = code.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(key.check(std::str::from_utf8(&changed).unwrap(), now()), None, "{at}");
            assert_eq!(key.check(&code[..at], now()), None, "{at}");
        }
        for text in [format!("{code}A"), format!("{code}="), code.to_uppercase(), "\u{e4}".repeat(40)] {
            assert_eq!(key.check(&text, now()), None, "{text}");
        }
    }

    #[test]
    fn only_who_has_the_key_answers_a_challenge_and_no_answer_makes_a_code() {
        let (key, challenge) = (LoginKey::generate(), LoginKey::challenge());
        let answer = key.answer(&challenge).unwrap();
        assert!(key.is_answer(&challenge, &answer));
        assert!(!key.is_answer(&LoginKey::challenge(), &answer) && !key.is_answer(&challenge, ""));
        assert!(!LoginKey::generate().is_answer(&challenge, &answer));
        // The part of a code that is signed.
        let code = key.code(now());
        let head = &code.reveal()[..EXPIRY_DIGITS + NONCE];
        assert_eq!(key.answer(head), None);
        assert_eq!(key.check(&format!("{head}{answer}"), now()), None);
    }

    #[test]
    fn codes_and_sessions_differ_and_do_not_show_in_debug_output() {
        let key = LoginKey::generate();
        assert_ne!(key.code(now()).reveal(), key.code(now()).reveal());
        assert_ne!(SessionToken::generate().reveal(), SessionToken::generate().reveal());
        assert_eq!(format!("{key:?} {:?} {:?}", key.code(now()), SessionToken::generate()), "*** *** ***");
    }
}
