//! Rows of lists of deliveries, with the names of their destinations and accounts.

use super::time::{At, CountDown};
use super::words::{self, Badge};
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::error::Result;
use crate::store::ScopedStore;

/// One delivery in a list.
pub struct DeliveryRow {
    /// Id of the delivery.
    pub id: String,
    /// Its state.
    pub state: Badge,
    /// When the event was received.
    pub received: At,
    /// Method and URL, or the id of the destination if it was just deleted.
    pub destination: String,
    /// Id of the destination.
    pub destination_id: String,
    /// Name of the account.
    pub account: String,
    /// Id of the account.
    pub account_id: String,
    /// Attempts so far.
    pub attempts: String,
    /// Status or error of the last attempt, in words.
    pub result: String,
    /// When the next attempt is due.
    pub next: Option<CountDown>,
    /// Whether sending again is offered in the list.
    pub can_retry: bool,
}

/// What came of the last attempt, in words.
pub fn result(delivery: &Delivery) -> String {
    match (delivery.error, delivery.status_code) {
        (Some(class), status) => words::error(class, status).0,
        (None, Some(status)) => status.to_string(),
        (None, None) => String::new(),
    }
}

/// Rows for `deliveries`, in their order. `may_retry` says whether the visitor may send them again.
///
/// # Errors
/// Unavailable if the file cannot be read.
pub async fn rows(store: &ScopedStore, deliveries: Vec<Delivery>, may_retry: bool) -> Result<Vec<DeliveryRow>> {
    let accounts = store.account_names(deliveries.iter().map(|one| one.account_id.clone()).collect()).await?;
    let labels = deliveries.iter().map(|one| one.destination_id.clone()).collect();
    let destinations = store.destination_labels(labels).await?;
    let row = |delivery: Delivery| DeliveryRow {
        id: delivery.id.to_string(),
        state: words::state(delivery.state),
        received: At(delivery.created_at),
        destination: destinations
            .get(&delivery.destination_id)
            .map_or_else(|| delivery.destination_id.to_string(), |(method, url)| words::short_label(*method, url)),
        destination_id: delivery.destination_id.to_string(),
        account: accounts
            .get(&delivery.account_id)
            .map_or_else(|| delivery.account_id.to_string(), |name| name.to_string()),
        account_id: delivery.account_id.to_string(),
        attempts: words::count(u64::from(delivery.attempt_count)),
        result: result(&delivery),
        next: delivery.next_attempt_at.filter(|_| delivery.attempt_count > 0).map(CountDown),
        can_retry: may_retry
            && (delivery.state == DeliveryState::Exhausted
                || (delivery.state == DeliveryState::Pending && delivery.attempt_count > 0)),
    };
    Ok(deliveries.into_iter().map(row).collect())
}
