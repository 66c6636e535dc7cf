//! The HTTP surface: wire types, thin handlers, one shape of error, and the document that describes them. A handler
//! authenticates, converts, calls one thing and converts back; its arguments are parsed before it runs.

mod accounts;
mod answers;
pub mod auth;
mod body;
mod browser;
mod deliveries;
mod destinations;
mod document;
mod door;
mod events;
mod fields;
mod host;
mod incoming;
mod json_tree;
mod limit;
mod media_type;
mod model;
mod operations;
mod pages;
mod params;
mod paths;
mod prefer;
mod problem;
mod shape;
mod stream;
mod tags;
mod throttle;
mod wire;

use std::sync::Arc;

use poem::http::StatusCode;
use poem::{Endpoint, EndpointExt as _, IntoEndpoint as _, Response};
use poem_openapi::OpenApiService;

use self::answers::Bounded;
pub use self::auth::Gate;
pub use self::browser::Site;
pub use self::document::{json as document_json, yaml as document_yaml};
pub use self::door::{Cookie, Door};
pub use self::limit::BodyLimits;
use self::paths::Paths;
use self::problem::ApiError;
pub use self::problem::MEDIA_TYPE as PROBLEM_TYPE;
use crate::domain::network::NetworkPolicy;
use crate::domain::ports::SendTest;
use crate::domain::rate::Rate;
use crate::domain::time::Timestamp;
use crate::store::Store;

/// What the API works with; `app` makes it.
pub struct ApiOptions {
    /// The database.
    pub store: Store,
    /// What opens the admin API.
    pub gate: Gate,
    /// Whose pages may do what.
    pub site: Site,
    /// Where deliveries may go.
    pub network: Arc<NetworkPolicy>,
    /// How long bodies may be and take.
    pub bodies: BodyLimits,
    /// Events that each account may send.
    pub account_rate: Option<Rate>,
    /// Sends test deliveries.
    pub test_sender: Arc<dyn SendTest>,
    /// Writes `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
}

/// The same, as handlers and extractors share it.
type Context = ApiOptions;

/// The operations of the document, in the order in which a newcomer needs them.
type Operations = (
    accounts::AccountsApi,
    destinations::DestinationsApi,
    incoming::IncomingApi,
    deliveries::DeliveriesApi,
    stream::StreamApi,
    events::EventsApi,
    operations::OperationsApi,
    pages::PagesApi,
);

/// The whole HTTP surface: errors shaped, panics caught.
pub fn routes(options: ApiOptions) -> impl Endpoint<Output = Response> + 'static {
    let context = Arc::new(options);
    let incoming = incoming::IncomingApi::new(Arc::clone(&context));
    let api: Operations = (
        accounts::AccountsApi(Arc::clone(&context)),
        destinations::DestinationsApi(Arc::clone(&context)),
        incoming.clone(),
        deliveries::DeliveriesApi(Arc::clone(&context)),
        stream::StreamApi(Arc::clone(&context)),
        events::EventsApi(Arc::clone(&context)),
        operations::OperationsApi(Arc::clone(&context)),
        pages::PagesApi(Arc::clone(&context)),
    );
    let service = OpenApiService::new(api, document::TITLE, env!("CARGO_PKG_VERSION"));
    let (site, memory) = (context.site.clone(), context.bodies.memory.clone());
    let endpoint = shape::shaped(service.into_endpoint().data(context), Paths::shared());
    let endpoint = Bounded::new(incoming.in_front_of(endpoint), memory);
    browser::fronted(shape::calm(endpoint), &site)
}

/// The reason phrase of `status`, and the body of an error that no endpoint answers.
pub fn problem_body(status: u16, code: &str, detail: &str) -> (&'static str, Vec<u8>) {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    (status.canonical_reason().unwrap_or("Error"), ApiError::new(status, code, detail).body())
}
