//! Values of headers that are lists: their parts, where a part may hold a quoted string (RFC 9110, 5.6.4).

/// Splits `text` at each `separator` outside quoted strings. `None` where a quoted string does not end.
pub fn split(text: &str, separator: u8) -> Option<Vec<&str>> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte if byte == separator && !quoted => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    (!quoted).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_inside_quotes_separates_nothing() {
        assert_eq!(split("a, b", b','), Some(vec!["a", " b"]));
        assert_eq!(split(r#"a="x,\",y", b"#, b','), Some(vec![r#"a="x,\",y""#, " b"]));
        assert_eq!(split("", b','), Some(vec![""]));
        assert_eq!(split(r#"a="x,y"#, b','), None);
    }
}
