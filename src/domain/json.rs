//! Checks whether bytes are one JSON document (RFC 8259) that can be passed on. No tree is built.

use serde::de::IgnoredAny;

/// Deepest nesting of arrays and objects that is accepted. Deeper nesting breaks the parsers of receivers.
pub const MAX_DEPTH: usize = 128;

/// Checks that `bytes` are exactly one JSON document in UTF-8. A byte order mark, lone surrogates, and nesting over
/// [`MAX_DEPTH`] are refused.
///
/// # Errors
/// A sentence that says what is wrong and where.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Err("The body is empty; send one JSON document.".to_owned());
    }
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err("The body begins with a byte order mark (byte 0); send UTF-8 without one.".to_owned());
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("The body is not UTF-8: byte {} breaks it.", error.valid_up_to()))?;
    // `IgnoredAny` checks the syntax without a limit of depth or of number size. The scan only checks what `IgnoredAny`
    // skips.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| format!("The body is not one JSON document: {error}."))?;
    scan(bytes)
}

/// Checks nesting and escaped surrogates of a document whose syntax is correct.
fn scan(bytes: &[u8]) -> Result<(), String> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at)?,
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("The document is nested deeper than {MAX_DEPTH} levels at byte {at}."));
                }
            }
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Index of the quote that ends the string beginning at `start`.
fn string_end(bytes: &[u8], start: usize) -> Result<usize, String> {
    let lone = |at: usize| Err(format!("The string at byte {start} has a lone surrogate escape at byte {at}."));
    let mut at = start + 1;
    loop {
        match bytes[at] {
            b'"' => return Ok(at),
            b'\\' if bytes[at + 1] == b'u' => {
                let escape = at;
                at += 6;
                match surrogate(bytes, escape) {
                    Some(Surrogate::High) if surrogate(bytes, at) == Some(Surrogate::Low) => at += 6,
                    Some(_) => return lone(escape),
                    None => {}
                }
            }
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[derive(PartialEq)]
enum Surrogate {
    High,
    Low,
}

/// Which half of a surrogate pair the escape `\uXXXX` at `at` is. `None` if it is no surrogate escape.
fn surrogate(bytes: &[u8], at: usize) -> Option<Surrogate> {
    let escape = bytes.get(at..at + 4)?;
    if !escape.starts_with(b"\\u") || !escape[2].eq_ignore_ascii_case(&b'd') {
        return None;
    }
    match escape[3] {
        b'8' | b'9' | b'a' | b'b' | b'A' | b'B' => Some(Surrogate::High),
        b'c'..=b'f' | b'C'..=b'F' => Some(Surrogate::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn any_single_json_document_is_taken() {
        for text in [
            "null",
            "true",
            "0",
            "-0.0e+10",
            "1e999",
            "12345678901234567890",
            "\"\"",
            "[]",
            "{}",
            " \n\t{\"a\":1}\r\n",
            r#"{"a":1,"a":2}"#,
            r#""\ud83d\ude00""#,
            r#""\uD83D\uDE00 \\ud800""#,
            r#"["\\", "]"]"#,
        ] {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_and_says_where() {
        for (text, place) in [
            ("", "empty"),
            (" ", "column"),
            ("{", "column 1"),
            ("{} {}", "column 4"),
            ("nul", "column"),
            ("01", "column"),
            ("[1,]", "column 4"),
            ("{'a':1}", "column 2"),
            ("NaN", "column"),
            ("\"\t\"", "column"),
            (r#""\ud800""#, "byte 1"),
            (r#"{"\udc00":1}"#, "byte 2"),
            (r#""\ud800\ud800""#, "byte 1"),
            (r#""\ud800A""#, "byte 1"),
            (r#""\x""#, "column"),
        ] {
            let message = check(text.as_bytes()).expect_err(text);
            assert!(message.contains(place), "{text}: {message}");
        }
        assert!(check(b"\xEF\xBB\xBF{}").expect_err("BOM").contains("byte order mark"));
        assert!(check(b"{\"a\":\"\xFF\"}").expect_err("UTF-8").contains("byte 6"));
        assert!(check(b"\x00").is_err());
    }

    #[test]
    fn nesting_is_taken_up_to_the_limit_and_brackets_in_strings_do_not_count() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check(nested(MAX_DEPTH).as_bytes()), Ok(()));
        assert!(check(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(check(nested(500_000).as_bytes()).is_err());
        assert_eq!(check(format!("\"{}\"", "[".repeat(1_000)).as_bytes()), Ok(()));
    }

    proptest! {
        #[test]
        fn no_bytes_at_all_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = check(&bytes);
        }

        #[test]
        fn what_is_taken_is_what_serde_json_reads(text in r#"[\[\]{}",:0-9a-z\\u .-]{0,24}"#) {
            let read = serde_json::from_str::<serde_json::Value>(&text);
            // The reference refuses numbers beyond f64, which are valid JSON.
            let out_of_range = read.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
            prop_assert!(check(text.as_bytes()).is_ok() == read.is_ok() || out_of_range);
        }
    }
}
