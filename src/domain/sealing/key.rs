//! The key that seals secrets, and the keys that a program has.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::domain::secret::hidden;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// Bytes of a nonce. They are random: of so many no two are ever the same.
pub const NONCE_BYTES: usize = 24;

/// Bytes by which what is sealed is longer than what was.
pub const TAG_BYTES: usize = 16;

/// Bytes of a [`KeyId`].
pub const KEY_ID_BYTES: usize = 8;

/// What is wrong with a text that is no base64, and what would be right.
pub const NOT_BASE64: &str =
    "it is not padded standard base64 of 32 bytes, and nothing else, as data-pusher key new writes it";

/// A key. It is erased from memory when it is dropped.
#[derive(Clone)]
pub struct SecretsKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    id: KeyId,
}

/// Tells keys apart. It says nothing about the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; KEY_ID_BYTES]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

hidden!(SecretsKey);

impl SecretsKey {
    /// A new random key.
    pub fn generate() -> Self {
        // nanoid uses the operating system's generator. 64 characters are 384 bits, hashed down to 256.
        Self::new(Zeroizing::new(Sha256::digest(nanoid::nanoid!(64).as_bytes()).into()))
    }

    /// The key of these bytes.
    pub fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"data-pusher: id of a secrets key\0");
        hash.update(bytes.as_slice());
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&hash.finalize()[..KEY_ID_BYTES]);
        Self { bytes, id: KeyId(id) }
    }

    /// Reads the text that [`reveal`](Self::reveal) returns. White space at its ends does not count.
    ///
    /// # Errors
    /// Says what would be right. The sentence never contains the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("it is empty; a key is 32 random bytes in base64".to_owned());
        }
        let mut decoded = BASE64_STANDARD.decode(text).map_err(|_| NOT_BASE64.to_owned())?;
        let bytes: Result<[u8; KEY_BYTES], _> = decoded.as_slice().try_into();
        let length = decoded.len();
        decoded.zeroize();
        match bytes {
            Ok(bytes) => Ok(Self::new(Zeroizing::new(bytes))),
            Err(_) => Err(format!("it holds {length} bytes, and a key has {KEY_BYTES}")),
        }
    }

    /// The key as text, for the file that keeps it.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64_STANDARD.encode(self.bytes.as_slice()))
    }

    /// Which key this is.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Seals bytes under `nonce`, which must never be used twice. `data` is authenticated with them and not kept.
    pub(super) fn seal(&self, nonce: &[u8; NONCE_BYTES], data: &[u8], plain: &[u8]) -> Vec<u8> {
        let sealed = self.cipher().encrypt(&XNonce::from(*nonce), Payload { msg: plain, aad: data });
        // The cipher refuses only what is longer than 256 GiB.
        sealed.unwrap_or_else(|_| unreachable!("it is short enough"))
    }

    /// Opens what [`seal`](Self::seal) returned. `None` if any of key, nonce, data and sealed bytes is another.
    pub(super) fn open(&self, nonce: &[u8; NONCE_BYTES], data: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let opened = self.cipher().decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: data });
        opened.ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.bytes).into())
    }
}

/// A new random nonce.
pub(super) fn nonce() -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&Sha256::digest(nanoid::nanoid!(64).as_bytes())[..NONCE_BYTES]);
    nonce
}

/// The keys that a program was given: the one that seals, and the one before it during a rotation. Without a key nothing
/// is sealed.
#[derive(Debug, Clone, Default)]
pub struct SecretsKeys {
    current: Option<SecretsKey>,
    previous: Option<SecretsKey>,
}

impl SecretsKeys {
    /// One key, or none.
    pub fn new(current: Option<SecretsKey>) -> Self {
        Self { current, previous: None }
    }

    /// The keys of a rotation: `current` seals, and `previous` still opens.
    pub fn rotating(current: SecretsKey, previous: SecretsKey) -> Self {
        Self { current: Some(current), previous: Some(previous) }
    }

    /// The key that seals.
    pub fn current(&self) -> Option<&SecretsKey> {
        self.current.as_ref()
    }

    /// The key before it, during a rotation.
    pub fn previous(&self) -> Option<&SecretsKey> {
        self.previous.as_ref()
    }

    /// The key with this id.
    pub fn find(&self, id: KeyId) -> Option<&SecretsKey> {
        [&self.current, &self.previous].into_iter().flatten().find(|key| key.id() == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_shown_with_any_line_end() {
        let key = SecretsKey::generate();
        let text = key.reveal();
        assert_eq!(text.len(), 44);
        for form in [text.to_string(), format!("{}\n", *text), format!("{}\r\n", *text)] {
            assert_eq!(SecretsKey::parse(&form).unwrap().id(), key.id());
        }
        assert_ne!(SecretsKey::generate().id(), key.id());
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        let key = SecretsKey::generate().reveal();
        let long = BASE64_STANDARD.encode([7; 33]);
        for text in ["", " \n", "canary", "canary==", &key[..40], &key.replace('=', ""), &long, &format!("{} x", *key)]
        {
            let why = SecretsKey::parse(text).unwrap_err();
            assert!(!why.contains("canary") && !why.contains('\n'), "{text:?}: {why}");
        }
        assert!(SecretsKey::parse(&BASE64_STANDARD.encode([7; 31])).unwrap_err().contains("31 bytes"));
    }

    #[test]
    fn keys_do_not_show_in_debug_output() {
        let keys = SecretsKeys::rotating(SecretsKey::generate(), SecretsKey::generate());
        assert_eq!(format!("{keys:?}"), "SecretsKeys { current: Some(***), previous: Some(***) }");
    }
}
