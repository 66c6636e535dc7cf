//! Signatures of Standard Webhooks (symmetric, `v1`): <https://github.com/standard-webhooks/standard-webhooks>

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::secret::SigningSecret;
use super::time::Timestamp;

/// Value of `webhook-signature` over `ID.SECONDS.CONTENT`: one `v1,` signature for each of `secrets`, separated by
/// spaces.
pub fn signatures<'a>(
    secrets: impl Iterator<Item = &'a SigningSecret>,
    id: &str,
    at: Timestamp,
    content: &[u8],
) -> String {
    let signed_head = format!("{id}.{}.", at.seconds());
    let mut value = String::new();
    for secret in secrets {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(signed_head.as_bytes());
        mac.update(content);
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str("v1,");
        BASE64_STANDARD.encode_string(mac.finalize().into_bytes(), &mut value);
    }
    value
}

/// Whether `value` of `webhook-signature` holds a signature over `ID.SECONDS.CONTENT` under one of `secrets`.
pub fn is_signed<'a>(
    value: &str,
    secrets: impl Iterator<Item = &'a SigningSecret>,
    id: &str,
    at: Timestamp,
    content: &[u8],
) -> bool {
    let own = signatures(secrets, id, at, content);
    let mut found = false;
    for given in value.split_ascii_whitespace() {
        for signature in own.split(' ') {
            found |= bool::from(signature.as_bytes().ct_eq(given.as_bytes()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_under_any_of_the_secrets_counts_and_no_other_does() {
        let (old, new, other) = (SigningSecret::generate(), SigningSecret::generate(), SigningSecret::generate());
        let at = Timestamp::from_millis(1_700_000_000_000);
        let value = signatures([&new, &old].into_iter(), "evt_1", at, b"{}");
        for secrets in [&[&old][..], &[&new], &[&other, &new]] {
            assert!(is_signed(&value, secrets.iter().copied(), "evt_1", at, b"{}"));
        }
        let later = Timestamp::from_millis(1_700_000_001_000);
        assert!(!is_signed(&value, [&other].into_iter(), "evt_1", at, b"{}"));
        assert!(!is_signed(&value, [&new].into_iter(), "evt_2", at, b"{}"));
        assert!(!is_signed(&value, [&new].into_iter(), "evt_1", later, b"{}"));
        assert!(!is_signed(&value, [&new].into_iter(), "evt_1", at, b"{ }"));
        for nothing in ["", " ", "v1,", "v1"] {
            assert!(!is_signed(nothing, [&new].into_iter(), "evt_1", at, b"{}"));
            assert!(!is_signed(nothing, std::iter::empty(), "evt_1", at, b"{}"));
        }
    }
}
