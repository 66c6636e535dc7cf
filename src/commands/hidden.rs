//! What a message must not repeat: values that may hold a secret, also where they were given to the wrong flag.

use crate::domain::token_kind::TokenKind;

/// Fewest characters of a secret without a known beginning.
const SECRET_CHARS: usize = 16;

/// Fewest characters of a secret that may have slashes, as a path has.
const SECRET_WITH_SLASHES_CHARS: usize = 32;

/// Whether a value may be, or hold, a token, a key, a signing secret or a password. File names with an ending, paths,
/// and flags are none. A path is taken for a secret where it could be one: it is long, and all its characters are those
/// of standard base64, also capitals.
pub fn may_hold_secret(text: &str) -> bool {
    // A URL may have a password, or a query with a key. Otherwise a secret may stand behind the name of a header, or
    // behind what a shell, an editor or a file of variables puts around a value.
    text.contains("://") || text.contains('@') || text.split(is_around).any(may_be_secret)
}

fn is_around(c: char) -> bool {
    c.is_whitespace() || c.is_control() || !c.is_ascii() || matches!(c, ':' | '"' | '\'')
}

fn may_be_secret(word: &str) -> bool {
    let is_of = |more: &[u8]| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte));
    let is_word = is_of(b"_-+=") && !word.starts_with('-');
    let may_be_base64 = is_of(b"/+=") && word.bytes().any(|byte| byte.is_ascii_uppercase() || b"+=".contains(&byte));
    word.starts_with("whsec_")
        || (is_of(b"_-+=/") && TokenKind::of_beginning(word.as_bytes()).is_some())
        || (is_word && word.len() >= SECRET_CHARS)
        || (may_be_base64 && word.len() >= SECRET_WITH_SLASHES_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sealing::key::SecretsKey;

    #[test]
    fn what_may_be_a_secret_is_known_and_what_people_usually_write_is_not_taken_for_one() {
        for text in ["cl_a", "whsec_a/b+c=", "http://ada:x@h", "https://h?token=x", "ada:x@h", "0123456789abcdef"] {
            assert!(may_hold_secret(text), "{text}");
        }
        for text in ["adm_a", "dpt_a/b", " cl_a\n", "abcDEF/ghijklmnopqrstuv+wxyz0123=="] {
            assert!(may_hold_secret(text), "{text}");
        }
        let key = SecretsKey::generate().reveal();
        let around = ["\u{feff}", "base64:", "# the key\n", "CL-XTOKEN: ", "Authorization: Bearer ", "'"];
        assert!(around.iter().all(|begin| may_hold_secret(&format!("{begin}{}", *key))));
        for text in ["", "stray", "orders.ndjson", "cl_orders.ndjson", "/run/secrets/data-pusher-token", "10.0.0.0/33"]
        {
            assert!(!may_hold_secret(text), "{text}");
        }
        for text in [
            "/etc/data-pusher/secrets-key",
            "/var/lib/data-pusher/keys/of/this/Year/secrets-key",
            "/run/credentials/data-pusher.service/secrets-key",
            "/run/secrets/keys/of/the/data/pusher/server",
            "C/key",
        ] {
            assert!(!may_hold_secret(text), "{text}");
        }
        for text in ["--no-such-flag-at-all", "push.example.com", "5s,later", "127.0.0.1:65536"] {
            assert!(!may_hold_secret(text), "{text}");
        }
    }

    #[test]
    fn no_key_is_taken_for_a_path() {
        let is_found = |key: &str| [key, &format!("{key}\r"), &format!("\"{key}\"")].into_iter().all(may_hold_secret);
        let with_slash = (0..2_000).map(|_| SecretsKey::generate().reveal()).filter(|key| key.contains('/'));
        assert!(with_slash.inspect(|key| assert!(is_found(key), "{}", **key)).count() > 100);
    }
}
