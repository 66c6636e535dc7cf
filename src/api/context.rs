//! What the API works with.

use std::sync::Arc;

use crate::domain::network::NetworkPolicy;
use crate::domain::ports::SendTest;
use crate::domain::rate::Rate;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::web::access::AdminAccess;
use crate::web::body::BodyLimits;
use crate::web::browser::same_origin::OriginPolicy;

/// What handlers and extractors work with; `app` makes it.
pub struct ApiContext {
    /// The database.
    pub store: Store,
    /// What opens the admin API.
    pub access: Arc<AdminAccess>,
    /// Whose pages may do what.
    pub origins: OriginPolicy,
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
