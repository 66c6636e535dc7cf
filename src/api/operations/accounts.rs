//! Operations on accounts and their app secret tokens. The rules for an account's fields belong in `domain/account.rs`.

use std::sync::Arc;

use poem_openapi::OpenApi;

use crate::api::admitted::{Administrator, ServerAdministrator, Viewer};
use crate::api::context::ApiContext;
use crate::api::model::accounts::{
    Account, AccountCreate, AccountPage, AccountReplace, AccountUpdate, AccountWithToken, TokenRotation,
};
use crate::api::model::values::Limit;
use crate::api::request::body::Body;
use crate::api::request::params::{Path, Query, page};
use crate::api::responses::{Created, Long, NoContent, OkJson};
use crate::api::tags::Tag;
use crate::domain::account::Email;
use crate::domain::ids::AccountId;
use crate::domain::page::Cursor;
use crate::domain::secret::AppToken;
use crate::web::problem::ApiResult;

/// Operations on accounts.
pub struct AccountsApi(pub Arc<ApiContext>);

#[OpenApi(tag = "Tag::Accounts")]
impl AccountsApi {
    /// Create an account
    ///
    /// Creates an account and its app secret token. The response contains the token, and no later response shows it
    /// again: the server keeps only a digest. Clients send this token in the CL-XTOKEN header of
    /// `POST /server/incoming_data`.
    #[oai(path = "/v1/accounts", method = "post", operation_id = "createAccount")]
    async fn create(
        &self,
        admin: ServerAdministrator,
        body: Body<AccountCreate>,
    ) -> ApiResult<Created<AccountWithToken>> {
        let token = AppToken::generate(self.0.instance.as_ref());
        let now = (self.0.clock)();
        let account = admin.store.create_account(body.0.id, body.0.fields, token.digest(), token.hint(), now).await?;
        let location = format!("/v1/accounts/{}", account.id);
        Ok(Created { body: AccountWithToken::new(account, &token), location })
    }

    /// List accounts
    ///
    /// Returns one page of accounts, oldest first.
    #[oai(path = "/v1/accounts", method = "get", operation_id = "listAccounts")]
    async fn list(
        &self,
        viewer: Viewer,
        /// Maximum number of items in the page, from 1 to 200. The default is 50.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page; leave this parameter out for the first page.
        cursor: Query<Cursor>,
        /// Only the account with this e-mail address (not case-sensitive).
        email: Query<Email>,
    ) -> ApiResult<Long<AccountPage>> {
        let store = &viewer.store;
        Long::made(store, store.accounts(page(limit, cursor), email.0), |found| found.into()).await
    }

    /// Read an account
    ///
    /// Returns one account. Only the last four characters of its app secret token are shown.
    #[oai(path = "/v1/accounts/:account_id", method = "get", operation_id = "getAccount")]
    async fn get(
        &self,
        viewer: Viewer,
        /// Id of the account.
        account_id: Path<AccountId>,
    ) -> ApiResult<OkJson<Account>> {
        Ok(OkJson(viewer.store.account(account_id.0).await?.into()))
    }

    /// Replace an account
    ///
    /// Sets all fields of an account. Optional fields that are not given are cleared. The id and the app secret token
    /// do not change.
    #[oai(path = "/v1/accounts/:account_id", method = "put", operation_id = "replaceAccount")]
    async fn replace(
        &self,
        admin: Administrator,
        /// Id of the account.
        account_id: Path<AccountId>,
        body: Body<AccountReplace>,
    ) -> ApiResult<OkJson<Account>> {
        Ok(OkJson(admin.store.replace_account(account_id.0, body.0, (self.0.clock)()).await?.into()))
    }

    /// Change an account
    ///
    /// Changes only the given fields of an account (RFC 7396 merge patch). `null` clears an optional field. The content
    /// type is `application/json` or `application/merge-patch+json`.
    #[oai(path = "/v1/accounts/:account_id", method = "patch", operation_id = "updateAccount")]
    async fn update(
        &self,
        admin: Administrator,
        /// Id of the account.
        account_id: Path<AccountId>,
        body: Body<AccountUpdate>,
    ) -> ApiResult<OkJson<Account>> {
        Ok(OkJson(admin.store.patch_account(account_id.0, body.0, (self.0.clock)()).await?.into()))
    }

    /// Delete an account
    ///
    /// Deletes an account with its destinations, events and deliveries. Pending deliveries are not sent any more. The
    /// app secret token stops working at once.
    #[oai(path = "/v1/accounts/:account_id", method = "delete", operation_id = "deleteAccount")]
    async fn delete(
        &self,
        admin: Administrator,
        /// Id of the account.
        account_id: Path<AccountId>,
    ) -> ApiResult<NoContent> {
        admin.store.delete_account(account_id.0, (self.0.clock)()).await?;
        Ok(NoContent)
    }

    /// Rotate an account's token
    ///
    /// Creates a new app secret token for an account, and shows this token only in this response. Without a body, the
    /// old token stops working at once. To keep the old token for some time, give an overlap time in seconds:
    /// `{"grace_seconds": 3600}`. Both tokens then work for one hour. The longest overlap time is one week.
    #[oai(path = "/v1/accounts/:account_id/rotate-token", method = "post", operation_id = "rotateToken")]
    async fn rotate_token(
        &self,
        admin: Administrator,
        /// Id of the account.
        account_id: Path<AccountId>,
        body: Body<TokenRotation>,
    ) -> ApiResult<OkJson<AccountWithToken>> {
        let token = AppToken::generate(self.0.instance.as_ref());
        let now = (self.0.clock)();
        let account = admin.store.rotate_token(account_id.0, token.digest(), token.hint(), body.0, now).await?;
        Ok(OkJson(AccountWithToken::new(account, &token)))
    }
}
