//! Pages that stay the same while the server runs. A page is compressed once and kept only in that form. An `ETag` lets
//! browsers reuse a page that they have. Pages that depend on data do not belong here.

use std::io::{Read as _, Write as _};
use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use poem::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use poem::{IntoResponse, Request, Response};
use poem_openapi::registry::{MetaResponses, Registry};
use sha2::{Digest as _, Sha256};

use super::problem::ApiError;

/// The icon of every page, as a `data:` URL.
pub const ICON: &str = concat!(
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E",
    "%3Crect width='16' height='16' rx='3' fill='%23175e54'/%3E",
    "%3Cpath d='M3 8h7M7 4l4 4-4 4' stroke='white' stroke-width='2' fill='none'/%3E%3C/svg%3E"
);

/// A page, kept compressed. For the few clients that do not accept gzip, each response is decompressed.
pub struct StaticPage {
    gzip: Bytes,
    /// Tag of the uncompressed page.
    plain_tag: HeaderValue,
    gzip_tag: HeaderValue,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl StaticPage {
    /// A page that is not HTML, from `text`.
    pub fn text(content_type: &'static str, text: &str) -> Self {
        Self::new(content_type, text, Vec::new())
    }

    /// An HTML page. Only scripts and styles that are written in `page` can run, even if others get into the page
    /// later.
    pub fn html(page: &str) -> Self {
        let policy = HeaderValue::try_from(policy(page)).expect("a policy is visible ASCII");
        let opener = HeaderName::from_static("cross-origin-opener-policy");
        let headers = vec![(CONTENT_SECURITY_POLICY, policy), (opener, HeaderValue::from_static("same-origin"))];
        Self::new("text/html; charset=utf-8", page, headers)
    }

    fn new(content_type: &'static str, text: &str, mut headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        let digest = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..12]);
        let tag = |end| HeaderValue::try_from(format!("\"{digest}{end}\"")).expect("base64 is visible ASCII");
        headers.push((CONTENT_TYPE, HeaderValue::from_static(content_type)));
        // Browsers keep the page but check each time, because a new version of the program may have another page.
        headers.push((CACHE_CONTROL, HeaderValue::from_static("no-cache")));
        headers.push((VARY, HeaderValue::from_static("Accept-Encoding")));
        Self { gzip: gzip(text.as_bytes()).into(), plain_tag: tag(""), gzip_tag: tag("-gzip"), headers }
    }

    /// The response to a request with the headers `asked`.
    pub fn answer(&self, asked: &HeaderMap) -> Response {
        let is_compressed = takes_gzip(asked);
        let tag = if is_compressed { &self.gzip_tag } else { &self.plain_tag };
        let mut response = Response::builder().header(ETAG, tag.clone());
        for (name, value) in &self.headers {
            response = response.header(name.clone(), value.clone());
        }
        match (has(asked, tag), is_compressed) {
            (true, _) => response.status(StatusCode::NOT_MODIFIED).finish(),
            (false, true) => response.header(CONTENT_ENCODING, "gzip").body(self.gzip.clone()),
            (false, false) => response.body(gunzip(&self.gzip)),
        }
    }
}

/// A response, as a type that operations can return.
pub struct Page(pub Response);

/// The response with `page`, which is built at its first use.
pub async fn serve(page: &'static LazyLock<StaticPage>, request: &Request) -> Page {
    // Compressing Swagger UI for the first time takes long, and so does decompressing it. Other requests must not wait
    // for that.
    let asked = request.headers().clone();
    let answer = tokio::task::spawn_blocking(move || page.answer(&asked)).await;
    Page(answer.unwrap_or_else(|_| ApiError::internal().into_response()))
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        self.0
    }
}

impl poem_openapi::ApiResponse for Page {
    fn meta() -> MetaResponses {
        MetaResponses { responses: Vec::new() }
    }

    fn register(_: &mut Registry) {}
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes every write")
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut unpacked).expect("what was packed here can be unpacked");
    unpacked
}

/// Whether the client accepts gzip (RFC 9110, 12.5.3).
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

/// Whether the client has the form with this tag already (RFC 9110, 13.1.2).
fn has(asked: &HeaderMap, etag: &HeaderValue) -> bool {
    asked.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok()).any(|line| {
        line.split(',').map(|tag| tag.trim()).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}

/// Content security policy (CSP level 3) that allows exactly the scripts and styles of `page`, by their digests.
fn policy(page: &str) -> String {
    format!(
        "default-src 'none'; script-src{}; style-src{}; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        digests(page, "script"),
        digests(page, "style")
    )
}

/// The digest of each inline element with the name `element`. The page must not have the name in a comment or a text.
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
        let packed = StaticPage::text("application/json", "{}");
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
        let plain = packed.answer(&HeaderMap::new());
        assert_eq!(plain.into_body().into_string().await.unwrap(), "{}");
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
