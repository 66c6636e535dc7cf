//! Refuses to send a settled delivery of a destination in strict order again, where a later one was sent already. The
//! rule is in `domain/order.rs`; here is how the later ones are found. A destination has no index of its deliveries, so
//! they are found by the account's events.

use rusqlite::Connection;

use super::{deliveries, destinations, rows};
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::destination::{DeliveryOrder, Destination};
use crate::domain::ids::DeliveryId;
use crate::domain::order::Later;
use crate::error::{Error, Kind, Result};
use crate::store::handle::ScopedStore;

/// Most events of the account that one step looks at. The last step is a part of the write request.
const STEP_ROWS: usize = 1_000;

/// Most steps. Behind so many events without a later delivery, the delivery counts as overtaken.
const MAX_STEPS: usize = 1_000;

/// What was found of later deliveries so far.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    later: Later,
    /// Id of the last event that was looked at.
    event: i64,
    /// Whether there are no further events, or they would change nothing.
    is_done: bool,
    /// Whether the destination was paused at the last step.
    was_paused: bool,
}

impl ScopedStore {
    /// Looks for later deliveries before a delivery is sent again. `None` where their order does not matter.
    ///
    /// # Errors
    /// Not found.
    pub(super) async fn later_deliveries(&self, id: DeliveryId) -> Result<Option<Found>> {
        let mut found = None;
        for _ in 0..MAX_STEPS {
            let (before, scope, memory) = (found, self.scope.clone(), std::sync::Arc::clone(&self.memory));
            let step = move |connection: &Connection| {
                let delivery = deliveries::require(connection, &scope, id, &memory)?;
                let destination = destinations::require(connection, &scope, &delivery.destination_id)?;
                step(connection, &delivery, &destination, before)
            };
            found = self.readers.read_yielding(step).await?;
            if found.is_none_or(|found| found.is_done) {
                break;
            }
        }
        Ok(found)
    }
}

/// Fails if `delivery` must not be sent again now. Looks only at events that came after `found` was read.
///
/// # Errors
/// Conflict.
pub fn check(
    connection: &Connection,
    delivery: &Delivery,
    destination: &Destination,
    found: Option<Found>,
) -> Result<()> {
    let Some(now) = step(connection, delivery, destination, found)? else { return Ok(()) };
    // While the destination was active, the look ended at the first one that waits.
    let is_paused = now.was_paused && found.is_none_or(|found| found.was_paused);
    if now.is_done && !now.later.is_overtaken(is_paused) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Conflict,
        "out_of_order",
        "The destination is in strict order, and later deliveries were sent or may be on their way. Set `out_of_order` \
         to send this one all the same.",
    ))
}

/// Looks at the next events. `None` if the order does not matter: the destination has none, or the delivery is pending
/// and only goes in its turn.
fn step(
    connection: &Connection,
    delivery: &Delivery,
    destination: &Destination,
    before: Option<Found>,
) -> Result<Option<Found>> {
    if destination.fields.ordering != DeliveryOrder::Strict || delivery.state == DeliveryState::Pending {
        return Ok(None);
    }
    let is_paused = destination.pause.is_some();
    let start = Found { later: Later::default(), event: delivery.event_id.0, is_done: false, was_paused: is_paused };
    let mut found = Found { was_paused: is_paused, ..before.unwrap_or(start) };
    if found.later.is_enough(is_paused) {
        return Ok(Some(Found { is_done: true, ..found }));
    }
    let walked = rows::all(
        connection,
        "SELECT e.id, v.state, v.attempt_count FROM event e INDEXED BY event_by_account
         LEFT JOIN delivery v INDEXED BY delivery_by_event ON v.event_id = e.id AND v.destination_key = ?1
         WHERE e.account_key = ?2 AND e.id > ?3 ORDER BY e.id LIMIT ?4",
        (destination.key.0, destination.account_key.0, found.event, STEP_ROWS),
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, Option<u32>>(2)?)),
    )?;
    for (event, state, attempts) in &walked {
        found.event = *event;
        if let (Some(state), Some(attempts)) = (state.and_then(DeliveryState::from_code), attempts) {
            found.later.add(state, *attempts);
        }
    }
    found.is_done = walked.len() < STEP_ROWS || found.later.is_enough(is_paused);
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use crate::domain::delivery::DeliveryState;
    use crate::domain::destination::{DeliveryOrder, DestinationFields};
    use crate::domain::ids::DeliveryId;
    use crate::error::Result;
    use crate::store::operations::fixture::{Fixture, at};

    async fn strict() -> Fixture {
        let fixture = Fixture::new().await;
        set(&fixture, DeliveryOrder::Strict).await;
        fixture
    }

    async fn set(fixture: &Fixture, ordering: DeliveryOrder) {
        let fields = DestinationFields { ordering, ..fixture.destination.fields.clone() };
        fixture.store.replace_destination(fixture.destination.id.clone(), fields, at(1)).await.unwrap();
    }

    async fn fill(fixture: &Fixture, count: usize, state: DeliveryState, status: Option<u16>) -> DeliveryId {
        DeliveryId(fixture.fill(&fixture.destination, count, at(1), state, status).await)
    }

    fn is_refused<T: std::fmt::Debug>(result: Result<T>) -> bool {
        match result {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.code(), "out_of_order");
                true
            }
        }
    }

    #[tokio::test]
    async fn what_was_overtaken_is_sent_again_only_if_that_is_asked_for() {
        let fixture = strict().await;
        let first = fill(&fixture, 1, DeliveryState::Exhausted, Some(500)).await;
        assert!(!is_refused(fixture.store.retry_delivery(first, false, at(2)).await), "it is the newest");
        let pending = fixture.store.delivery(first).await.unwrap().delivery;
        assert_eq!(pending.state, DeliveryState::Pending);
        fill(&fixture, 1, DeliveryState::Succeeded, Some(200)).await;
        assert!(!is_refused(fixture.store.retry_delivery(first, false, at(3)).await), "it is pending already");
        fixture.store.cancel_delivery(first, at(4)).await.unwrap();
        assert!(is_refused(fixture.store.retry_delivery(first, false, at(5)).await));
        assert_eq!(fixture.store.delivery(first).await.unwrap().delivery.state, DeliveryState::Cancelled);
        assert!(!is_refused(fixture.store.retry_delivery(first, true, at(6)).await));
        fixture.store.cancel_delivery(first, at(7)).await.unwrap();
        set(&fixture, DeliveryOrder::None).await;
        assert!(!is_refused(fixture.store.retry_delivery(first, false, at(8)).await), "no order is asked for");
    }

    #[tokio::test]
    async fn what_waits_behind_it_stands_in_the_way_unless_the_destination_is_paused() {
        let fixture = strict().await;
        let first = fill(&fixture, 1, DeliveryState::Exhausted, Some(500)).await;
        fill(&fixture, 2_500, DeliveryState::Pending, None).await;
        assert!(is_refused(fixture.store.retry_delivery(first, false, at(2)).await));
        fixture.store.pause_destination(fixture.destination.id.clone(), at(3)).await.unwrap();
        assert!(!is_refused(fixture.store.retry_delivery(first, false, at(4)).await));
    }

    #[tokio::test]
    async fn deliveries_of_other_destinations_do_not_count_however_many_come_between() {
        let fixture = strict().await;
        let first = fill(&fixture, 1, DeliveryState::Exhausted, Some(500)).await;
        let other = fixture.another(at(1)).await;
        fixture.fill(&other, 2_500, at(1), DeliveryState::Succeeded, Some(200)).await;
        assert!(!is_refused(fixture.store.retry_delivery(first, false, at(2)).await));
        fixture.store.cancel_delivery(first, at(3)).await.unwrap();
        fill(&fixture, 1, DeliveryState::Exhausted, Some(500)).await;
        assert!(is_refused(fixture.store.retry_delivery(first, false, at(4)).await));
    }
}
