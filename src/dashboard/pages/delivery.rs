//! One delivery: what is sent, every attempt with its response, and what happens next.

use std::sync::Arc;

use askama::Template;
use poem::{Body, Request};
use poem_openapi::OpenApi;

use super::{address, path_id, query};
use crate::dashboard::context::DashboardContext;
use crate::dashboard::respond::{PageResult, redirect, show};
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::payload::{self, Shown};
use crate::dashboard::view::time::{self, At, CountDown};
use crate::dashboard::view::words::{self, Badge};
use crate::domain::access::Role;
use crate::domain::delivery::{Delivery, DeliveryDetail, DeliveryState, LoggedAttempt};
use crate::domain::destination::{DeliveryOrder, Destination};
use crate::domain::document::Document;
use crate::domain::ids::DeliveryId;
use crate::domain::preview::{Preview, PreviewedEvent, preview};
use crate::domain::time::Timestamp;

/// One attempt.
struct AttemptRow {
    number: u32,
    at: At,
    duration: String,
    is_good: bool,
    result: String,
    todo: &'static str,
    detail: String,
    body: String,
    is_cut: bool,
    /// The body that was sent, if a template made it.
    sent: Option<String>,
    sent_is_cut: bool,
}

/// What is sent, with the settings of now.
struct Sent {
    request_line: String,
    headers: Vec<(String, String)>,
    /// Why no request can be made.
    wrong: Option<String>,
    has_body: bool,
    /// The body, if a template made it.
    made: Option<String>,
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    frame: Frame,
    id: String,
    state: Badge,
    is_pending: bool,
    /// Whether the destination's deliveries keep their order, which a person may break.
    is_strict: bool,
    destination_id: String,
    label: String,
    health: Badge,
    is_paused: bool,
    account_id: String,
    account: String,
    event_id: String,
    event_type: Option<String>,
    received: At,
    size: String,
    next: Option<CountDown>,
    next_words: &'static str,
    sent: Sent,
    pretty: Shown,
    raw: Shown,
    attempts: Vec<AttemptRow>,
    attempt_count: String,
    manual: Vec<(At, &'static str)>,
    alike: String,
    alike_words: String,
    same_event: String,
}

/// The page of one delivery.
pub struct DeliveryPages(pub Arc<DashboardContext>);

#[OpenApi]
impl DeliveryPages {
    #[oai(path = "/deliveries/:delivery_id", method = "get", hidden)]
    async fn page(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Viewer)?;
        let (now, asked, id) = (visitor.now, query(request), id(request)?);
        let store = &visitor.store;
        let DeliveryDetail { delivery, attempts, manual_actions } = store.delivery(id).await?;
        let destination = store.destination(delivery.destination_id.clone()).await?;
        let account = store.account(delivery.account_id.clone()).await?;
        let (event, document) = store.event(delivery.event_id).await?;
        let has_template = destination.fields.templates.body.is_some();
        let previewed = PreviewedEvent {
            id: event.id,
            received_at: event.received_at,
            document: Document::made(&document, event.event_type.clone()),
        };
        let (settings, most) = (destination.clone(), self.0.bodies.bytes);
        let preview = store.run_yielding(move || preview(&settings, &previewed, now, most)).await?;
        let live = address("/live", &[("destination_id", destination.id.as_str())]);
        show(&DeliveryPage {
            frame: visitor.frame("deliveries").live(live).noticing(asked.text("done")),
            id: delivery.id.to_string(),
            state: words::state(delivery.state),
            is_pending: delivery.state == DeliveryState::Pending,
            is_strict: destination.fields.ordering == DeliveryOrder::Strict,
            destination_id: destination.id.to_string(),
            label: words::label(&destination.fields),
            health: words::health(&destination, now),
            is_paused: destination.pause.is_some(),
            account_id: account.id.to_string(),
            account: account.name.to_string(),
            event_id: event.id.to_string(),
            event_type: event.event_type.map(|event_type| event_type.to_string()),
            received: At(event.received_at),
            size: words::bytes(event.payload_bytes),
            next: delivery.next_attempt_at.max(held(&delivery, &destination, now)).map(CountDown),
            next_words: next(&delivery, &destination, now),
            sent: sent(preview, has_template),
            pretty: payload::pretty(&document),
            raw: payload::raw(&document),
            attempts: attempts.into_iter().rev().map(attempt).collect(),
            attempt_count: words::count(u64::from(delivery.attempt_count)),
            manual: manual_actions.into_iter().map(|done| (At(done.at), words::manual_action(done.action))).collect(),
            alike: alike(&delivery),
            alike_words: alike_words(&delivery),
            same_event: address("/deliveries", &[("event_id", &delivery.event_id.to_string())]),
        })
    }

    #[oai(path = "/deliveries/:delivery_id/retry", method = "post", hidden)]
    async fn retry(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter(request, Role::Operator)?;
        let id = id(request)?;
        let form = self.0.form(&visitor, request, body).await?;
        visitor.store.retry_delivery(id, form.has("out_of_order"), visitor.now).await?;
        redirect(form.back(&format!("/deliveries/{id}")), "retried")
    }

    #[oai(path = "/deliveries/:delivery_id/cancel", method = "post", hidden)]
    async fn cancel(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Operator)?;
        let id = id(request)?;
        visitor.store.cancel_delivery(id, visitor.now).await?;
        redirect(&format!("/deliveries/{id}"), "cancelled")
    }
}

fn id(request: &Request) -> PageResult<DeliveryId> {
    path_id(request, "delivery")
}

/// Until when a delivery waits because its receiver asked for it.
fn held(delivery: &Delivery, destination: &Destination, now: Timestamp) -> Option<Timestamp> {
    let is_pending = delivery.state == DeliveryState::Pending;
    destination.held_until.filter(|until| is_pending && *until > now)
}

fn next(delivery: &Delivery, destination: &Destination, now: Timestamp) -> &'static str {
    match delivery.state {
        DeliveryState::Succeeded => "Nothing. The delivery succeeded.",
        DeliveryState::Cancelled => "Nothing. The delivery was cancelled.",
        DeliveryState::Exhausted => "Nothing by itself: it has failed for good. Send it again once the cause is fixed.",
        DeliveryState::Pending if destination.pause.is_some() => {
            "It waits, because the destination is paused. Resume the destination to send it."
        }
        DeliveryState::Pending if held(delivery, destination, now).is_some() => {
            "It waits, because the receiver asked for it (Retry-After)."
        }
        DeliveryState::Pending if delivery.attempt_count == 0 => "The first attempt is made as soon as possible.",
        DeliveryState::Pending => "It is tried again by itself.",
    }
}

/// Address of the page that sends all deliveries again that ended like this one.
fn alike(delivery: &Delivery) -> String {
    let status = delivery.status_code.filter(|_| delivery.error.is_some()).map(|status| status.to_string());
    address(
        "/deliveries/replay",
        &[
            ("destination_id", delivery.destination_id.as_str()),
            ("state", delivery.state.as_str()),
            ("status_code", status.as_deref().unwrap_or_default()),
        ],
    )
}

/// Says which deliveries [`alike`] finds.
fn alike_words(delivery: &Delivery) -> String {
    match delivery.status_code.filter(|_| delivery.error.is_some()) {
        Some(status) => format!("Send all {} with {status} again…", delivery.state),
        None => format!("Send all {} again…", delivery.state),
    }
}

fn sent(preview: Preview, has_template: bool) -> Sent {
    match preview.request {
        Ok(request) => {
            let shown = |(name, value): (String, String)| {
                // A signature is no secret, but this one was made for the page, and none like it was sent.
                let is_made = matches!(&*name, "webhook-timestamp" | "webhook-signature");
                (name, if is_made { "made for each attempt".to_owned() } else { value })
            };
            let has_body = request.body.is_some();
            Sent {
                request_line: format!("{} {}", request.method, request.url),
                headers: request.headers.into_iter().map(shown).collect(),
                wrong: None,
                has_body,
                made: request.body.filter(|_| has_template).map(|body| payload::raw(&body).text),
            }
        }
        Err(why) => Sent {
            request_line: String::new(),
            headers: Vec::new(),
            wrong: Some(words::sentence(&why.detail)),
            has_body: false,
            made: None,
        },
    }
}

fn attempt(attempt: LoggedAttempt) -> AttemptRow {
    let (result, todo) = match attempt.error {
        Some(class) => words::error(class, attempt.status_code),
        None => (attempt.status_code.map(|status| status.to_string()).unwrap_or_default(), ""),
    };
    AttemptRow {
        number: attempt.number,
        at: At(attempt.at),
        duration: time::short(attempt.duration),
        is_good: attempt.error.is_none(),
        result,
        todo,
        detail: attempt.detail.unwrap_or_default(),
        body: payload::raw(&attempt.body).text,
        is_cut: attempt.body_truncated,
        sent_is_cut: attempt.made_body.as_ref().is_some_and(|body| body.truncated),
        sent: attempt.made_body.map(|body| payload::raw(&body.bytes).text),
    }
}
