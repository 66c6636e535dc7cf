//! Makes what templates of a destination make of an event, before it is sent. What templates may do is in
//! `domain::template`.

use super::context::WorkerContext;
use super::job::Job;
use crate::domain::delivery::LoggedBody;
use crate::domain::destination::Destination;
use crate::domain::document::Document;
use crate::domain::ids::EventId;
use crate::domain::memory::{NoMemory, Reservation};
use crate::domain::outgoing::OutgoingEvent;
use crate::domain::shaping::{self, Made, ShapedAttempt};
use crate::domain::template::TemplateFailure;
use crate::domain::time::Timestamp;
use crate::error::Error;

/// What an event becomes for one request: the document as it came, or what templates made.
#[derive(Default)]
pub struct Shaped {
    made: Made,
    /// For the body that was made. Released once the request is over.
    _memory: Option<Reservation>,
}

/// Why there is nothing to send.
pub enum NotShaped {
    /// The delivery was deleted in the meantime.
    Gone,
    /// A template failed for this event.
    Failed(TemplateFailure),
    /// There is no memory for what was made. The delivery stays pending and is read again later.
    NoMemory,
    /// The file cannot be read.
    Unreadable(Error),
}

impl Shaped {
    /// The event as it is sent.
    pub fn event<'a>(&'a self, id: EventId, document: &'a Document) -> OutgoingEvent<'a> {
        OutgoingEvent {
            id,
            event_type: document.event_type(),
            document: self.made.body.as_deref().unwrap_or(document),
            made_headers: &self.made.headers,
        }
    }

    /// The beginning of the body, where a template made it.
    pub fn logged_body(&self) -> Option<LoggedBody> {
        self.made.body.as_deref().map(LoggedBody::of)
    }
}

/// Shapes the event of a delivery by the destination's settings of now.
///
/// # Errors
/// See [`NotShaped`].
pub fn for_delivery(
    context: &WorkerContext,
    destination: &Destination,
    job: &Job,
    document: &Document,
) -> Result<Shaped, NotShaped> {
    if destination.fields.templates.are_empty() {
        return Ok(Shaped::default());
    }
    let facts = context.store.attempt_facts(job.delivery).map_err(NotShaped::Unreadable)?.ok_or(NotShaped::Gone)?;
    let delivery = job.delivery.to_string();
    let (received_at, number) = (facts.received_at, facts.attempt);
    let attempt = ShapedAttempt { event: job.event, received_at, delivery: &delivery, number };
    let made = make(destination, document, &attempt, context.max_body).map_err(NotShaped::Failed)?;
    let bytes = made.body.as_ref().map_or(0, Vec::len);
    let memory = context.memory.reserve(bytes).map_err(|NoMemory| NotShaped::NoMemory)?;
    Ok(Shaped { made, _memory: Some(memory) })
}

/// Shapes a test event. It belongs to no delivery, so templates see an id of nothing.
///
/// # Errors
/// A template failed.
pub fn for_test(
    context: &WorkerContext,
    destination: &Destination,
    event: EventId,
    now: Timestamp,
    document: &Document,
) -> Result<Shaped, TemplateFailure> {
    if destination.fields.templates.are_empty() {
        return Ok(Shaped::default());
    }
    let attempt = ShapedAttempt { event, received_at: now, delivery: "dlv_test", number: 1 };
    let made = make(destination, document, &attempt, context.max_body)?;
    // A test is made by a person, one at a time, and needs no reservation.
    Ok(Shaped { made, _memory: None })
}

fn make(
    destination: &Destination,
    document: &Document,
    attempt: &ShapedAttempt<'_>,
    max_bytes: usize,
) -> Result<Made, TemplateFailure> {
    shaping::shape(&destination.fields, &shaping::context(destination, document, attempt), max_bytes)
}
