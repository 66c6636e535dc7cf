//! The login page: its HTML, and the body that the page sends to log in.

use poem::http::StatusCode;
use poem::{Body, Request};
use serde::Deserialize;

use crate::web::static_page::ICON;

use crate::web::access::Credential;
use crate::web::body::media_type::{self, Accepts};
use crate::web::body::{self, BodyLimits};
use crate::web::problem::{ApiError, ApiResult};

/// Longest body of a login, in bytes. An admin token has at most 512 characters.
const MAX_BODY: usize = 4_096;

/// The page for a browser that has logged in (`is_in`), or for one that has not.
pub fn html(is_in: bool) -> String {
    let page = include_str!("login.html").replacen("{icon}", ICON, 1);
    page.replacen("{state}", if is_in { "in" } else { "out" }, 1)
}

/// The body of a login. Exactly one of the two fields must be set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    code: Option<String>,
    token: Option<String>,
}

impl Login {
    /// Reads the body of a login. Errors do not repeat the content, because the content is secret.
    ///
    /// # Errors
    /// 400, 413 and 415, as for other bodies.
    pub async fn read(request: &Request, body: Body, limits: &BodyLimits) -> ApiResult<Self> {
        media_type::check(request.headers(), Accepts::Json)?;
        let (bytes, _memory) =
            body::read(body, request.headers(), &BodyLimits { bytes: MAX_BODY, ..limits.clone() }).await?;
        serde_json::from_slice(&bytes).map_err(|_| malformed())
    }

    /// The credential in the body.
    ///
    /// # Errors
    /// 400 if the body has no credential, or two.
    pub fn credential(&self) -> ApiResult<Credential<'_>> {
        match (&self.code, &self.token) {
            (Some(code), None) => Ok(Credential::Code(code)),
            (None, Some(token)) => Ok(Credential::Token(token)),
            _ => Err(malformed()),
        }
    }
}

fn malformed() -> ApiError {
    let detail = r#"Send {"code": "…"} with the code of a login link, or {"token": "…"} with the admin token."#;
    ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
}
