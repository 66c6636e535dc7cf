//! Operations about the server itself.

use std::sync::Arc;
use std::time::Duration;

use poem::http::header::CONTENT_TYPE;
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type as _;
use poem_openapi::{ApiResponse, OpenApi};

use super::Context;
use super::answers::Found;
use super::auth::Admin;
use super::model::operations::Health;
use super::problem::ApiResult;
use super::tags::Tag;
use crate::error::Error;

/// The writer must answer within this to be ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Operations about the server itself.
pub struct OperationsApi(pub Arc<Context>);

/// Prometheus text.
pub struct MetricsText(String);

#[OpenApi(tag = "Tag::Operations")]
impl OperationsApi {
    /// Say whether the server is alive
    ///
    /// Answers as long as the process does.
    #[oai(path = "/healthz", method = "get", operation_id = "getHealth")]
    async fn health(&self) -> Found<Health> {
        Found(Health::ok())
    }

    /// Say whether the server is ready
    ///
    /// Whether events can be written to disk now; 503 if not.
    #[oai(path = "/readyz", method = "get", operation_id = "getReadiness")]
    async fn readiness(&self) -> ApiResult<Found<Health>> {
        let late = |_| Error::unavailable("storage_unavailable", "The database does not answer in time.");
        tokio::time::timeout(READY_WITHIN, self.0.store.probe()).await.map_err(late)??;
        Ok(Found(Health::ok()))
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
            content: vec![MetaMediaType { content_type: "text/plain", schema: String::schema_ref() }],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}
