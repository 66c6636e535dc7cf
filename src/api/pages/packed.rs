//! A page that is the same as long as the server runs: compressed once, and recognised by browsers that have it.

use std::io::Write as _;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use flate2::Compression;
use flate2::write::GzEncoder;
use poem::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use poem::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

/// A page and its compressed form.
pub struct Packed {
    plain: Form,
    gzip: Form,
    headers: Vec<(HeaderName, HeaderValue)>,
}

struct Form {
    body: Vec<u8>,
    etag: HeaderValue,
}

impl Packed {
    /// Packs `text`, which is no HTML.
    pub fn text(content_type: &'static str, text: &str) -> Self {
        Self::new(content_type, text, Vec::new())
    }

    /// Packs an HTML page. Of scripts and styles only the ones that stand in it run, whatever gets into it.
    pub fn html(page: &str) -> Self {
        let policy = HeaderValue::try_from(policy(page)).expect("a policy is visible ASCII");
        let opener = HeaderName::from_static("cross-origin-opener-policy");
        let headers = vec![(CONTENT_SECURITY_POLICY, policy), (opener, HeaderValue::from_static("same-origin"))];
        Self::new("text/html; charset=utf-8", page, headers)
    }

    fn new(content_type: &'static str, text: &str, mut headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        let digest = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..12]);
        let form = |body, end: &str| Form {
            body,
            etag: HeaderValue::try_from(format!("\"{digest}{end}\"")).expect("base64 is visible ASCII"),
        };
        headers.push((CONTENT_TYPE, HeaderValue::from_static(content_type)));
        // Kept, and asked for again each time: a page changes with the program.
        headers.push((CACHE_CONTROL, HeaderValue::from_static("no-cache")));
        headers.push((VARY, HeaderValue::from_static("Accept-Encoding")));
        Self { plain: form(text.as_bytes().to_vec(), ""), gzip: form(gzip(text.as_bytes()), "-gzip"), headers }
    }

    /// The answer to a request with these headers.
    pub fn answer(&self, asked: &HeaderMap) -> Response {
        let is_compressed = takes_gzip(asked);
        let form = if is_compressed { &self.gzip } else { &self.plain };
        let mut response = match has(asked, &form.etag) {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => form.body.clone().into_response(),
        };
        let headers = response.headers_mut();
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        headers.insert(ETAG, form.etag.clone());
        if is_compressed && response.status() == StatusCode::OK {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes every write")
}

/// Whether the client takes gzip (RFC 9110, 12.5.3).
fn takes_gzip(asked: &HeaderMap) -> bool {
    let mut star = false;
    for line in asked.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok()) {
        for item in line.split(',') {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = parameters.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.trim().strip_prefix('='));
            let wanted = weight.is_none_or(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0));
            match coding.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => return wanted,
                "*" => star = wanted,
                _ => {}
            }
        }
    }
    star
}

/// Whether the client has the form with this tag (RFC 9110, 13.1.2).
fn has(asked: &HeaderMap, etag: &HeaderValue) -> bool {
    asked.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok()).any(|line| {
        line.split(',').map(|tag| tag.trim()).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}

/// Content security policy (CSP level 3) that names the very scripts and styles of `page` by their digests.
fn policy(page: &str) -> String {
    format!(
        "default-src 'none'; script-src{}; style-src{}; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        digests(page, "script"),
        digests(page, "style")
    )
}

/// The digest of each inline element of this name; the page has none of them in a comment or a text.
fn digests(page: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}"), format!("</{element}>"));
    let mut sources = String::new();
    let mut rest = page;
    while let Some((_, from)) = rest.split_once(&open) {
        let Some((content, after)) = from.split_once('>').and_then(|(_, inside)| inside.split_once(&close)) else {
            break;
        };
        sources.push_str(&format!(" 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(content))));
        rest = after;
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn gzip_is_sent_to_those_that_take_it() {
        for accepted in ["gzip", "deflate, GZIP", "br;q=1.0, gzip;q=0.5", "*", "gzip ; q = 0.1", "identity, *;q=0.5"] {
            assert!(takes_gzip(&headers(&[(ACCEPT_ENCODING, accepted)])), "{accepted}");
        }
        for accepted in ["", "br", "identity", "gzip;q=0", "gzip;q=0.000, *", "*;q=0", "gzipped", "gzip;q=x"] {
            assert!(!takes_gzip(&headers(&[(ACCEPT_ENCODING, accepted)])), "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_form_that_is_known_is_not_sent_again() {
        let packed = Packed::text("application/json", "{}");
        let first = packed.answer(&headers(&[(ACCEPT_ENCODING, "gzip")]));
        assert_eq!((first.status(), first.header("content-encoding")), (StatusCode::OK, Some("gzip")));
        let etag = first.headers()[ETAG].clone();
        let ask = |accepted, tags: &str| {
            let mut asked = headers(&[(ACCEPT_ENCODING, accepted)]);
            asked.insert(IF_NONE_MATCH, tags.parse().unwrap());
            packed.answer(&asked).status().as_u16()
        };
        let etag = etag.to_str().unwrap();
        for tags in [etag.to_owned(), format!("\"x\", W/{etag}"), "*".to_owned()] {
            assert_eq!(ask("gzip", &tags), 304, "{tags}");
        }
        assert_eq!(ask("identity", etag), 200);
        assert_eq!(ask("gzip", "\"x\""), 200);
    }

    #[test]
    fn the_policy_names_each_script_and_style_and_nothing_else() {
        let policy = policy("<style>a{}</style><script src=x>let a;</script><body><script>\nlet b;</script>");
        let digest = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
        let expected = format!(
            "script-src 'sha256-{}' 'sha256-{}'; style-src 'sha256-{}';",
            digest("let a;"),
            digest("\nlet b;"),
            digest("a{}")
        );
        assert!(policy.contains(&expected), "{policy}");
        assert!(!policy.contains("unsafe"));
    }
}
