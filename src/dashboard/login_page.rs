//! What the page sends on which a browser logs in and out.

use poem::http::StatusCode;
use poem::{Body, Request};
use serde::Deserialize;

use crate::web::static_page::ICON;

use crate::web::access::Credential;
use crate::web::body::media_type::{self, Accepts};
use crate::web::body::{self, BodyLimits};
use crate::web::problem::{ApiError, ApiResult};

/// Longest body of a login: a token has at most 512 characters.
const MAX_BODY: usize = 4_096;

/// The page for those who are in, or out.
pub fn html(is_in: bool) -> String {
    let page = include_str!("login.html").replacen("{icon}", ICON, 1);
    page.replacen("{state}", if is_in { "in" } else { "out" }, 1)
}

/// The body of a login: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    code: Option<String>,
    token: Option<String>,
}

impl Login {
    /// Reads it. Errors do not repeat what came: it is a secret.
    ///
    /// # Errors
    /// 400, 413 and 415 as everywhere.
    pub async fn read(request: &Request, body: Body, limits: &BodyLimits) -> ApiResult<Self> {
        media_type::check(request.headers(), Accepts::Json)?;
        let (bytes, _memory) =
            body::read(body, request.headers(), &BodyLimits { bytes: MAX_BODY, ..limits.clone() }).await?;
        serde_json::from_slice(&bytes).map_err(|_| malformed())
    }

    /// What it shows.
    ///
    /// # Errors
    /// 400 if that is nothing, or two things.
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
