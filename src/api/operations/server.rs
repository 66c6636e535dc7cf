//! Operations about the server itself: health, readiness, statistics and metrics. Counting is in `store`, and `app`
//! writes the text of the metrics.

use std::sync::Arc;
use std::time::Duration;

use poem::http::header::CONTENT_TYPE;
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::{ApiResponse, OpenApi};

use crate::api::admitted::{ServerViewer, Viewer};
use crate::api::context::ApiContext;
use crate::api::model::server::{Health, Stats};
use crate::api::model::values::DurationText;
use crate::api::request::params::Query;
use crate::api::responses::{Long, OkJson, text_schema};
use crate::api::tags::Tag;
use crate::domain::ids::{AccountId, DestinationId};
use crate::domain::stats::StatsRequest;
use crate::domain::time::Timestamp;
use crate::web::problem::{ApiError, ApiResult};

const HOUR: Duration = Duration::from_secs(3_600);

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The write thread must respond within this time, or the server is not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

const METRICS_EXAMPLE: &str = "# TYPE data_pusher_deliveries_pending gauge\ndata_pusher_deliveries_pending 3\n";

/// Operations about the server itself.
pub struct OperationsApi(pub Arc<ApiContext>);

/// A 200 response with the metrics as Prometheus text.
pub struct MetricsText(String);

#[OpenApi(tag = "Tag::Operations")]
impl OperationsApi {
    /// Check that the server is alive
    ///
    /// Responds with 200 as long as the process runs. No token is needed.
    #[oai(path = "/healthz", method = "get", operation_id = "getHealth")]
    async fn health(&self) -> OkJson<Health> {
        OkJson(Health::ok())
    }

    /// Check that the server is ready
    ///
    /// Responds with 200 if events can be written to disk now, and with 503 if not. Then `reasons` lists everything that
    /// is wrong; `code` and `detail` are those of the first. No token is needed.
    #[oai(path = "/readyz", method = "get", operation_id = "getReadiness")]
    async fn readiness(&self) -> ApiResult<OkJson<Health>> {
        let reasons = self.0.store.unready(READY_WITHIN).await;
        match reasons.first() {
            None => Ok(OkJson(Health::ok())),
            Some(first) => Err(ApiError::from(first.clone()).with_reasons(reasons)),
        }
    }

    /// Read statistics
    ///
    /// Returns counts for intervals of time (buckets): events received, deliveries created, succeeded and exhausted (all
    /// attempts of the schedule failed), and attempts that failed. The time range is widened to whole buckets, at most
    /// 1,500. Counts older than a day are only kept per hour.
    #[oai(path = "/v1/stats", method = "get", operation_id = "getStats")]
    async fn stats(
        &self,
        viewer: Viewer,
        /// Only counts of this account.
        account_id: Query<AccountId>,
        /// Only counts of this destination.
        destination_id: Query<DestinationId>,
        /// Start of the time range. The default is 24 hours before `until`.
        since: Query<Timestamp>,
        /// End of the time range. The default is now.
        until: Query<Timestamp>,
        /// Length of a bucket: a whole number of minutes, such as `1m`, `1h` or `1d`. The default is `1h`.
        bucket: Query<DurationText>,
    ) -> ApiResult<Long<Stats>> {
        let until = until.0.unwrap_or_else(self.0.clock);
        let since = since.0.unwrap_or_else(|| until.minus(DAY));
        let bucket = bucket.0.map_or(HOUR, |bucket| bucket.0);
        let request =
            StatsRequest::new(account_id.0, destination_id.0, since, until, bucket).map_err(ApiError::bad_parameter)?;
        let store = &viewer.store;
        Long::made(store, store.stats(request.clone()), move |buckets| Stats::new(&request, buckets)).await
    }

    /// Read the metrics
    ///
    /// Returns all metrics of the server in the Prometheus text format.
    #[oai(path = "/metrics", method = "get", operation_id = "getMetrics")]
    async fn metrics(&self, _viewer: ServerViewer) -> MetricsText {
        MetricsText((self.0.metrics)().await)
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
            description: "All metrics with their values, in the Prometheus text format.",
            status: Some(200),
            status_range: None,
            content: vec![MetaMediaType { content_type: "text/plain", schema: text_schema(METRICS_EXAMPLE) }],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}
