//! Signatures of Standard Webhooks (symmetric, `v1`): <https://github.com/standard-webhooks/standard-webhooks>

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

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
