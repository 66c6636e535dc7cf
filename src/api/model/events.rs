//! Responses about events, and the sample document. The data handler reads documents in `operations/send_event.rs`.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;
use serde_json::value::RawValue;

use super::deliveries::Delivery;
use super::values::RawJson;
use crate::domain;
use crate::domain::conditions::SkipReason;
use crate::domain::event::SAMPLE;
use crate::domain::event_type::EventType;
use crate::domain::ids::{AccountId, DestinationId, EventId};
use crate::domain::page::{Cursor, Page};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::{AcceptedEvent, MadeDeliveries};

/// Receipt of an accepted document: the event and its deliveries are on disk.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct EventReceipt {
    /// Id of the event.
    pub event_id: EventId,
    /// Id of the account that owns the event.
    pub account_id: AccountId,
    /// Type of the event; null if the event has none.
    pub event_type: Option<EventType>,
    /// Time when the event was received.
    pub received_at: Timestamp,
    /// True if the event was accepted before, with the same Idempotency-Key. The receipt then shows that first event.
    pub duplicate: bool,
    /// One delivery for each destination of the account that the event is for.
    pub deliveries: Vec<Delivery>,
    /// Destinations of the account that the event is not for. Empty for a duplicate.
    pub skipped: Vec<SkippedDestination>,
}

/// A destination that an event is not for, so that there is no delivery.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct SkippedDestination {
    /// Id of the destination.
    pub destination_id: DestinationId,
    /// Why the event is not for the destination.
    pub reason: SkipReason,
}

/// An event: one JSON document that was accepted.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct Event {
    /// Id of the event.
    pub event_id: EventId,
    /// Id of the account that owns the event.
    pub account_id: AccountId,
    /// Type of the event; null if the event has none.
    pub event_type: Option<EventType>,
    /// Time when the event was received.
    pub received_at: Timestamp,
    /// Length of the event's JSON document in bytes.
    pub payload_bytes: u64,
    /// One delivery for each destination that the event was for when it was received. Destinations deleted since
    /// then are left out.
    pub deliveries: Vec<Delivery>,
}

/// An event with its JSON document.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct EventDetail {
    /// The event.
    #[oai(flatten)]
    #[serde(flatten)]
    pub event: Event,
    /// The event's JSON document exactly as received: any JSON value.
    pub payload: RawJson,
}

/// A page of events, newest first.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct EventPage {
    /// Events of this page.
    pub items: Vec<Event>,
    /// `cursor` for the next page; null on the last page.
    pub next_cursor: Option<Cursor>,
}

impl From<domain::event::Event> for Event {
    fn from(event: domain::event::Event) -> Self {
        Self {
            event_id: event.id,
            account_id: event.account_id,
            event_type: event.event_type,
            received_at: event.received_at,
            payload_bytes: event.payload_bytes,
            deliveries: event.deliveries.into_iter().map(Delivery::from).collect(),
        }
    }
}

impl EventDetail {
    /// An event with its document.
    ///
    /// # Errors
    /// Internal, if the document is not the valid JSON that was checked on receipt.
    pub fn new(event: domain::event::Event, payload: Vec<u8>) -> Result<Self> {
        let broken = |error: String| Error::internal(format!("the payload of {} cannot be read: {error}", event.id));
        let text = String::from_utf8(payload).map_err(|error| broken(error.to_string()))?;
        let payload = RawValue::from_string(text).map_err(|error| broken(error.to_string()))?;
        Ok(Self { payload: RawJson(payload), event: event.into() })
    }
}

impl From<Page<domain::event::Event>> for EventPage {
    fn from(page: Page<domain::event::Event>) -> Self {
        Self { items: page.items.into_iter().map(Event::from).collect(), next_cursor: page.next }
    }
}

impl EventReceipt {
    /// The receipt of an accepted event.
    pub fn new(accepted: &AcceptedEvent, deliveries: impl Iterator<Item = domain::delivery::Delivery>) -> Self {
        Self {
            event_id: accepted.event_id,
            account_id: accepted.account_id.clone(),
            event_type: accepted.event_type.clone(),
            received_at: accepted.received_at,
            duplicate: accepted.duplicate,
            deliveries: deliveries.map(Delivery::from).collect(),
            skipped: accepted.made.iter().flat_map(MadeDeliveries::skipped).map(SkippedDestination::from).collect(),
        }
    }
}

impl Example for EventReceipt {
    fn example() -> Self {
        let Event { event_id, account_id, event_type, received_at, deliveries, .. } = Event::example();
        let skipped = vec![SkippedDestination::example()];
        Self { event_id, account_id, event_type, received_at, duplicate: false, deliveries, skipped }
    }
}

impl From<(&DestinationId, SkipReason)> for SkippedDestination {
    fn from((destination, reason): (&DestinationId, SkipReason)) -> Self {
        Self { destination_id: destination.clone(), reason }
    }
}

impl Example for SkippedDestination {
    fn example() -> Self {
        let destination_id = DestinationId::from_stored("dst_T7cZ2mQ9aVr4Hn1KxLp8J".to_owned());
        Self { destination_id, reason: SkipReason::EventType }
    }
}

impl Example for Event {
    fn example() -> Self {
        let delivery = Delivery::example();
        Self {
            event_id: delivery.event_id,
            account_id: delivery.account_id.clone(),
            event_type: delivery.event_type.clone(),
            received_at: delivery.created_at,
            payload_bytes: SAMPLE.len() as u64,
            deliveries: vec![delivery],
        }
    }
}

impl Example for EventDetail {
    fn example() -> Self {
        let payload = RawValue::from_string(SAMPLE.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self { event: Event::example(), payload: RawJson(payload) }
    }
}

impl Example for EventPage {
    fn example() -> Self {
        Self { items: vec![Event::example()], next_cursor: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_answered_byte_for_byte() {
        let payload = r#"{"b":12345678901234567890123,"a":1.0,"e":1e2,"a":[ 1 ,2]}"#;
        let event = domain::event::Event {
            id: EventId(1),
            account_id: AccountId::generate(),
            event_type: None,
            received_at: Timestamp::EPOCH,
            payload_bytes: 0,
            deliveries: Vec::new(),
        };
        let detail = EventDetail::new(event, payload.as_bytes().to_vec()).unwrap();
        assert!(serde_json::to_string(&detail).unwrap().contains(&format!(r#""payload":{payload}"#)));
    }
}
