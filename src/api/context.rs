//! The context that all handlers and extractors share: the store, the settings and the ports to the engine. Nothing
//! that belongs to one request is kept here.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::ingest_metrics::IngestMetrics;
use crate::domain::destination::Destination;
use crate::domain::instance::InstanceName;
use crate::domain::network::NetworkPolicy;
use crate::domain::ports::{SendTest, WatchEngine};
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::web::access::AdminAccess;
use crate::web::body::BodyLimits;
use crate::web::browser::same_origin::OriginPolicy;
use crate::web::engine;
use crate::web::rate_limit::RateLimiter;

/// Time that the engine has to say what it knows. It answers at once unless it starts or stops.
const ENGINE_WITHIN: Duration = Duration::from_secs(1);

/// What handlers and extractors need. `app` creates the one instance.
pub struct ApiContext {
    /// The database.
    pub store: Store,
    /// How callers of the admin API prove who they are.
    pub access: Arc<AdminAccess>,
    /// Which web pages may call the API.
    pub origins: OriginPolicy,
    /// Addresses to which deliveries may be sent.
    pub network: Arc<NetworkPolicy>,
    /// Limits of request bodies: size, time and memory.
    pub bodies: BodyLimits,
    /// Limits how many events each account may send.
    pub account_rate: Arc<RateLimiter>,
    /// Sends test requests to destinations, outside the queue.
    pub test_sender: Arc<dyn SendTest>,
    /// Says which destinations wait for their rate.
    pub engine: Arc<dyn WatchEngine>,
    /// What the data handler counts.
    pub ingest: Arc<IngestMetrics>,
    /// Creates the text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>,
    /// Name of this instance, which new tokens contain.
    pub instance: Option<InstanceName>,
    /// Reads the wall clock.
    pub clock: fn() -> Timestamp,
}

impl ApiContext {
    /// When each of `destinations` may send next, where it waits for its rate.
    pub async fn next_sends(&self, destinations: &[Destination]) -> Vec<Option<Timestamp>> {
        engine::next_sends(&*self.engine, destinations, ENGINE_WITHIN).await
    }
}
