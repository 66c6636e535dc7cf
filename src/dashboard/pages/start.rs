//! The guide of a new server: one form makes the first account and destination, and the page then offers the command
//! that sends the first event.

use std::sync::Arc;

use askama::Template;
use poem::http::StatusCode;
use poem::{Body, Request};
use poem_openapi::OpenApi;

use crate::dashboard::context::{DashboardContext, Visitor};
use crate::dashboard::form::{Field, parsed};
use crate::dashboard::respond::{PageResult, show, show_error};
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::rows::{DeliveryRow, rows};
use crate::dashboard::view::send::{Send, curl};
use crate::dashboard::way_back::GUIDE;
use crate::domain::access::Role;
use crate::domain::account::{AccountFields, Email};
use crate::domain::destination::{DestinationFields, HttpMethod};
use crate::domain::event::SAMPLE;
use crate::domain::headers::Headers;
use crate::domain::page::{DEFAULT_LIMIT, PageRequest};
use crate::domain::secret::{AppToken, SigningSecret};
use crate::domain::target_url::TargetUrl;
use crate::error::{Kind, Result};
use crate::store::DeliveryFilter;

/// What the receiver of the examples listens on.
const RECEIVER: &str = "http://127.0.0.1:9000/";

/// Deliveries that the guide shows.
const NEWEST: u16 = 3;

/// The steps of the guide.
pub struct Guide {
    /// Whether there is an account with a destination.
    pub is_set_up: bool,
    /// The newest deliveries.
    pub newest: Vec<DeliveryRow>,
    /// The form of the first step.
    pub email: Field,
    /// See `email`.
    pub account_name: Field,
    /// See `email`.
    pub url: Field,
    /// How to send an event. Only right after the account was made there is a token in it.
    pub send: Option<Send>,
    /// Id of the account to send for.
    pub account_id: Option<String>,
    /// The document to send.
    pub sample: &'static str,
}

/// The page with the guide.
#[derive(Template)]
#[template(path = "guide.html")]
pub struct GuidePage {
    /// Everything around the content.
    pub frame: Frame,
    /// The steps.
    pub guide: Guide,
}

/// The guide with its form filled in.
///
/// # Errors
/// Unavailable if the file cannot be read.
pub async fn guide(context: &DashboardContext, visitor: &Visitor) -> Result<Guide> {
    let store = &visitor.store;
    let contents = store.contents().await?;
    // An account that has a destination, if any of the first ones has.
    let page = PageRequest { limit: DEFAULT_LIMIT, cursor: None };
    let mut accounts = store.search_accounts(String::new(), page).await?.items;
    accounts.sort_by_key(|(_, destinations)| *destinations == 0);
    let first = accounts.into_iter().map(|(account, _)| account).next();
    // An address that is taken would only be refused.
    let email = if contents.has_account { "" } else { "ada@example.com" };
    let page = PageRequest { limit: NEWEST, cursor: None };
    let newest = store.deliveries(DeliveryFilter::default(), page).await?.items;
    let newest = rows(store, newest, visitor.may(Role::Operator)).await?;
    let url = TargetUrl::parse(RECEIVER, &context.network).map(|url| url.as_str().to_owned());
    Ok(Guide {
        is_set_up: contents.has_destination,
        newest,
        email: Field::new("email", email),
        account_name: Field::new("account_name", "My first account"),
        url: Field::new("url", url.unwrap_or_default()),
        send: None,
        account_id: first.map(|account| account.id.to_string()),
        sample: SAMPLE,
    })
}

/// The form of the guide.
pub struct StartPages(pub Arc<DashboardContext>);

#[OpenApi]
impl StartPages {
    #[oai(path = "/start", method = "post", hidden)]
    async fn start(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter_server(request, Role::Admin)?;
        let mut form = self.0.form(&visitor, request, body).await?;
        let frame = visitor.frame("overview").live("/live").at(GUIDE);
        let store = &visitor.store;
        let email = form.required("email", parsed::<Email>);
        let name = form.required("account_name", parsed);
        let url = form.required("url", |text| TargetUrl::parse(text, &self.0.network));
        if let (Some(email), Some(name), Some(url)) = (email, name, url) {
            let (token, now) = (AppToken::generate(self.0.instance.as_ref()), visitor.now);
            let fields = AccountFields { email, name, website: None };
            match store.create_account(None, fields, token.digest(), token.hint(), now).await {
                Ok(account) => {
                    let fields = DestinationFields::new(url, HttpMethod::Post, Headers::default());
                    store.create_destination(account.id.clone(), fields, SigningSecret::generate(), now).await?;
                    let mut guide = guide(&self.0, &visitor).await?;
                    guide.send = Some(curl(&self.0.url, Some(token.reveal())));
                    guide.account_id = Some(account.id.to_string());
                    return show(&GuidePage { frame, guide });
                }
                Err(error) if error.kind() == Kind::Conflict => form.fault("email", error.detail()),
                Err(error) => return Err(error.into()),
            }
        }
        let mut guide = guide(&self.0, &visitor).await?;
        guide.is_set_up = false;
        guide.email = form.field("email");
        guide.account_name = form.field("account_name");
        guide.url = form.field("url");
        show_error(StatusCode::UNPROCESSABLE_ENTITY, &GuidePage { frame, guide })
    }
}
