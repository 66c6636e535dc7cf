//! Objects about accounts.

use std::time::Duration;

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

use crate::api::request::body::FromBody;
use crate::api::request::fields::{Fields, parsed, text, whole};
use crate::domain;
use crate::domain::account::{AccountFields, AccountName, AccountPatch, Email, Website};
use crate::domain::ids::AccountId;
use crate::domain::network::NetworkPolicy;
use crate::domain::page::{Cursor, Page};
use crate::domain::secret::AppToken;
use crate::domain::time::Timestamp;
use crate::web::body::media_type::Accepts;

/// Longest time that the old token works on after a rotation, in seconds: a week.
const MAX_GRACE_SECONDS: u64 = 604_800;

/// A new account.
#[derive(Debug, Object)]
#[oai(example)]
pub struct AccountCreate {
    /// Unique e-mail address, case aside.
    pub email: Email,
    /// Name; 1 to 200 characters after trimming.
    pub account_name: AccountName,
    /// Web site: an absolute http or https URL.
    #[oai(nullable)]
    pub website: Option<Website>,
    /// Id of your own choice, but not `.` or `..`; made if it is not given.
    #[oai(nullable, validator(pattern = "^[A-Za-z0-9._-]{1,64}$"))]
    pub account_id: Option<String>,
}

/// All that can be changed of an account; what is not given is cleared.
#[derive(Debug, Object)]
#[oai(example)]
pub struct AccountReplace {
    /// Unique e-mail address, case aside.
    pub email: Email,
    /// Name; 1 to 200 characters after trimming.
    pub account_name: AccountName,
    /// Web site: an absolute http or https URL.
    #[oai(nullable)]
    pub website: Option<Website>,
}

/// A change of an account (RFC 7396 merge patch); what is not given stays as it is.
#[derive(Debug, Object)]
#[oai(example)]
pub struct AccountUpdate {
    /// Unique e-mail address, case aside.
    pub email: Option<Email>,
    /// Name; 1 to 200 characters after trimming.
    pub account_name: Option<AccountName>,
    /// Web site: an absolute http or https URL; `null` clears it.
    #[oai(nullable)]
    pub website: Option<Website>,
}

/// How to rotate a token.
#[derive(Debug, Object)]
#[oai(example)]
pub struct TokenRotation {
    /// For so many seconds the old token works on; 0 if it is not given.
    #[oai(nullable, validator(minimum(value = "0"), maximum(value = "604800")))]
    pub grace_seconds: Option<u32>,
}

/// An account: whose data it is.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct Account {
    /// Its id.
    pub account_id: AccountId,
    /// Unique e-mail address, case aside.
    pub email: Email,
    /// Name.
    pub account_name: AccountName,
    /// Web site.
    pub website: Option<Website>,
    /// Last four characters of the app secret token.
    pub app_secret_token_hint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// An account with its app secret token, which is shown this one time.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct AccountWithToken {
    /// The account.
    #[oai(flatten)]
    #[serde(flatten)]
    pub account: Account,
    /// The app secret token. Keep it: it is shown this one time.
    pub app_secret_token: String,
}

/// A page of accounts, oldest first.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct AccountPage {
    /// The accounts.
    pub items: Vec<Account>,
    /// Leads to the next page; null at the end.
    pub next_cursor: Option<Cursor>,
}

/// What [`AccountCreate`] is read into.
pub struct NewAccount {
    /// The id, if one was chosen.
    pub id: Option<AccountId>,
    /// Everything else.
    pub fields: AccountFields,
}

fn account_fields(fields: &mut Fields) -> Option<AccountFields> {
    let email = fields.required("email", parsed);
    let name = fields.required("account_name", parsed);
    let website = fields.optional("website", parsed);
    Some(AccountFields { email: email?, name: name?, website: website? })
}

impl FromBody for AccountCreate {
    type Parsed = NewAccount;

    fn read(fields: &mut Fields, _: &NetworkPolicy) -> Option<NewAccount> {
        let rest = account_fields(fields);
        let id = fields.optional("account_id", |value| Ok(AccountId::choose(&text(value)?)?));
        Some(NewAccount { id: id?, fields: rest? })
    }
}

impl FromBody for AccountReplace {
    type Parsed = AccountFields;

    fn read(fields: &mut Fields, _: &NetworkPolicy) -> Option<AccountFields> {
        account_fields(fields)
    }
}

impl FromBody for AccountUpdate {
    type Parsed = AccountPatch;

    const ACCEPTS: Accepts = Accepts::MergePatch;

    fn read(fields: &mut Fields, _: &NetworkPolicy) -> Option<AccountPatch> {
        let email = fields.change("email", parsed);
        let name = fields.change("account_name", parsed);
        let website = fields.clearable("website", parsed);
        Some(AccountPatch { email: email?, name: name?, website: website? })
    }
}

impl FromBody for TokenRotation {
    /// The grace.
    type Parsed = Duration;

    const MAY_BE_MISSING: bool = true;

    fn read(fields: &mut Fields, _: &NetworkPolicy) -> Option<Duration> {
        let grace = fields.optional("grace_seconds", whole(0, MAX_GRACE_SECONDS))?;
        Some(Duration::from_secs(grace.unwrap_or(0)))
    }
}

impl From<domain::account::Account> for Account {
    fn from(account: domain::account::Account) -> Self {
        Self {
            account_id: account.id,
            email: account.email,
            account_name: account.name,
            website: account.website,
            app_secret_token_hint: account.token_hint,
            created_at: account.created_at,
            updated_at: account.updated_at,
        }
    }
}

impl AccountWithToken {
    /// `account`, with the token that it has just got.
    pub fn new(account: domain::account::Account, token: &AppToken) -> Self {
        Self { account: account.into(), app_secret_token: token.reveal().to_owned() }
    }
}

impl From<Page<domain::account::Account>> for AccountPage {
    fn from(page: Page<domain::account::Account>) -> Self {
        Self { items: page.items.into_iter().map(Account::from).collect(), next_cursor: page.next }
    }
}

impl Example for AccountCreate {
    fn example() -> Self {
        let Account { email, account_name, website, .. } = Account::example();
        Self { email, account_name, website, account_id: None }
    }
}

impl Example for AccountReplace {
    fn example() -> Self {
        let Account { email, account_name, website, .. } = Account::example();
        Self { email, account_name, website }
    }
}

impl Example for AccountUpdate {
    fn example() -> Self {
        Self { email: None, account_name: Some(AccountName::from_stored("Ada & Co".to_owned())), website: None }
    }
}

impl Example for TokenRotation {
    fn example() -> Self {
        Self { grace_seconds: Some(3_600) }
    }
}

impl Example for Account {
    fn example() -> Self {
        let made = Timestamp::from_millis(1_767_268_800_000);
        Self {
            account_id: AccountId::from_stored("acc_V1StGXR8_Z5jdHi6B-myT".to_owned()),
            email: Email::from_stored("ada@example.com".to_owned()),
            account_name: AccountName::from_stored("Ada's workshop".to_owned()),
            website: Some(Website::from_stored("https://example.com".to_owned())),
            app_secret_token_hint: "Qz4k".to_owned(),
            created_at: made,
            updated_at: made,
        }
    }
}

impl Example for AccountWithToken {
    fn example() -> Self {
        Self { account: Account::example(), app_secret_token: "cl_example-only-7sT0vYb2nXq5rLw8pMd3Qz4k".to_owned() }
    }
}

impl Example for AccountPage {
    fn example() -> Self {
        Self { items: vec![Account::example()], next_cursor: None }
    }
}
