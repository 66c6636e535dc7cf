//! Operations on accounts.

use std::sync::Arc;

use poem_openapi::OpenApi;

use crate::api::auth::Admin;
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
    /// The answer holds the app secret token, this one time: the server keeps only its digest.
    #[oai(path = "/v1/accounts", method = "post", operation_id = "createAccount")]
    async fn create(&self, _admin: Admin, body: Body<AccountCreate>) -> ApiResult<Created<AccountWithToken>> {
        let token = AppToken::generate();
        let now = (self.0.clock)();
        let account = self.0.store.create_account(body.0.id, body.0.fields, token.digest(), token.hint(), now).await?;
        let location = format!("/v1/accounts/{}", account.id);
        Ok(Created { body: AccountWithToken::new(account, &token), location })
    }

    /// List accounts
    ///
    /// A page of the accounts, oldest first.
    #[oai(path = "/v1/accounts", method = "get", operation_id = "listAccounts")]
    async fn list(
        &self,
        _admin: Admin,
        /// Most items of the page.
        limit: Query<Limit>,
        /// `next_cursor` of the page before.
        cursor: Query<Cursor>,
        /// Only the account with this e-mail address, case aside.
        email: Query<Email>,
    ) -> ApiResult<Long<AccountPage>> {
        let store = &self.0.store;
        Long::made(store, store.accounts(page(limit, cursor), email.0), |found| found.into()).await
    }

    /// Read an account
    ///
    /// Of its app secret token it shows the last four characters.
    #[oai(path = "/v1/accounts/:account_id", method = "get", operation_id = "getAccount")]
    async fn get(
        &self,
        _admin: Admin,
        /// Id of the account.
        account_id: Path<AccountId>,
    ) -> ApiResult<OkJson<Account>> {
        Ok(OkJson(self.0.store.account(account_id.0).await?.into()))
    }

    /// Replace an account
    ///
    /// What is not given is cleared. The app secret token stays.
    #[oai(path = "/v1/accounts/:account_id", method = "put", operation_id = "replaceAccount")]
    async fn replace(
        &self,
        _admin: Admin,
        /// Id of the account.
        account_id: Path<AccountId>,
        body: Body<AccountReplace>,
    ) -> ApiResult<OkJson<Account>> {
        Ok(OkJson(self.0.store.replace_account(account_id.0, body.0, (self.0.clock)()).await?.into()))
    }

    /// Change an account
    ///
    /// An RFC 7396 merge patch: what is not given stays, `null` clears. `application/merge-patch+json` is taken as well.
    #[oai(path = "/v1/accounts/:account_id", method = "patch", operation_id = "updateAccount")]
    async fn update(
        &self,
        _admin: Admin,
        /// Id of the account.
        account_id: Path<AccountId>,
        body: Body<AccountUpdate>,
    ) -> ApiResult<OkJson<Account>> {
        Ok(OkJson(self.0.store.patch_account(account_id.0, body.0, (self.0.clock)()).await?.into()))
    }

    /// Delete an account
    ///
    /// With all that belongs to it: destinations, events and deliveries.
    #[oai(path = "/v1/accounts/:account_id", method = "delete", operation_id = "deleteAccount")]
    async fn delete(
        &self,
        _admin: Admin,
        /// Id of the account.
        account_id: Path<AccountId>,
    ) -> ApiResult<NoContent> {
        self.0.store.delete_account(account_id.0, (self.0.clock)()).await?;
        Ok(NoContent)
    }

    /// Rotate an account's token
    ///
    /// Makes a new app secret token and shows it this one time. The old one works on for the grace.
    #[oai(path = "/v1/accounts/:account_id/rotate-token", method = "post", operation_id = "rotateToken")]
    async fn rotate_token(
        &self,
        _admin: Admin,
        /// Id of the account.
        account_id: Path<AccountId>,
        body: Body<TokenRotation>,
    ) -> ApiResult<OkJson<AccountWithToken>> {
        let token = AppToken::generate();
        let now = (self.0.clock)();
        let account = self.0.store.rotate_token(account_id.0, token.digest(), token.hint(), body.0, now).await?;
        Ok(OkJson(AccountWithToken::new(account, &token)))
    }
}
