//! One account: its destinations, how to send to it, its settings and its token.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use poem::http::StatusCode;
use poem::{Body, Request};
use poem_openapi::OpenApi;

use super::destination_form::{self, DestinationForm};
use super::{address, answered, cursor, path_id, query};
use crate::dashboard::context::{DashboardContext, Visitor};
use crate::dashboard::form::{Field, Form, parsed};
use crate::dashboard::respond::{PageResult, redirect, show, show_error};
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::send::{Send, curl};
use crate::dashboard::view::time::{self, At};
use crate::dashboard::view::words::{self, Badge};
use crate::domain::access::Role;
use crate::domain::account::{Account, AccountFields};
use crate::domain::document::Document;
use crate::domain::event::{IncomingEvent, SAMPLE};
use crate::domain::event_type::EventType;
use crate::domain::ids::AccountId;
use crate::domain::json;
use crate::domain::page::{MAX_LIMIT, PageRequest};
use crate::domain::secret::{AppToken, SigningSecret};
use crate::error::Kind;
use crate::web::body::{self, BodyLimits};
use crate::web::problem::ApiError;

/// Said where the settings on the page are not those of now, so that saving them would undo the other change.
pub const CHANGED: &str = "was changed meanwhile, here or by a program. Load the page again, then change it";

/// How long an old token may go on working, as the page offers it: seconds, and words.
const GRACES: [(u64, &str); 4] =
    [(0, "stop at once"), (3_600, "work for 1 hour"), (86_400, "work for 1 day"), (604_800, "work for 1 week")];

struct Row {
    id: String,
    label: String,
    health: Badge,
    since: Option<At>,
    until: Option<At>,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    id: String,
    name: String,
    token_hint: String,
    created: At,
    updated_at: String,
    rows: Vec<Row>,
    next: Option<String>,
    send: Send,
    sample: Field,
    event_type: Field,
    email: Field,
    account_name: Field,
    website: Field,
    edits: bool,
    graces: [(u64, &'static str); 4],
    confirm: Field,
    /// Tokens with a role that end with the account.
    role_tokens: usize,
    destination: DestinationForm,
    log: String,
}

/// What of a page's forms is shown again with errors. Empty where the page is just shown.
#[derive(Default)]
struct Tried {
    settings: Option<Form>,
    sample: Option<Field>,
    event_type: Option<Field>,
    confirm: Option<Field>,
    destination: Option<DestinationForm>,
}

/// The page with a token that is shown once.
#[derive(Template)]
#[template(path = "token.html")]
pub struct TokenPage {
    /// Everything around the content.
    pub frame: Frame,
    /// Whether the account is new. Otherwise its token was rotated.
    pub is_new: bool,
    /// Name of the account.
    pub name: String,
    /// Id of the account.
    pub account_id: String,
    /// How long the old token still works, in words.
    pub grace: Option<String>,
    /// The token, and how to use it.
    pub send: Send,
}

/// The page of one account.
pub struct AccountPages(pub Arc<DashboardContext>);

#[OpenApi]
impl AccountPages {
    #[oai(path = "/accounts/:account_id", method = "get", hidden)]
    async fn page(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Viewer)?;
        show(&self.made(&visitor, request, Tried::default()).await?)
    }

    #[oai(path = "/accounts/:account_id", method = "post", hidden)]
    async fn save(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        let id: AccountId = path_id(request, "account")?;
        let mut form = self.0.form(&visitor, request, body).await?;
        let email = form.required("email", parsed);
        let name = form.required("account_name", parsed);
        let website = form.optional("website", parsed);
        let shown = form.text("updated_at").to_owned();
        if shown != visitor.store.account(id.clone()).await?.updated_at.to_string() {
            form.fault("account_name", CHANGED);
        }
        if let (true, Some(email), Some(name), Some(website)) = (form.is_right(), email, name, website) {
            let fields = AccountFields { email, name, website };
            match visitor.store.replace_account(id.clone(), fields, visitor.now).await {
                Ok(_) => return redirect(&format!("/accounts/{id}"), "saved"),
                // Whoever reaches one account cannot change its address, which is unique among all.
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::Forbidden) => {
                    form.fault("email", error.detail());
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.refused(&visitor, request, Tried { settings: Some(form), ..Tried::default() }).await
    }

    #[oai(path = "/accounts/:account_id/delete", method = "post", hidden)]
    async fn delete(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        let id: AccountId = path_id(request, "account")?;
        let mut form = self.0.form(&visitor, request, body).await?;
        let account = visitor.store.account(id.clone()).await?;
        if form.text("confirm") == account.name.as_str() {
            visitor.store.delete_account(id, visitor.now).await?;
            return redirect("/accounts", "account-deleted");
        }
        form.fault("confirm", format!("must be the name of the account: {}", account.name));
        self.refused(&visitor, request, Tried { confirm: Some(form.field("confirm")), ..Tried::default() }).await
    }

    #[oai(path = "/accounts/:account_id/rotate-token", method = "post", hidden)]
    async fn rotate(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        let id: AccountId = path_id(request, "account")?;
        let form = self.0.form(&visitor, request, body).await?;
        let asked = form.text("grace_seconds");
        let Some((grace, _)) = GRACES.into_iter().find(|(seconds, _)| seconds.to_string() == asked) else {
            let detail = "Choose how long the old token is to work. The token was not changed.";
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", detail).into());
        };
        let token = AppToken::generate(self.0.instance.as_ref());
        let grace = Duration::from_secs(grace);
        let account = visitor.store.rotate_token(id, token.digest(), token.hint(), grace, visitor.now).await?;
        show(&TokenPage {
            frame: visitor.frame("accounts").at(format!("/accounts/{}", account.id)),
            is_new: false,
            name: account.name.to_string(),
            account_id: account.id.to_string(),
            grace: (!grace.is_zero()).then(|| time::long(grace)),
            send: curl(&self.0.url, Some(token.reveal())),
        })
    }

    #[oai(path = "/accounts/:account_id/destinations", method = "post", hidden)]
    async fn create_destination(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        let id: AccountId = path_id(request, "account")?;
        let mut form = self.0.form(&visitor, request, body).await?;
        if let Some(fields) = destination_form::read(&mut form, &self.0.network, None) {
            let made = visitor.store.create_destination(id, fields, SigningSecret::generate(), visitor.now).await;
            match made {
                Ok(destination) => {
                    return redirect(&format!("/destinations/{}", destination.id), "destination-created");
                }
                Err(error) if error.kind() == Kind::Conflict => form.fault("url", error.detail()),
                Err(error) => return Err(error.into()),
            }
        }
        let destination = Some(DestinationForm::again(&form));
        self.refused(&visitor, request, Tried { destination, ..Tried::default() }).await
    }

    #[oai(path = "/accounts/:account_id/send", method = "post", hidden)]
    async fn send(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        let id: AccountId = path_id(request, "account")?;
        let most = self.0.bodies.bytes;
        // A form encodes a byte with up to three.
        let limits = BodyLimits { bytes: most.saturating_mul(3), ..self.0.bodies.clone() };
        let mut form = self.0.form_within(&visitor, request, body, &limits).await?;
        let account = visitor.store.account(id).await?;
        let text = form.text("document").as_bytes().to_vec();
        let checked = match text.len() {
            0 => Err("must be filled in".to_owned()),
            length if length > most => Err(format!("must be at most {most} bytes long, and has {length}")),
            _ => json::check(&text),
        };
        if let Err(message) = checked {
            form.fault("document", message);
        }
        let event_type = form.optional("event_type", parsed::<EventType>).flatten();
        if !form.is_right() {
            let (sample, event_type) = (Some(form.field("document")), Some(form.field("event_type")));
            return self.refused(&visitor, request, Tried { sample, event_type, ..Tried::default() }).await;
        }
        self.0.account_rate.admit(account.key)?;
        let memory = self.0.bodies.memory.reserve(text.len()).map_err(|_| body::no_memory())?;
        let payload = Document::new(text, event_type, memory);
        let event = IncomingEvent { account: account.key, payload, idempotency_key: None, may_use_reserve: false };
        let accepted = visitor.store.accept_event(event, false, visitor.now).await?;
        redirect(&format!("/events/{}", accepted.event_id), "sent")
    }
}

impl AccountPages {
    async fn refused(&self, visitor: &Visitor, request: &Request, tried: Tried) -> PageResult {
        show_error(StatusCode::UNPROCESSABLE_ENTITY, &self.made(visitor, request, tried).await?)
    }

    async fn made(&self, visitor: &Visitor, request: &Request, tried: Tried) -> PageResult<AccountPage> {
        let id: AccountId = path_id(request, "account")?;
        let asked = query(request);
        let account = visitor.store.account(id.clone()).await?;
        let page = PageRequest { limit: MAX_LIMIT, cursor: cursor(&asked)? };
        let page = visitor.store.destinations(id.clone(), page).await?;
        let rows = page.items.into_iter().map(|one| Row {
            id: one.id.to_string(),
            label: words::label(&one.fields),
            health: words::health(&one, visitor.now),
            since: one.pause.map(|pause| pause.at).or(one.failing_since).map(At),
            until: words::held(&one, visitor.now).map(At),
        });
        let path = format!("/accounts/{id}");
        let live = address("/live", &[("account_id", id.as_str())]);
        let settings = tried.settings.as_ref();
        let field = |name, value: &str| settings.map_or_else(|| Field::new(name, value), |form| form.field(name));
        Ok(AccountPage {
            frame: visitor.frame("accounts").live(live).noticing(asked.text("done")).at(answered(request, &path)),
            name: account.name.to_string(),
            token_hint: account.token_hint.clone(),
            created: At(account.created_at),
            updated_at: account.updated_at.to_string(),
            rows: rows.collect(),
            next: page.next.map(|next| address(&path, &[("cursor", &next.to_string())])),
            send: curl(&self.0.url, None),
            sample: tried.sample.unwrap_or_else(|| Field::new("document", SAMPLE)),
            event_type: tried.event_type.unwrap_or_else(|| Field::new("event_type", "")),
            email: field("email", account.email.as_str()),
            account_name: field("account_name", account.name.as_str()),
            website: field("website", website(&account)),
            edits: settings.is_some(),
            graces: GRACES,
            confirm: tried.confirm.unwrap_or_else(|| Field::new("confirm", "")),
            destination: tried.destination.unwrap_or_default(),
            role_tokens: visitor.store.count_access_tokens(&account, visitor.now),
            log: address("/deliveries", &[("account_id", id.as_str())]),
            id: id.to_string(),
        })
    }
}

fn website(account: &Account) -> &str {
    account.website.as_ref().map_or("", |website| website.as_str())
}
