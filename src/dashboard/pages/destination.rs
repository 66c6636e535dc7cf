//! One destination: its health over time, its settings, its secret, and what can be done about it.

use std::sync::Arc;

use askama::Template;
use poem::http::StatusCode;
use poem::{Body, Request};
use poem_openapi::OpenApi;

use super::account::CHANGED;
use super::attention::ENGINE_WITHIN;
use super::destination_form::{self, DestinationForm};
use super::destination_settings::read_only;
use super::preview::{self, PreviewForm, PreviewShown};
use super::tested::Tested;
use super::{address, answered, path_id, query};
use crate::dashboard::context::{DashboardContext, Visitor};
use crate::dashboard::figure_cache::FigureCache;
use crate::dashboard::form::Field;
use crate::dashboard::respond::{PageResult, redirect, show, show_error};
use crate::dashboard::view::chart::{Chart, WINDOWS, Window};
use crate::dashboard::view::figures;
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::rows::{DeliveryRow, rows};
use crate::dashboard::view::time::{At, CountDown};
use crate::dashboard::view::words::{self, Badge};
use crate::domain::access::Role;
use crate::domain::delivery::DeliveryState;
use crate::domain::destination::Destination;
use crate::domain::ids::DestinationId;
use crate::domain::page::PageRequest;
use crate::domain::secret::SigningSecret;
use crate::store::DeliveryFilter;
use crate::web::engine;

/// Deliveries that the page shows.
const NEWEST: u16 = 10;

#[derive(Template)]
#[template(path = "destination.html")]
struct DestinationPage {
    frame: Frame,
    id: String,
    label: String,
    account: String,
    account_id: String,
    health: Badge,
    why: &'static str,
    since: Option<At>,
    is_paused: bool,
    /// Whether it is paused because its secrets do not open. Then resuming it would do nothing.
    is_unreadable: bool,
    held: Option<CountDown>,
    /// The rate limit, and when the next request may begin, while deliveries wait for it.
    paced: Option<(String, CountDown)>,
    pending: String,
    missed: Option<String>,
    window: Window,
    windows: [Window; 4],
    chart: Chart,
    success: String,
    latency: Option<(String, String, String)>,
    newest: Vec<DeliveryRow>,
    log: String,
    form: DestinationForm,
    preview: PreviewForm,
    headers: Vec<(String, String)>,
    /// The settings to read. Empty for those who have them in the form.
    settings: Vec<(&'static str, String)>,
    secret: Option<String>,
    test: Option<Tested>,
    confirm: Field,
    created: At,
    updated_at: String,
}

/// What of a page's forms is shown again, or was asked for. Empty where the page is just shown.
#[derive(Default)]
struct Tried {
    form: Option<DestinationForm>,
    preview: Option<PreviewForm>,
    confirm: Option<Field>,
    secret: Option<String>,
    test: Option<Tested>,
}

/// The page of one destination.
pub struct DestinationPages(pub Arc<DashboardContext>, pub Arc<FigureCache>);

#[OpenApi]
impl DestinationPages {
    #[oai(path = "/destinations/:destination_id", method = "get", hidden)]
    async fn page(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Viewer)?;
        show(&self.made(&visitor, request, Tried::default()).await?)
    }

    #[oai(path = "/destinations/:destination_id", method = "post", hidden)]
    async fn save(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        let id = id(request)?;
        let mut form = self.0.form(&visitor, request, body).await?;
        let old = visitor.store.destination(id.clone()).await?;
        if form.text("updated_at") != old.updated_at.to_string() {
            form.fault("url", CHANGED);
        }
        let fields = destination_form::read(&mut form, &self.0.network, Some(&old.fields));
        if let (true, Some(fields)) = (form.is_right(), fields) {
            visitor.store.replace_destination(id.clone(), fields, visitor.now).await?;
            return redirect(&page_of(&id), "saved");
        }
        let form = Some(DestinationForm::again(&form));
        self.refused(&visitor, request, Tried { form, ..Tried::default() }).await
    }

    /// Shows what an event would become with the settings in the form, or with those that are saved. Nothing is saved or
    /// sent.
    #[oai(path = "/destinations/:destination_id/preview", method = "post", hidden)]
    async fn preview(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter(request, Role::Operator)?;
        let mut form = self.0.form(&visitor, request, body).await?;
        let mut destination = visitor.store.destination(id(request)?).await?;
        // Others have no form with the settings, so what they preview are those that are saved.
        let may_change = visitor.may(Role::Admin);
        let fields = match may_change {
            true => destination_form::read(&mut form, &self.0.network, Some(&destination.fields)),
            false => Some(destination.fields.clone()),
        };
        let shown = match fields {
            Some(fields) if form.is_right() => {
                destination.fields = fields;
                preview::show(&self.0, &visitor, &mut form, destination).await?
            }
            _ => PreviewShown::Wrong(form.sentences()),
        };
        let preview = Some(PreviewForm::again(&form, shown));
        let form = may_change.then(|| DestinationForm::again(&form));
        show(&self.made(&visitor, request, Tried { form, preview, ..Tried::default() }).await?)
    }

    #[oai(path = "/destinations/:destination_id/delete", method = "post", hidden)]
    async fn delete(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        let id = id(request)?;
        let mut form = self.0.form(&visitor, request, body).await?;
        let destination = visitor.store.destination(id.clone()).await?;
        let host = destination.fields.url.host();
        if form.text("confirm") == host {
            visitor.store.delete_destination(id, visitor.now).await?;
            return redirect(&format!("/accounts/{}", destination.account_id), "destination-deleted");
        }
        form.fault("confirm", format!("must be the host of the destination: {host}"));
        let confirm = Some(form.field("confirm"));
        self.refused(&visitor, request, Tried { confirm, ..Tried::default() }).await
    }

    #[oai(path = "/destinations/:destination_id/pause", method = "post", hidden)]
    async fn pause(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Operator)?;
        let id = id(request)?;
        visitor.store.pause_destination(id.clone(), visitor.now).await?;
        redirect(&page_of(&id), "paused")
    }

    #[oai(path = "/destinations/:destination_id/resume", method = "post", hidden)]
    async fn resume(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Operator)?;
        let id = id(request)?;
        visitor.store.resume_destination(id.clone(), visitor.now).await?;
        redirect(&page_of(&id), "resumed")
    }

    #[oai(path = "/destinations/:destination_id/signing-secret", method = "post", hidden)]
    async fn secret(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        let destination = visitor.store.destination_with_secrets(id(request)?).await?;
        let secret = Some(destination.secrets.current.reveal());
        show(&self.made(&visitor, request, Tried { secret, ..Tried::default() }).await?)
    }

    #[oai(path = "/destinations/:destination_id/rotate-signing-secret", method = "post", hidden)]
    async fn rotate_secret(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Admin)?;
        let id = id(request)?;
        let rotated = visitor.store.rotate_signing_secret(id, SigningSecret::generate(), visitor.now).await?;
        let secret = Some(rotated.secrets.current.reveal());
        let mut page = self.made(&visitor, request, Tried { secret, ..Tried::default() }).await?;
        page.frame = page.frame.noticing("secret-rotated");
        show(&page)
    }

    #[oai(path = "/destinations/:destination_id/test", method = "post", hidden)]
    async fn test(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Operator)?;
        let attempt = visitor.store.test_destination(id(request)?, &*self.0.test_sender).await?;
        let test = Some(Tested::of(&attempt));
        show(&self.made(&visitor, request, Tried { test, ..Tried::default() }).await?)
    }
}

fn id(request: &Request) -> PageResult<DestinationId> {
    path_id(request, "destination")
}

fn page_of(id: &DestinationId) -> String {
    format!("/destinations/{id}")
}

impl DestinationPages {
    async fn refused(&self, visitor: &Visitor, request: &Request, tried: Tried) -> PageResult {
        show_error(StatusCode::UNPROCESSABLE_ENTITY, &self.made(visitor, request, tried).await?)
    }

    async fn made(&self, visitor: &Visitor, request: &Request, tried: Tried) -> PageResult<DestinationPage> {
        let (store, asked, now) = (&visitor.store, query(request), visitor.now);
        let destination = store.destination(id(request)?).await?;
        let id = destination.id.clone();
        let account = store.account(destination.account_id.clone()).await?;
        let window = Window::find(asked.text("window"));
        let (figures, left) = self.1.figures(store, Some(&destination), window, now).await?;
        let chart = Chart::draw(&figures.buckets, "Attempts that succeeded and failed, by time");
        let filter = DeliveryFilter { destination_id: Some(id.clone()), ..DeliveryFilter::default() };
        let newest = store.deliveries(filter, PageRequest { limit: NEWEST, cursor: None }).await?.items;
        let live = address("/live", &[("destination_id", id.as_str())]);
        // A page with an answer, a secret or errors on it stays as it is.
        let is_still = tried.secret.is_some() || tried.test.is_some();
        let frame = visitor.frame("accounts").noticing(asked.text("done")).at(answered(request, &page_of(&id)));
        Ok(DestinationPage {
            frame: if is_still { frame } else { frame.live(live).again(left) },
            label: words::label(&destination.fields),
            account: account.name.to_string(),
            account_id: account.id.to_string(),
            health: words::health(&destination, now),
            why: why(&destination),
            since: destination.pause.map(|pause| pause.at).or(destination.failing_since).map(At),
            is_paused: destination.pause.is_some(),
            is_unreadable: !destination.has_secrets(),
            held: words::held(&destination, now).map(CountDown),
            paced: paced(&self.0, &destination).await,
            pending: words::at_most(store.pending_for(id.clone()).await?),
            missed: figures.has_exhausted.then(|| missed(&destination)),
            window,
            windows: WINDOWS,
            success: figures::success(chart.sum.succeeded, chart.sum.failed),
            chart,
            latency: figures.latency.map(figures::latency),
            newest: rows(store, newest, visitor.may(Role::Operator)).await?,
            log: address("/deliveries", &[("destination_id", id.as_str())]),
            form: tried.form.unwrap_or_else(|| DestinationForm::filled(&destination.fields)),
            preview: tried.preview.unwrap_or_default(),
            headers: destination.fields.headers.masked(),
            settings: if visitor.may(Role::Admin) { Vec::new() } else { read_only(&destination.fields) },
            secret: tried.secret,
            test: tried.test,
            confirm: tried.confirm.unwrap_or_else(|| Field::new("confirm", "")),
            created: At(destination.created_at),
            updated_at: destination.updated_at.to_string(),
            id: id.to_string(),
        })
    }
}

/// The rate limit of a destination and when it may send next, if it waits for that now.
async fn paced(context: &DashboardContext, destination: &Destination) -> Option<(String, CountDown)> {
    let rate = destination.fields.rate_limit?;
    let next = engine::next_sends(&*context.engine, std::slice::from_ref(destination), ENGINE_WITHIN).await;
    next.first().copied().flatten().map(|next| (rate.to_string(), CountDown(next)))
}

fn why(destination: &Destination) -> &'static str {
    match destination.pause {
        Some(pause) => words::paused(pause.reason),
        None if destination.failing_since.is_some() => "Every attempt has failed.",
        None => "",
    }
}

/// Address of the page that sends again what is exhausted.
fn missed(destination: &Destination) -> String {
    let state = DeliveryState::Exhausted.as_str();
    address("/deliveries/replay", &[("destination_id", destination.id.as_str()), ("state", state)])
}
