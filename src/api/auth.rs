//! Who gets in: the admin token, and the token of an account.

use std::sync::Arc;

use poem::http::HeaderMap;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::Context;
use super::browser::Caller;
use super::door::{Door, Pass};
use super::paths::Paths;
use super::problem::{ApiError, ApiResult};
use crate::domain::secret::TokenDigest;

/// Name of the admin token's scheme in the document.
pub const ADMIN_SCHEME: &str = "adminToken";

/// Name of the account token's scheme in the document.
pub const APP_SCHEME: &str = "appToken";

/// The header of an account's token.
pub const TOKEN_HEADER: &str = "CL-XTOKEN";

/// Implementations in the field drift to this name, so it is taken too.
pub const TOKEN_HEADER_ALIAS: &str = "CL-X-TOKEN";

/// What opens the admin API.
#[derive(Debug)]
pub enum Gate {
    /// `--dev`: anyone on this machine; an `Authorization` header is ignored.
    Dev,
    /// Whoever the door lets in.
    Door(Door),
}

/// Proof that the caller may use the admin API. An operation that takes it first reads nothing before.
#[derive(Debug)]
pub struct Admin;

impl Admin {
    async fn check(request: &Request, context: &Context) -> ApiResult<Self> {
        let caller = match &context.gate {
            Gate::Dev => Some(Caller::Anyone),
            Gate::Door(door) => match door.admit(request.headers(), (context.clock)()).await? {
                Pass::Token => None,
                Pass::Session => Some(Caller::Browser),
            },
        };
        if let Some(caller) = caller {
            context.site.check(caller, request.method(), request.headers())?;
        }
        Paths::shared().check_query(request.method(), request.original_uri())?;
        Ok(Self)
    }
}

impl<'a> ApiExtractor<'a> for Admin {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let description =
            "The admin token. Under `--dev` none is asked for, and a browser that has logged in needs none.";
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
        Ok(Self::check(request, context).await?)
    }
}

/// Digest of the account token that came, if exactly one did. Whose it is the handler asks the store.
#[derive(Debug)]
pub struct GivenToken(pub Option<TokenDigest>);

impl GivenToken {
    /// Both header names count; two that differ are none.
    pub fn of(headers: &HeaderMap) -> Self {
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
}
