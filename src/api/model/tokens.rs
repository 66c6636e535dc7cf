//! Request and response objects about tokens with a role, and their conversion from and to `domain`. The rules for their
//! fields belong in `domain/access_token.rs`.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

use crate::api::request::body::FromBody;
use crate::api::request::fields::{Fields, parsed};
use crate::domain::access::Role;
use crate::domain::access_token::{AccessToken, NewAccessToken, TokenExpiry, TokenName};
use crate::domain::ids::{AccountId, TokenId};
use crate::domain::network::NetworkPolicy;
use crate::domain::page::{Cursor, Page};
use crate::domain::secret::RoleToken;
use crate::domain::time::Timestamp;
use crate::error::{Error, FieldError, Result};

/// Fields of a new token.
#[derive(Debug, Object)]
#[oai(example)]
pub struct TokenCreate {
    /// What people call the token: 1 to 100 characters. White space at both ends is removed.
    pub name: TokenName,
    /// What the token may do.
    pub role: Role,
    /// Id of the one account that the token is for. If not given, the token reaches what its creator reaches: all
    /// accounts, or with a token for one account that account.
    #[oai(nullable)]
    pub account_id: Option<AccountId>,
    /// Time when the token stops working: in the future, and at most ten years from now. If not given, it does not end.
    /// With a token that expires this must be given, and be no later than the end of that token.
    #[oai(nullable)]
    pub expires_at: Option<Timestamp>,
}

/// A token with a role.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct Token {
    /// Id of the token.
    pub token_id: TokenId,
    /// What people call the token.
    pub name: TokenName,
    /// What the token may do.
    pub role: Role,
    /// Id of the one account that the token is for; null if it reaches all accounts.
    pub account_id: Option<AccountId>,
    /// Last four characters of the token.
    pub token_hint: String,
    /// Time when the token was created.
    pub created_at: Timestamp,
    /// Time when the token stops working; null if it does not end.
    pub expires_at: Option<Timestamp>,
    /// Beginning of the minute in which the token, or a session that was opened with it, was last used; null if it was
    /// not. After a crash of the server this may be a minute too early.
    pub last_used_at: Option<Timestamp>,
}

/// A new token. Its text is not shown again.
#[derive(Debug, Object, Serialize)]
#[oai(example, rename = "TokenCreated")]
pub struct TokenWithText {
    /// The token.
    #[oai(flatten)]
    #[serde(flatten)]
    pub about: Token,
    /// The token's text, for `Authorization: Bearer TOKEN`. Store it now, because the server does not show it again.
    pub token: String,
}

/// A page of tokens, oldest first.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct TokenPage {
    /// Tokens of this page.
    pub items: Vec<Token>,
    /// `cursor` for the next page; null on the last page.
    pub next_cursor: Option<Cursor>,
}

/// What [`TokenCreate`] is converted into.
#[derive(Debug)]
pub struct TokenFields {
    name: TokenName,
    role: Role,
    account_id: Option<AccountId>,
    expires_at: Option<Timestamp>,
}

impl TokenFields {
    /// The token that is to be made at `now`.
    ///
    /// # Errors
    /// Invalid if the end is not in the future, or too far ahead.
    pub fn checked(self, now: Timestamp) -> Result<NewAccessToken> {
        let Self { name, role, account_id, expires_at } = self;
        let expires_at = expires_at.map(|at| TokenExpiry::new(at, now)).transpose();
        let expires_at = expires_at.map_err(|wrong| Error::invalid(vec![FieldError::new("expires_at", wrong)]))?;
        Ok(NewAccessToken { name, role, account_id, expires_at })
    }
}

impl FromBody for TokenCreate {
    type Parsed = TokenFields;

    fn read(fields: &mut Fields, _: &NetworkPolicy) -> Option<TokenFields> {
        let name = fields.required("name", parsed);
        let role = fields.required("role", parsed);
        let account_id = fields.optional("account_id", parsed);
        let expires_at = fields.optional("expires_at", parsed);
        Some(TokenFields { name: name?, role: role?, account_id: account_id?, expires_at: expires_at? })
    }
}

impl From<AccessToken> for Token {
    fn from(token: AccessToken) -> Self {
        Self {
            token_id: token.id,
            name: token.name,
            role: token.role,
            account_id: token.account_id,
            token_hint: token.hint,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}

impl TokenWithText {
    /// `made` with its text, which was just created.
    pub fn new(made: AccessToken, token: &RoleToken) -> Self {
        Self { about: made.into(), token: token.reveal().to_owned() }
    }
}

impl From<Page<AccessToken>> for TokenPage {
    fn from(page: Page<AccessToken>) -> Self {
        Self { items: page.items.into_iter().map(Token::from).collect(), next_cursor: page.next }
    }
}

impl Example for TokenCreate {
    fn example() -> Self {
        let Token { name, role, .. } = Token::example();
        Self { name, role, account_id: None, expires_at: None }
    }
}

impl Example for Token {
    fn example() -> Self {
        Self {
            token_id: TokenId::from_stored("tok_9fK2mVxQ7bTzR4sLwN8pC".to_owned()),
            name: TokenName::from_stored("Status page".to_owned()),
            role: Role::Viewer,
            account_id: None,
            token_hint: "x9Tb".to_owned(),
            created_at: Timestamp::from_millis(1_767_268_800_000),
            expires_at: None,
            last_used_at: Some(Timestamp::from_millis(1_767_268_860_000)),
        }
    }
}

impl Example for TokenWithText {
    fn example() -> Self {
        let about = Token { last_used_at: None, ..Token::example() };
        Self { about, token: "dpt_example-only-Vw3kQ8nZr5yLs1uDm7hGp4x9Tb".to_owned() }
    }
}

impl Example for TokenPage {
    fn example() -> Self {
        Self { items: vec![Token::example()], next_cursor: None }
    }
}
