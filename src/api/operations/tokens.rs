//! Operations on tokens with a role. Which token lets a request in is decided in `web/access`.

use std::sync::Arc;

use poem_openapi::OpenApi;

use crate::api::admitted::Administrator;
use crate::api::context::ApiContext;
use crate::api::model::tokens::{Token, TokenCreate, TokenPage, TokenWithText};
use crate::api::model::values::Limit;
use crate::api::request::body::Body;
use crate::api::request::params::{Path, Query, page};
use crate::api::responses::{Created, Long, NoContent, OkJson};
use crate::api::tags::Tag;
use crate::domain::ids::TokenId;
use crate::domain::page::Cursor;
use crate::domain::secret::RoleToken;
use crate::web::access::ended;
use crate::web::problem::ApiResult;

/// Operations on tokens with a role.
pub struct TokensApi(pub Arc<ApiContext>);

#[OpenApi(tag = "Tag::Tokens")]
impl TokensApi {
    /// Create a token
    ///
    /// Creates a token with a role: for all accounts or for one, with or without an end. The response contains the
    /// token, and no later response shows it again: the server keeps only a digest. Send the token as
    /// `Authorization: Bearer TOKEN`, or log in with it at `/login`.
    ///
    /// Nobody can create a token that may do more than their own. A token for one account only creates tokens for that
    /// account. A token that expires only creates tokens that expire when it does, or before. There can be 1,000 tokens
    /// for all accounts, and 50 for each account.
    ///
    /// An `Idempotency-Key` is not used here: each request creates another token. If the response is lost, a token may
    /// exist that nobody knows. List the tokens, find it by its name, revoke it, and create another.
    #[oai(path = "/v1/tokens", method = "post", operation_id = "createToken")]
    async fn create(&self, admin: Administrator, body: Body<TokenCreate>) -> ApiResult<Created<TokenWithText>> {
        let (token, now) = (RoleToken::generate(), (self.0.clock)());
        let new = body.0.checked(now)?;
        let made = admin.store.create_access_token(new, admin.token(), token.digest(), token.hint(), now).await?;
        let made = made.ok_or_else(ended)?;
        let location = format!("/v1/tokens/{}", made.id);
        Ok(Created { body: TokenWithText::new(made, &token), location })
    }

    /// List tokens
    ///
    /// Returns one page of tokens, oldest first, also those that have expired. Only the last four characters of each
    /// token are shown.
    #[oai(path = "/v1/tokens", method = "get", operation_id = "listTokens")]
    async fn list(
        &self,
        admin: Administrator,
        /// Maximum number of items in the page, from 1 to 200. The default is 50.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page; leave this parameter out for the first page.
        cursor: Query<Cursor>,
    ) -> ApiResult<Long<TokenPage>> {
        let store = &admin.store;
        Long::made(store, store.access_tokens(page(limit, cursor)), |found| found.into()).await
    }

    /// Read a token
    ///
    /// Returns one token. Only its last four characters are shown.
    #[oai(path = "/v1/tokens/:token_id", method = "get", operation_id = "getToken")]
    async fn get(
        &self,
        admin: Administrator,
        /// Id of the token.
        token_id: Path<TokenId>,
    ) -> ApiResult<OkJson<Token>> {
        Ok(OkJson(admin.store.access_token(token_id.0).await?.into()))
    }

    /// Revoke a token
    ///
    /// Ends a token at once, with all sessions and streams that were opened with it. Tokens that were created with it
    /// go on.
    #[oai(path = "/v1/tokens/:token_id", method = "delete", operation_id = "revokeToken")]
    async fn revoke(
        &self,
        admin: Administrator,
        /// Id of the token.
        token_id: Path<TokenId>,
    ) -> ApiResult<NoContent> {
        admin.store.revoke_access_token(token_id.0).await?;
        Ok(NoContent)
    }
}
