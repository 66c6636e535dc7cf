//! What a message must not repeat: values that may hold a secret, also where they were given to the wrong flag.

/// Fewest characters of a secret without a known beginning.
const SECRET_CHARS: usize = 16;

/// Whether a value may be, or hold, a token, a signing secret or a password. File names with an ending, paths, and
/// flags are none.
pub fn may_hold_secret(text: &str) -> bool {
    let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+=".contains(&byte));
    // A URL may have a password, or a query with a key.
    text.contains("://")
        || text.contains('@')
        || text.starts_with("whsec_")
        || (is_word && !text.starts_with('-') && (text.starts_with("cl_") || text.len() >= SECRET_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_known_and_what_people_usually_write_is_not_taken_for_one() {
        for text in ["cl_a", "whsec_a/b+c=", "http://ada:x@h", "https://h?token=x", "ada:x@h", "0123456789abcdef"] {
            assert!(may_hold_secret(text), "{text}");
        }
        for text in ["", "stray", "orders.ndjson", "cl_orders.ndjson", "/run/secrets/data-pusher-token", "10.0.0.0/33"]
        {
            assert!(!may_hold_secret(text), "{text}");
        }
        for text in ["--no-such-flag-at-all", "push.example.com", "5s,later", "127.0.0.1:65536"] {
            assert!(!may_hold_secret(text), "{text}");
        }
    }
}
