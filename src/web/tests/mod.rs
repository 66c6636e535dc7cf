//! What holds for every header and every byte that a client sends, before anybody knows who it is. The grammars are
//! written here once more, as patterns that no parser uses; the odd texts are those of `domain::tests`.

mod browsers;
mod bytes;
mod fields;

use poem::http::{HeaderMap, HeaderValue};

/// The headers of a request with these lines. `None` if a line can be in no request.
fn headers(lines: &[(&'static str, &[u8])]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(headers)
}
