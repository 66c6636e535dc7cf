//! What holds for everything that a client of the API sends: tokens, headers, parameters, bodies and documents of
//! accounts. The odd texts are those of `domain::tests`, where the values themselves are tested.

mod bodies;
mod exports;
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
