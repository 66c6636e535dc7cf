//! Checks what a template made.

use serde::de::IgnoredAny;

use super::failure::TemplateFailure;

/// Checks that a body is one JSON document.
///
/// # Errors
/// Where in the body it is none, and what is often the reason.
pub fn check_json(body: &[u8]) -> Result<(), TemplateFailure> {
    let Err(error) = serde_json::from_slice::<IgnoredAny>(body) else { return Ok(()) };
    let place = format!("line {}, column {} of what is made is no JSON", error.line(), error.column());
    let hint = if has_doubled_quotes(body, error.line(), error.column()) {
        "; a printed value has its own quotes, so it is {{ data.name }} and never \"{{ data.name }}\", and \"Order \" ~ \
         data.name joins texts"
    } else if body.trim_ascii().is_empty() {
        "; it is empty"
    } else {
        ""
    };
    Err(TemplateFailure::new(None, &format!("{place}{hint}")))
}

/// Whether the place is right after a string that ended too early.
fn has_doubled_quotes(body: &[u8], line: usize, column: usize) -> bool {
    let start: usize = body.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let Some(at) = (start + column).checked_sub(2) else { return false };
    body.get(at) == Some(&b'"') && body.get(at + 1).is_some_and(|byte| !b",:]}".contains(byte))
}

/// The value of a header: ASCII without control characters, as of a destination's own headers. Spaces and line breaks
/// at the ends are cut off: they come from tags on lines of their own.
///
/// # Errors
/// It has other characters.
pub(super) fn header_value(made: Vec<u8>) -> Result<Vec<u8>, TemplateFailure> {
    let value = made.trim_ascii();
    if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(TemplateFailure::new(
            None,
            "the value has a control character or line break, which no header may have",
        ));
    }
    if !value.is_ascii() {
        return Err(TemplateFailure::new(
            None,
            "the value has characters beyond ASCII, which not all receivers read alike",
        ));
    }
    Ok(value.to_vec())
}
