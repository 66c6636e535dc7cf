//! Operations about the server itself.

use std::sync::Arc;
use std::time::Duration;

use poem::http::header::CONTENT_TYPE;
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::{ApiResponse, OpenApi};

use crate::api::auth::Admin;
use crate::api::context::ApiContext;
use crate::api::model::server::{Health, Stats};
use crate::api::model::values::DurationText;
use crate::api::request::params::Query;
use crate::api::responses::{Long, OkJson, text_schema};
use crate::api::tags::Tag;
use crate::domain::ids::{AccountId, DestinationId};
use crate::domain::stats::StatsRequest;
use crate::domain::time::Timestamp;
use crate::error::{Error, Unavailable};
use crate::web::problem::{ApiError, ApiResult};

const HOUR: Duration = Duration::from_secs(3_600);

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The writer must answer within this to be ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

const METRICS_EXAMPLE: &str = "# TYPE data_pusher_deliveries_pending gauge\ndata_pusher_deliveries_pending 3\n";

/// Operations about the server itself.
pub struct OperationsApi(pub Arc<ApiContext>);

/// Prometheus text.
pub struct MetricsText(String);

#[OpenApi(tag = "Tag::Operations")]
impl OperationsApi {
    /// Say whether the server is alive
    ///
    /// Answers as long as the process does.
    #[oai(path = "/healthz", method = "get", operation_id = "getHealth")]
    async fn health(&self) -> OkJson<Health> {
        OkJson(Health::ok())
    }

    /// Say whether the server is ready
    ///
    /// Whether events can be written to disk now; 503 if not.
    #[oai(path = "/readyz", method = "get", operation_id = "getReadiness")]
    async fn readiness(&self) -> ApiResult<OkJson<Health>> {
        let late = |_| Error::unavailable(Unavailable::Io, "The database does not answer in time.");
        tokio::time::timeout(READY_WITHIN, self.0.store.probe()).await.map_err(late)??;
        Ok(OkJson(Health::ok()))
    }

    /// Count by time
    ///
    /// What became of how much, in buckets of time: deliveries made, succeeded and exhausted, and attempts that failed.
    /// The window is widened to whole buckets. Counts older than a day are kept by the hour.
    #[oai(path = "/v1/stats", method = "get", operation_id = "getStats")]
    async fn stats(
        &self,
        _admin: Admin,
        /// Only this account's.
        account_id: Query<AccountId>,
        /// Only this destination's.
        destination_id: Query<DestinationId>,
        /// Beginning of the window; a day before `until` if not given.
        since: Query<Timestamp>,
        /// End of the window; now if not given.
        until: Query<Timestamp>,
        /// Width of a bucket, a whole number of minutes such as `1m`, `1h` or `1d`; an hour if not given.
        bucket: Query<DurationText>,
    ) -> ApiResult<Long<Stats>> {
        let until = until.0.unwrap_or_else(self.0.clock);
        let since = since.0.unwrap_or_else(|| until.minus(DAY));
        let bucket = bucket.0.map_or(HOUR, |bucket| bucket.0);
        let request =
            StatsRequest::new(account_id.0, destination_id.0, since, until, bucket).map_err(ApiError::bad_parameter)?;
        let (since, until) = (request.since, request.until);
        let store = &self.0.store;
        Long::made(store, store.stats(request), move |buckets| Stats::new(since, until, bucket, buckets)).await
    }

    /// Read the metrics
    ///
    /// In the text format of Prometheus.
    #[oai(path = "/metrics", method = "get", operation_id = "getMetrics")]
    async fn metrics(&self, _admin: Admin) -> MetricsText {
        MetricsText((self.0.metrics)())
    }
}

impl IntoResponse for MetricsText {
    fn into_response(self) -> Response {
        Response::builder().header(CONTENT_TYPE, "text/plain; version=0.0.4").body(self.0)
    }
}

impl ApiResponse for MetricsText {
    fn meta() -> MetaResponses {
        let response = MetaResponse {
            description: "Each metric and its value.",
            status: Some(200),
            status_range: None,
            content: vec![MetaMediaType { content_type: "text/plain", schema: text_schema(METRICS_EXAMPLE) }],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}
