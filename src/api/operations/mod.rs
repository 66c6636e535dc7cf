//! The operations of the API, one file for each topic. A handler authenticates, converts, calls one function and
//! converts back. Rules belong in `domain`, and SQL belongs in `store`.

pub mod accounts;
pub mod deliveries;
pub mod destinations;
pub mod events;
pub mod import;
pub mod preview;
pub mod send_event;
pub mod server;
pub mod stream;
pub mod tokens;

use std::sync::Arc;

use self::send_event::SendEventApi;
use super::context::ApiContext;

/// All operations, in the order in which a newcomer needs them.
pub type Operations = (
    accounts::AccountsApi,
    destinations::DestinationsApi,
    preview::PreviewApi,
    SendEventApi,
    deliveries::DeliveriesApi,
    stream::StreamApi,
    events::EventsApi,
    tokens::TokensApi,
    server::OperationsApi,
);

/// The operations; each of them works with `context`.
pub fn operations(context: &Arc<ApiContext>, incoming: SendEventApi) -> Operations {
    let context = || Arc::clone(context);
    (
        accounts::AccountsApi(context()),
        destinations::DestinationsApi(context()),
        preview::PreviewApi(context()),
        incoming,
        deliveries::DeliveriesApi(context()),
        stream::StreamApi,
        events::EventsApi(context()),
        tokens::TokensApi(context()),
        server::OperationsApi(context()),
    )
}
