//! The operations of the document, one file for each of its chapters. A handler authenticates, converts, calls one thing and
//! converts back: rules belong in `domain`, and SQL in `store`.

pub mod accounts;
pub mod deliveries;
pub mod destinations;
pub mod events;
pub mod send_event;
pub mod server;
pub mod stream;

use std::sync::Arc;

use self::send_event::SendEventApi;
use super::context::ApiContext;

/// All of them, in the order in which a newcomer needs them.
pub type Operations = (
    accounts::AccountsApi,
    destinations::DestinationsApi,
    SendEventApi,
    deliveries::DeliveriesApi,
    stream::StreamApi,
    events::EventsApi,
    server::OperationsApi,
);

/// The operations on `context`.
pub fn operations(context: &Arc<ApiContext>, incoming: SendEventApi) -> Operations {
    let context = || Arc::clone(context);
    (
        accounts::AccountsApi(context()),
        destinations::DestinationsApi(context()),
        incoming,
        deliveries::DeliveriesApi(context()),
        stream::StreamApi(context()),
        events::EventsApi(context()),
        server::OperationsApi(context()),
    )
}
