//! Who may send events: the extractor of an account's token, with its security scheme. Account tokens are looked up in
//! `store`. Who may call the other operations is in `admitted`.

use poem::http::HeaderMap;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use crate::domain::secret::TokenDigest;
use crate::domain::token_kind::TokenKind;
use crate::web::problem::ApiError;

/// Name of the account token's security scheme in the OpenAPI document.
pub const APP_SCHEME: &str = "appToken";

/// Header in which a client sends its account's token.
pub const TOKEN_HEADER: &str = "CL-XTOKEN";

/// Second name of [`TOKEN_HEADER`]. Some existing implementations use this name, so it is accepted too.
pub const TOKEN_HEADER_ALIAS: &str = "CL-X-TOKEN";

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
    /// It begins as a token with a role does.
    WithRole,
    /// It begins as an admin token does.
    Admin,
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
        Self(match TokenKind::of_beginning(first) {
            _ if first.is_empty() => Err(NoToken::Empty),
            // Said of the beginning, before any look-up, so that it tells nothing of which tokens there are.
            Some(TokenKind::Role) => Err(NoToken::WithRole),
            Some(TokenKind::Admin) => Err(NoToken::Admin),
            Some(TokenKind::Account) | None => Ok(TokenDigest::of(first)),
        })
    }
}

impl NoToken {
    /// The text for the client, which never contains the token.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Missing => "There is no token: send the app secret token of an account in the CL-XTOKEN header.",
            Self::Empty => "The CL-XTOKEN header is empty: send the app secret token of an account in it.",
            Self::Several => "Tokens that differ came in CL-XTOKEN and CL-X-TOKEN headers: send one.",
            Self::WithRole => {
                "The text in the CL-XTOKEN header begins as a token with a role does, which is for the API under /v1. \
                 Events are sent with the app secret token of their account, which begins with cl_."
            }
            Self::Admin => {
                "The text in the CL-XTOKEN header begins as an admin token does, which is for the API under /v1. Events \
                 are sent with the app secret token of their account, which begins with cl_."
            }
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

/// A security scheme of the OpenAPI document.
pub fn scheme(
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
        assert_eq!(none(&[("cl-xtoken", "dpt_canary")]), Some(NoToken::WithRole));
        assert_eq!(none(&[("cl-x-token", "adm_canary")]), Some(NoToken::Admin));
        assert_eq!(none(&[("cl-xtoken", "cl_canary")]), None);
        let all = [
            NoToken::Missing,
            NoToken::Empty,
            NoToken::Several,
            NoToken::WithRole,
            NoToken::Admin,
            NoToken::Unknown,
            NoToken::Expired,
        ];
        let details: std::collections::HashSet<_> = all.map(NoToken::detail).into();
        assert_eq!(details.len(), all.len());
    }
}
