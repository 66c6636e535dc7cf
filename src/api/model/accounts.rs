//! Request and response objects about accounts, and their conversion from and to `domain`. The rules for their fields
//! belong in `domain/account.rs`.

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

/// Longest overlap time after a rotation in seconds: a week. The old token keeps working for the overlap time.
const MAX_GRACE_SECONDS: u64 = 604_800;

/// Fields of a new account.
#[derive(Debug, Object)]
#[oai(example)]
pub struct AccountCreate {
    /// E-mail address of the account. Each account needs a different address (not case-sensitive).
    pub email: Email,
    /// Name of the account: 1 to 200 characters. White space at both ends is removed.
    pub account_name: AccountName,
    /// Website of the account: an absolute http or https URL. The server only stores the URL, and never calls it.
    #[oai(nullable)]
    pub website: Option<Website>,
    /// Id of the account, if you want to choose one, but not `.` or `..`. If not given, the server creates an id.
    #[oai(nullable, validator(pattern = "^[A-Za-z0-9._-]{1,64}$"))]
    pub account_id: Option<String>,
}

/// All fields of an account that can be set. Optional fields that are not given are cleared.
#[derive(Debug, Object)]
#[oai(example)]
pub struct AccountReplace {
    /// E-mail address of the account. Each account needs a different address (not case-sensitive).
    pub email: Email,
    /// Name of the account: 1 to 200 characters. White space at both ends is removed.
    pub account_name: AccountName,
    /// Website of the account: an absolute http or https URL. The server only stores the URL, and never calls it.
    #[oai(nullable)]
    pub website: Option<Website>,
}

/// Changes to an account (RFC 7396 merge patch). Fields that are not given do not change.
#[derive(Debug, Object)]
#[oai(example)]
pub struct AccountUpdate {
    /// E-mail address of the account. Each account needs a different address (not case-sensitive).
    pub email: Option<Email>,
    /// Name of the account: 1 to 200 characters. White space at both ends is removed.
    pub account_name: Option<AccountName>,
    /// Website of the account: an absolute http or https URL. `null` removes the website.
    #[oai(nullable)]
    pub website: Option<Website>,
}

/// Settings for the rotation of an account's token. The body may be left out.
#[derive(Debug, Object)]
#[oai(example)]
pub struct TokenRotation {
    /// Overlap time in seconds, in which the old token keeps working. The default is 0: the old token stops working at
    /// once.
    #[oai(nullable, validator(minimum(value = "0"), maximum(value = "604800")))]
    pub grace_seconds: Option<u32>,
}

/// An account: the owner of destinations and events.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct Account {
    /// Id of the account.
    pub account_id: AccountId,
    /// E-mail address of the account. Each account needs a different address (not case-sensitive).
    pub email: Email,
    /// Name of the account.
    pub account_name: AccountName,
    /// Website of the account; null if none was given.
    pub website: Option<Website>,
    /// Last four characters of the account's app secret token.
    pub app_secret_token_hint: String,
    /// Time when the account was created.
    pub created_at: Timestamp,
    /// Time of the last change of the account.
    pub updated_at: Timestamp,
}

/// An account with its new app secret token. The token is not shown again.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct AccountWithToken {
    /// The account.
    #[oai(flatten)]
    #[serde(flatten)]
    pub account: Account,
    /// App secret token for the CL-XTOKEN header of `POST /server/incoming_data`. Store the token now, because the
    /// server does not show it again.
    pub app_secret_token: String,
}

/// A page of accounts, oldest first.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct AccountPage {
    /// Accounts of this page.
    pub items: Vec<Account>,
    /// `cursor` for the next page; null on the last page.
    pub next_cursor: Option<Cursor>,
}

/// What [`AccountCreate`] is converted into.
pub struct NewAccount {
    /// The id, if the client chose one.
    pub id: Option<AccountId>,
    /// All other fields.
    pub fields: AccountFields,
}

/// Reads the fields of an account that a client may set.
pub fn account_fields(fields: &mut Fields) -> Option<AccountFields> {
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
    /// The overlap time.
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
    /// `account` with the token that was just created for it.
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
