//! Who gets in: the admin token, and the token of an account.

use std::sync::Arc;

use poem::http::HeaderMap;
use poem::http::header::AUTHORIZATION;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::Context;
use super::browser;
use super::paths::Paths;
use super::problem::{ApiError, ApiResult};
use crate::domain::secret::{AdminToken, TokenDigest};

/// Name of the admin token's scheme in the document.
pub const ADMIN_SCHEME: &str = "adminToken";

/// Name of the account token's scheme in the document.
pub const APP_SCHEME: &str = "appToken";

/// The header of an account's token.
pub const TOKEN_HEADER: &str = "CL-XTOKEN";

/// Implementations in the field drift to this name, so it is taken too.
pub const TOKEN_HEADER_ALIAS: &str = "CL-X-TOKEN";

/// What opens the admin API.
#[derive(Debug, Clone)]
pub enum Gate {
    /// `--dev`: anyone on this machine; an `Authorization` header is ignored.
    Dev,
    /// Whoever has the token.
    Token(AdminToken),
}

/// Proof that the caller may use the admin API. An operation that takes it first reads nothing before.
#[derive(Debug)]
pub struct Admin;

impl Admin {
    fn check(request: &Request, gate: &Gate) -> ApiResult<Self> {
        match gate {
            Gate::Dev => browser::check(request.method(), request.uri(), request.headers())?,
            Gate::Token(token) => {
                let given = bearer(request.headers());
                if !given.is_some_and(|given| token.matches(given)) {
                    let detail = "Send the admin token as `Authorization: Bearer TOKEN`.";
                    return Err(ApiError::unauthorized("Bearer", "unauthorized", detail));
                }
            }
        }
        Paths::shared().check_query(request.method(), request.original_uri())?;
        Ok(Self)
    }
}

/// The token of the one `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (line, None) = (lines.next()?.as_bytes(), lines.next()) else { return None };
    let (scheme, token) = line.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

impl<'a> ApiExtractor<'a> for Admin {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let description = "The admin token. Under `--dev` none is asked for.";
        registry.create_security_scheme(ADMIN_SCHEME, scheme("http", description, None, Some("bearer")));
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![ADMIN_SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        let context = request.data::<Arc<Context>>().ok_or_else(ApiError::internal)?;
        Ok(Self::check(request, &context.gate)?)
    }
}

/// Digest of the account token that came, if exactly one did. Whose it is the handler asks the store.
#[derive(Debug)]
pub struct GivenToken(pub Option<TokenDigest>);

impl GivenToken {
    /// Both header names count; two that differ are none.
    fn of(headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(TOKEN_HEADER).iter().chain(headers.get_all(TOKEN_HEADER_ALIAS));
        let Some(first) = lines.next().map(|line| line.as_bytes()).filter(|token| !token.is_empty()) else {
            return Self(None);
        };
        Self(lines.all(|line| line.as_bytes() == first).then(|| TokenDigest::of(first)))
    }
}

impl<'a> ApiExtractor<'a> for GivenToken {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let description = "The app secret token of the account whose data it is.";
        registry.create_security_scheme(APP_SCHEME, scheme("apiKey", description, Some(TOKEN_HEADER), None));
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![APP_SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        Ok(Self::of(request.headers()))
    }
}

fn scheme(
    ty: &'static str,
    description: &'static str,
    header: Option<&'static str>,
    scheme: Option<&'static str>,
) -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty,
        description: Some(description),
        name: header,
        key_in: header.map(|_| "header"),
        scheme,
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn one_token_counts_under_either_name() {
        let digest = Some(TokenDigest::of(b"abc"));
        let given = |lines: &[(&'static str, &str)]| GivenToken::of(&headers(lines)).0;
        assert!(given(&[("cl-xtoken", "abc")]) == digest && given(&[("cl-x-token", "abc")]) == digest);
        assert!(given(&[("cl-xtoken", "abc"), ("cl-x-token", "abc")]) == digest);
        assert!(given(&[("cl-xtoken", "abc"), ("cl-x-token", "abd")]).is_none());
        assert!(given(&[("cl-xtoken", "abc"), ("cl-xtoken", "abd")]).is_none());
        assert!(given(&[("cl-xtoken", "")]).is_none() && given(&[]).is_none());
    }

    #[test]
    fn the_bearer_scheme_is_read_case_aside_and_only_once() {
        assert_eq!(bearer(&headers(&[("authorization", "bEaReR abc")])), Some(&b"abc"[..]));
        assert_eq!(bearer(&headers(&[("authorization", "Basic abc")])), None);
        assert_eq!(bearer(&headers(&[("authorization", "Bearer abc"), ("authorization", "Bearer abd")])), None);
        assert_eq!(bearer(&headers(&[("authorization", "Bear")])), None);
    }
}
