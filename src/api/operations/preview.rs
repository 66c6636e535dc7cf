//! The preview of a destination: what events would become there. What a preview shows is made in `domain/preview.rs`.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::OpenApi;

use crate::api::admitted::Operator;
use crate::api::context::ApiContext;
use crate::api::model::preview::{DestinationPreview, Preview, PreviewOf};
use crate::api::request::body::Body;
use crate::api::request::params::Path;
use crate::api::responses::OkJson;
use crate::api::tags::Tag;
use crate::domain::document::Document;
use crate::domain::ids::{DestinationId, EventId, sequence_id};
use crate::domain::preview::{PreviewSummary, PreviewedEvent, preview};
use crate::error::Error;
use crate::web::body;
use crate::web::problem::ApiResult;

/// Time after which a preview over the newest events looks at no further event. It waits as long for its turn.
const MAX_TIME: Duration = Duration::from_secs(5);

/// The preview.
pub struct PreviewApi(pub Arc<ApiContext>);

#[OpenApi(tag = "Tag::Destinations")]
impl PreviewApi {
    /// Preview a destination
    ///
    /// Shows what an event would become at a destination: whether it would come there, and the request that would be
    /// sent. Nothing is sent. Settings in the body take the place of the destination's, so they can be tried before they
    /// are saved. With `last`, the response counts how many of the account's newest events would come, and of how many
    /// no request could be made.
    #[oai(path = "/v1/destinations/:destination_id/preview", method = "post", operation_id = "previewDestination")]
    async fn preview(
        &self,
        operator: Operator,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
        body: Body<DestinationPreview>,
    ) -> ApiResult<OkJson<Preview>> {
        let (of, settings) = body.0;
        let (store, now, max_bytes) = (&operator.store, (self.0.clock)(), self.0.bodies.bytes);
        let mut destination = store.destination(destination_id.0).await?;
        settings.apply(&mut destination.fields);
        let event = match of {
            PreviewOf::Event(id) => {
                let (account, event) = store.previewed_event(id).await?;
                if account != destination.account_id {
                    return Err(Error::not_found("event").into());
                }
                event
            }
            PreviewOf::Data(data, event_type) => {
                let bytes = data.get().as_bytes();
                let memory = self.0.bodies.memory.reserve(bytes.len()).map_err(|_| body::no_memory())?;
                let id = EventId(sequence_id(now));
                PreviewedEvent { id, received_at: now, document: Document::new(bytes, event_type, memory) }
            }
            PreviewOf::Last(limit) => {
                let account = destination.account_id.clone();
                let look = move |summary: &mut PreviewSummary, event: PreviewedEvent| {
                    summary.add(event.id, preview(&destination, &event, now, max_bytes));
                };
                let summary =
                    store.fold_newest_events(account, limit, MAX_TIME, PreviewSummary::default(), look).await?;
                return Ok(OkJson(summary.into()));
            }
        };
        let made = store.run_apart(move || preview(&destination, &event, now, max_bytes)).await?;
        Ok(OkJson(made.into()))
    }
}
