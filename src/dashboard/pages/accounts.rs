//! The list of accounts, with search, and the form for a new one.

use std::sync::Arc;

use askama::Template;
use poem::http::StatusCode;
use poem::{Body, Request};
use poem_openapi::OpenApi;

use super::account::TokenPage;
use super::{address, cursor, query};
use crate::dashboard::context::{DashboardContext, Visitor};
use crate::dashboard::form::{Field, Form, parsed};
use crate::dashboard::respond::{PageResult, redirect, show, show_error};
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::send::curl;
use crate::dashboard::view::time::At;
use crate::dashboard::view::words;
use crate::domain::access::Role;
use crate::domain::account::AccountFields;
use crate::domain::ids::AccountId;
use crate::domain::page::{DEFAULT_LIMIT, PageRequest};
use crate::domain::secret::AppToken;
use crate::error::Kind;

/// One account in the list.
struct Row {
    id: String,
    name: String,
    email: String,
    destinations: String,
    created: At,
}

/// The form for a new account.
pub struct AccountForm {
    email: Field,
    account_name: Field,
    website: Field,
    account_id: Field,
    is_open: bool,
}

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    frame: Frame,
    search: String,
    rows: Vec<Row>,
    next: Option<String>,
    form: AccountForm,
}

/// The list of accounts.
pub struct AccountsPages(pub Arc<DashboardContext>);

#[OpenApi]
impl AccountsPages {
    #[oai(path = "/accounts", method = "get", hidden)]
    async fn list(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Viewer)?;
        if let Some(own) = visitor.account() {
            return redirect(&format!("/accounts/{own}"), "");
        }
        let asked = query(request);
        let frame = visitor.frame("accounts").noticing(asked.text("done"));
        let is_open = asked.has("new");
        let empty = Form::default();
        show(&page(&visitor, frame, &asked, &empty, is_open).await?)
    }

    #[oai(path = "/accounts", method = "post", hidden)]
    async fn create(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter_server(request, Role::Admin)?;
        let mut form = self.0.form(&visitor, request, body).await?;
        let frame = visitor.frame("accounts").at("/accounts");
        let email = form.required("email", parsed);
        let name = form.required("account_name", parsed);
        let website = form.optional("website", parsed);
        let id = form.optional("account_id", AccountId::choose);
        if let (Some(email), Some(name), Some(website), Some(id)) = (email, name, website, id) {
            let token = AppToken::generate(self.0.instance.as_ref());
            let fields = AccountFields { email, name, website };
            match visitor.store.create_account(id, fields, token.digest(), token.hint(), visitor.now).await {
                Ok(account) => {
                    return show(&TokenPage {
                        frame: frame.at(format!("/accounts/{}", account.id)),
                        is_new: true,
                        name: account.name.to_string(),
                        account_id: account.id.to_string(),
                        grace: None,
                        send: curl(&self.0.url, Some(token.reveal())),
                    });
                }
                Err(error) if error.kind() == Kind::Conflict => {
                    let field = if error.code() == "account_id_taken" { "account_id" } else { "email" };
                    form.fault(field, error.detail());
                }
                Err(error) => return Err(error.into()),
            }
        }
        let page = page(&visitor, frame, &Form::default(), &form, true).await?;
        show_error(StatusCode::UNPROCESSABLE_ENTITY, &page)
    }
}

async fn page(visitor: &Visitor, frame: Frame, asked: &Form, form: &Form, is_open: bool) -> PageResult<AccountsPage> {
    let search = asked.text("q").to_owned();
    let page = PageRequest { limit: DEFAULT_LIMIT, cursor: cursor(asked)? };
    let found = visitor.store.search_accounts(search.clone(), page).await?;
    let next = found.next.map(|next| address("/accounts", &[("q", &search), ("cursor", &next.to_string())]));
    let rows = found.items.into_iter().map(|(account, destinations)| Row {
        id: account.id.to_string(),
        name: account.name.to_string(),
        email: account.email.to_string(),
        destinations: words::count(destinations),
        created: At(account.created_at),
    });
    Ok(AccountsPage {
        frame,
        search,
        rows: rows.collect(),
        next,
        form: AccountForm {
            email: form.field("email"),
            account_name: form.field("account_name"),
            website: form.field("website"),
            account_id: form.field("account_id"),
            is_open,
        },
    })
}
