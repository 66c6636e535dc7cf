//! One sealed value: a secret as it lies in a column, or in an exported document.
//!
//! Layout: a version (1 byte), the id of the key (8), the nonce (24), the sealed bytes and their tag (16). A text is
//! [`TEXT_PREFIX`] and the same in base64: no JSON object begins so. The owner and the column are authenticated, so a
//! value that was moved to another place does not open.

use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use zeroize::Zeroizing;

use super::key::{KEY_ID_BYTES, KeyId, NONCE_BYTES, SecretsKey, SecretsKeys, TAG_BYTES, nonce};

/// The one layout so far.
const VERSION: u8 = 1;

/// Bytes before what is sealed.
const HEAD: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;

/// Bytes by which a sealed value is longer than the value.
pub const OVERHEAD: usize = HEAD + TAG_BYTES;

/// How a sealed text begins.
pub const TEXT_PREFIX: &str = "sealed:";

/// Where a value belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Id of what the value belongs to, such as a destination.
    pub owner: &'a str,
    /// Which of its values this is.
    pub column: &'a str,
}

impl Place<'_> {
    /// The bytes that are authenticated with the value. An id has no NUL, so no two places have the same.
    fn data(self) -> Vec<u8> {
        ["data-pusher sealed value\0", self.owner, "\0", self.column].concat().into_bytes()
    }
}

/// Seals the bytes of a value.
pub fn seal(key: &SecretsKey, place: Place<'_>, plain: &[u8]) -> Vec<u8> {
    let nonce = nonce();
    let sealed = key.seal(&nonce, &place.data(), plain);
    [&[VERSION], &key.id().0[..], &nonce[..], &sealed].concat()
}

/// Opens the bytes of a value. `None` if none of the keys sealed it, it was changed, or it was moved here.
pub fn open(keys: &SecretsKeys, place: Place<'_>, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = keys.find(key_id(sealed)?)?;
    let nonce = sealed[1 + KEY_ID_BYTES..HEAD].try_into().ok()?;
    key.open(nonce, &place.data(), &sealed[HEAD..])
}

/// The key that sealed these bytes. `None` if they are no sealed value.
pub fn key_id(sealed: &[u8]) -> Option<KeyId> {
    let is_whole = sealed.len() >= OVERHEAD && sealed[0] == VERSION;
    if is_whole { sealed[1..=KEY_ID_BYTES].try_into().ok().map(KeyId) } else { None }
}

/// Seals a text.
pub fn seal_text(key: &SecretsKey, place: Place<'_>, plain: &str) -> String {
    TEXT_PREFIX.to_owned() + &BASE64_STANDARD_NO_PAD.encode(seal(key, place, plain.as_bytes()))
}

/// Opens a text. `None` as for [`open`].
pub fn open_text(keys: &SecretsKeys, place: Place<'_>, sealed: &str) -> Option<Zeroizing<String>> {
    let opened = open(keys, place, &text_bytes(sealed)?)?;
    std::str::from_utf8(&opened).ok().map(|text| Zeroizing::new(text.to_owned()))
}

/// Whether a text is sealed.
pub fn is_sealed_text(text: &str) -> bool {
    text.starts_with(TEXT_PREFIX)
}

/// The key that sealed a text. `None` if it is no sealed text.
pub fn text_key_id(text: &str) -> Option<KeyId> {
    key_id(&text_bytes(text)?)
}

fn text_bytes(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD_NO_PAD.decode(text.strip_prefix(TEXT_PREFIX)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { owner: "dst_a", column: "secret" };

    fn keys(key: &SecretsKey) -> SecretsKeys {
        SecretsKeys::new(Some(key.clone()))
    }

    #[test]
    fn a_value_opens_where_it_was_sealed_and_only_there() {
        let key = SecretsKey::generate();
        let sealed = seal(&key, PLACE, b"canary");
        assert_eq!(sealed.len(), OVERHEAD + 6);
        assert!(!sealed.windows(6).any(|part| part == b"canary"));
        assert_eq!(open(&keys(&key), PLACE, &sealed).unwrap().as_slice(), b"canary");
        for place in [
            Place { owner: "dst_b", ..PLACE },
            Place { column: "old_secret", ..PLACE },
            Place { owner: "dst_", column: "asecret" },
        ] {
            assert!(open(&keys(&key), place, &sealed).is_none(), "{place:?}");
        }
        assert!(open(&keys(&SecretsKey::generate()), PLACE, &sealed).is_none());
        assert!(open(&SecretsKeys::default(), PLACE, &sealed).is_none());
    }

    #[test]
    fn not_one_bit_may_differ_and_no_byte_may_be_missing() {
        let key = SecretsKey::generate();
        let sealed = seal(&key, PLACE, b"canary");
        for at in 0..sealed.len() * 8 {
            let mut other = sealed.clone();
            other[at / 8] ^= 1 << (at % 8);
            assert!(open(&keys(&key), PLACE, &other).is_none(), "bit {at}");
        }
        for length in 0..sealed.len() {
            assert!(open(&keys(&key), PLACE, &sealed[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn the_same_value_is_never_sealed_to_the_same_bytes() {
        let key = SecretsKey::generate();
        assert_ne!(seal(&key, PLACE, b"x"), seal(&key, PLACE, b"x"));
    }

    #[test]
    fn during_a_rotation_both_keys_open() {
        let (old, new) = (SecretsKey::generate(), SecretsKey::generate());
        let both = SecretsKeys::rotating(new.clone(), old.clone());
        for key in [&old, &new] {
            let sealed = seal_text(key, PLACE, "{\"a\":\"b\"}");
            assert_eq!(text_key_id(&sealed), Some(key.id()));
            assert_eq!(open_text(&both, PLACE, &sealed).unwrap().as_str(), "{\"a\":\"b\"}");
        }
    }

    #[test]
    fn a_plain_text_is_none_that_is_sealed() {
        for text in ["", "{}", "{\"sealed:\":\"\"}", "Sealed:"] {
            assert!(!is_sealed_text(text) && text_key_id(text).is_none(), "{text}");
        }
        for text in ["sealed:", "sealed:!", "sealed:AAAA"] {
            assert!(is_sealed_text(text) && text_key_id(text).is_none(), "{text}");
            assert!(open_text(&keys(&SecretsKey::generate()), PLACE, text).is_none(), "{text}");
        }
    }
}
