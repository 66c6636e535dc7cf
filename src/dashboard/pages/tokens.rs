//! Tokens with a role: the list, the form for a new one, and revoking one. A visitor who reaches one account sees and
//! makes only tokens of that account.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use poem::http::StatusCode;
use poem::{Body, Request};
use poem_openapi::OpenApi;

use super::{address, cursor, path_id, query};
use crate::dashboard::context::{DashboardContext, Visitor};
use crate::dashboard::form::{Field, Form, parsed};
use crate::dashboard::respond::{PageResult, redirect, show, show_error};
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::time::{self, At};
use crate::domain::access::Role;
use crate::domain::access_token::{AccessToken, NewAccessToken, TokenExpiry, TokenName};
use crate::domain::duration;
use crate::domain::ids::{AccountId, TokenId};
use crate::domain::page::{DEFAULT_LIMIT, PageRequest};
use crate::domain::secret::RoleToken;
use crate::domain::time::Timestamp;
use crate::error::{FieldError, Kind, Result};

/// How long a new token may work, as the page offers it: duration, and words.
const LIFETIMES: [(&str, &str); 5] =
    [("", "until it is revoked"), ("1d", "1 day"), ("30d", "30 days"), ("90d", "90 days"), ("365d", "365 days")];

/// Tokens that expire within this time stand first in the list.
const SOON: Duration = Duration::from_secs(7 * 24 * 3_600);

/// One token.
struct Row {
    id: String,
    name: String,
    role: Role,
    /// Id and name of the one account that it reaches.
    account: Option<(String, String)>,
    hint: String,
    created: At,
    expires: Option<At>,
    /// Colour and words for a token that has expired or soon will.
    ends: Option<(&'static str, String)>,
    used: Option<At>,
}

/// The form for a new token.
struct TokenForm {
    name: Field,
    role: Field,
    account_id: Field,
    lifetime: Field,
    is_open: bool,
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    /// Text that the names contain.
    search: String,
    /// Whether there are so many tokens that a search is offered.
    is_long: bool,
    rows: Vec<Row>,
    next: Option<String>,
    form: TokenForm,
    roles: [Role; 3],
    lifetimes: [(&'static str, &'static str); 5],
}

/// The page with a token that is shown once.
#[derive(Template)]
#[template(path = "role_token.html")]
struct NewTokenPage {
    frame: Frame,
    name: String,
    role: Role,
    account: Option<String>,
    token: String,
}

/// The page that asks before a token is revoked.
#[derive(Template)]
#[template(path = "revoke.html")]
struct RevokePage {
    frame: Frame,
    row: Row,
}

/// The pages of tokens.
pub struct TokensPages(pub Arc<DashboardContext>);

#[OpenApi]
impl TokensPages {
    #[oai(path = "/tokens", method = "get", hidden)]
    async fn list(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        let asked = query(request);
        let frame = visitor.frame("tokens").noticing(asked.text("done"));
        show(&page(&visitor, frame, &asked, &Form::default()).await?)
    }

    #[oai(path = "/tokens", method = "post", hidden)]
    async fn create(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        let mut form = self.0.form(&visitor, request, body).await?;
        let frame = visitor.frame("tokens").at("/tokens");
        if let Some(new) = read(&mut form, visitor.now) {
            let (name, role) = (new.name.to_string(), new.role);
            let token = RoleToken::generate();
            let maker = visitor.token();
            match visitor.store.create_access_token(new, maker, token.digest(), token.hint(), visitor.now).await {
                Ok(None) => return Err(self.0.login(request, StatusCode::UNAUTHORIZED)),
                Ok(Some(made)) => {
                    return show(&NewTokenPage {
                        frame,
                        name,
                        role,
                        account: made.account_id.map(|id| id.to_string()),
                        token: token.reveal().to_owned(),
                    });
                }
                Err(error) if error.kind() == Kind::Conflict => form.fault("name", error.detail()),
                Err(error) if error.kind() == Kind::Invalid => {
                    // The form asks for a duration in place of an end.
                    form.faults(error.field_errors().iter().cloned().map(|fault| match fault.field.as_str() {
                        "expires_at" => FieldError { field: "lifetime".to_owned(), ..fault },
                        _ => fault,
                    }));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let page = page(&visitor, frame, &Form::default(), &form).await?;
        show_error(StatusCode::UNPROCESSABLE_ENTITY, &page)
    }

    #[oai(path = "/tokens/:token_id", method = "get", hidden)]
    async fn one(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        let token = visitor.store.access_token(id(request)?).await?;
        let row = rows(&visitor, vec![token]).await?.remove(0);
        show(&RevokePage { frame: visitor.frame("tokens"), row })
    }

    #[oai(path = "/tokens/:token_id/revoke", method = "post", hidden)]
    async fn revoke(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        visitor.store.revoke_access_token(id(request)?).await?;
        redirect("/tokens", "token-revoked")
    }
}

fn id(request: &Request) -> PageResult<TokenId> {
    path_id(request, "token")
}

/// Reads the form. `None` if something is wrong; the form then has the errors.
fn read(form: &mut Form, now: Timestamp) -> Option<NewAccessToken> {
    let name = form.required("name", parsed::<TokenName>);
    let role = form.required("role", parsed::<Role>);
    let account_id = form.optional("account_id", parsed::<AccountId>);
    let expires_at = form.optional("lifetime", |text| TokenExpiry::new(now.plus(duration::parse(text)?), now));
    Some(NewAccessToken { name: name?, role: role?, account_id: account_id?, expires_at: expires_at? })
}

async fn page(visitor: &Visitor, frame: Frame, asked: &Form, form: &Form) -> PageResult<TokensPage> {
    let (search, cursor) = (asked.text("q").to_owned(), cursor(asked)?);
    let page = PageRequest { limit: DEFAULT_LIMIT, cursor };
    let found = visitor.store.search_access_tokens(search.clone(), page).await?;
    let next = found.next.map(|next| address("/tokens", &[("q", &search), ("cursor", &next.to_string())]));
    let is_long = next.is_some() || cursor.is_some() || !search.is_empty();
    let mut shown = match search.is_empty() {
        true => visitor.store.expiring_access_tokens(visitor.now, SOON, DEFAULT_LIMIT).await?,
        false => Vec::new(),
    };
    let first: HashSet<TokenId> = shown.iter().map(|token| token.id.clone()).collect();
    if cursor.is_some() {
        // They stand on the first page.
        shown.clear();
    }
    shown.extend(found.items.into_iter().filter(|token| !first.contains(&token.id)));
    Ok(TokensPage {
        frame,
        search,
        is_long,
        rows: rows(visitor, shown).await?,
        next,
        form: TokenForm {
            name: form.field("name"),
            role: form.field("role"),
            account_id: form.field("account_id"),
            lifetime: form.field("lifetime"),
            is_open: !form.is_right(),
        },
        roles: Role::ALL,
        lifetimes: LIFETIMES,
    })
}

async fn rows(visitor: &Visitor, tokens: Vec<AccessToken>) -> Result<Vec<Row>> {
    let ids = tokens.iter().filter_map(|token| token.account_id.clone()).collect();
    let names = visitor.store.account_names(ids).await?;
    let row = |token: AccessToken| Row {
        id: token.id.to_string(),
        name: token.name.to_string(),
        role: token.role,
        account: token.account_id.map(|id| {
            let name = names.get(&id).map_or_else(|| id.to_string(), ToString::to_string);
            (id.to_string(), name)
        }),
        hint: token.hint,
        created: At(token.created_at),
        expires: token.expires_at.map(At),
        ends: token.expires_at.and_then(|at| ends(at, visitor.now)),
        used: token.last_used_at.map(At),
    };
    Ok(tokens.into_iter().map(row).collect())
}

/// Colour and words for a token that expires at `at`, if that has passed or is near.
fn ends(at: Timestamp, now: Timestamp) -> Option<(&'static str, String)> {
    match at.since(now) {
        Duration::ZERO => Some(("bad", "expired".to_owned())),
        left if left <= SOON => Some(("wait", format!("expires in {}", time::left(left)))),
        _ => None,
    }
}
