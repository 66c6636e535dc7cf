//! Who may call the API: the extractors of the admin token and of an account's token, with their security schemes.
//! Checking the admin token and sessions is in `web/access`. Account tokens are looked up in `store`.

use std::sync::Arc;

use poem::http::HeaderMap;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::context::ApiContext;
use super::paths::Paths;
use crate::domain::access::Rights;
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;
use crate::web::access::AdminAccess;
use crate::web::access::sessions::SessionLifetime;
use crate::web::browser::same_origin::Caller;
use crate::web::problem::{ApiError, ApiResult};

/// Name of the admin token's security scheme in the OpenAPI document.
pub const ADMIN_SCHEME: &str = "adminToken";

/// Name of the account token's security scheme in the OpenAPI document.
pub const APP_SCHEME: &str = "appToken";

/// Header in which a client sends its account's token.
pub const TOKEN_HEADER: &str = "CL-XTOKEN";

/// Second name of [`TOKEN_HEADER`]. Some existing implementations use this name, so it is accepted too.
pub const TOKEN_HEADER_ALIAS: &str = "CL-X-TOKEN";

/// Proof that the caller may use the admin API. If this is an operation's first argument, nothing is read before the
/// check.
#[derive(Debug)]
pub struct Admin {
    /// What the caller may do.
    pub rights: Rights,
    /// The session that let the caller in, and the time of that check. `None` with the admin token and under `--dev`.
    session: Option<(SessionLifetime, Timestamp)>,
}

impl Admin {
    async fn check(request: &Request, context: &ApiContext) -> ApiResult<Self> {
        let now = (context.clock)();
        let (caller, rights, session) = match &*context.access {
            AdminAccess::Dev => (Some(Caller::Anyone), Rights::OWNER, None),
            AdminAccess::Token(auth) => {
                let caller = auth.authenticate(request.headers(), now).await?;
                let browser = caller.session.is_some().then_some(Caller::Browser);
                (browser, caller.rights, caller.session.map(|life| (life, now)))
            }
        };
        if let Some(caller) = caller {
            context.origins.check(caller, request.method(), request.headers())?;
        }
        let paths = request.data::<Arc<Paths>>().ok_or_else(ApiError::internal)?;
        paths.check_query(request.method(), request.original_uri())?;
        Ok(Self { rights, session })
    }

    /// Resolves when the caller may no longer use the admin API, so that a long response can end then. Without a
    /// session this never resolves.
    pub async fn over(self) {
        match self.session {
            Some((life, since)) => life.over(since).await,
            None => std::future::pending().await,
        }
    }
}

impl<'a> ApiExtractor<'a> for Admin {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let description = "The admin token of the server, sent as `Authorization: Bearer TOKEN`. In Swagger UI \
                           enter the token alone, without `Bearer`. If you gave the server no admin token, it \
                           created one in the file `DATABASE.admin-token`, such as `data-pusher.db.admin-token`. \
                           Under `--dev`, and in a browser that has logged in at `/login`, no token is needed.";
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
        let context = request.data::<Arc<ApiContext>>().ok_or_else(ApiError::internal)?;
        Ok(Self::check(request, context).await?)
    }
}

/// Digest of the account token in the request, if exactly one token was sent. The handler asks the store which account
/// the token belongs to.
#[derive(Debug)]
pub struct AccountToken(pub Result<TokenDigest, NoToken>);

/// Why a request has no valid account token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoToken {
    /// No token header was sent.
    Missing,
    /// The header is there, but empty.
    Empty,
    /// Several headers were sent, and their values differ.
    Several,
    /// No account has this token.
    Unknown,
    /// An account had this token, and the grace after its rotation has ended.
    Expired,
}

impl AccountToken {
    /// Reads the token under both header names. Values that differ are an error.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(TOKEN_HEADER).iter().chain(headers.get_all(TOKEN_HEADER_ALIAS));
        let Some(first) = lines.next().map(|line| line.as_bytes()) else { return Self(Err(NoToken::Missing)) };
        if !lines.all(|line| line.as_bytes() == first) {
            return Self(Err(NoToken::Several));
        }
        Self(if first.is_empty() { Err(NoToken::Empty) } else { Ok(TokenDigest::of(first)) })
    }
}

impl NoToken {
    /// The text for the client, which never contains the token.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Missing => "There is no token: send the app secret token of an account in the CL-XTOKEN header.",
            Self::Empty => "The CL-XTOKEN header is empty: send the app secret token of an account in it.",
            Self::Several => "Tokens that differ came in CL-XTOKEN and CL-X-TOKEN headers: send one.",
            Self::Unknown => {
                "The token in the CL-XTOKEN header is wrong: no account has it. It may be mistyped or rotated, or its \
                 account deleted."
            }
            Self::Expired => {
                "The token in the CL-XTOKEN header was rotated, and its time of grace is over: send the new one."
            }
        }
    }
}

impl From<NoToken> for ApiError {
    fn from(none: NoToken) -> Self {
        Self::unauthorized("CL-XTOKEN", "invalid_token", none.detail())
    }
}

impl<'a> ApiExtractor<'a> for AccountToken {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let description = "The app secret token of an account. Send the account's app secret token in the CL-XTOKEN \
                           header. In Swagger UI: Authorize, appToken. The token is only shown in the response that \
                           created the account or rotated its token.";
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
        let given = |lines: &[(&'static str, &str)]| AccountToken::of(&headers(lines)).0;
        let digest = Ok(TokenDigest::of(b"abc"));
        assert!(given(&[("cl-xtoken", "abc")]) == digest && given(&[("cl-x-token", "abc")]) == digest);
        assert!(given(&[("cl-xtoken", "abc"), ("cl-x-token", "abc")]) == digest);
    }

    #[test]
    fn what_is_no_token_is_told_apart() {
        let none = |lines: &[(&'static str, &str)]| AccountToken::of(&headers(lines)).0.err();
        assert_eq!(none(&[]), Some(NoToken::Missing));
        for lines in [&[("cl-xtoken", "")][..], &[("cl-x-token", "")], &[("cl-xtoken", ""), ("cl-x-token", "")]] {
            assert_eq!(none(lines), Some(NoToken::Empty));
        }
        for (name, value) in [("cl-x-token", "abd"), ("cl-xtoken", "abd"), ("cl-x-token", "")] {
            assert_eq!(none(&[("cl-xtoken", "abc"), (name, value)]), Some(NoToken::Several));
        }
        let all = [NoToken::Missing, NoToken::Empty, NoToken::Several, NoToken::Unknown, NoToken::Expired];
        let details: std::collections::HashSet<_> = all.map(NoToken::detail).into();
        assert_eq!(details.len(), all.len());
    }
}
