//! Operations on destinations, their signing secrets, tests and replays. Which URLs, headers and settings are valid is
//! decided in `domain`.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaResponses, Registry};
use poem_openapi::types::Type as _;
use poem_openapi::{ApiResponse, OpenApi};

use crate::api::admitted::{Administrator, Operator, Viewer};
use crate::api::context::ApiContext;
use crate::api::model::deliveries::{Attempt, ReplayCount};
use crate::api::model::destination_bodies::{
    DestinationCreate, DestinationReplace, DestinationReplay, DestinationUpdate,
};
use crate::api::model::destinations::{Destination, DestinationPage, SigningSecretAnswer};
use crate::api::model::values::Limit;
use crate::api::request::body::Body;
use crate::api::request::params::{Path, Query, page};
use crate::api::responses::{self, Created, Long, NoContent, OkJson};
use crate::api::tags::Tag;
use crate::domain;
use crate::domain::access::Rights;
use crate::domain::ids::{AccountId, DestinationId};
use crate::domain::page::Cursor;
use crate::domain::secret::SigningSecret;
use crate::web::problem::ApiResult;

/// Operations on destinations.
pub struct DestinationsApi(pub Arc<ApiContext>);

/// Response to a replay.
pub enum Replay {
    /// 200: a dry run, which only counted the deliveries.
    Counted(ReplayCount),
    /// 202: the deliveries are sent again.
    Started(ReplayCount),
}

#[OpenApi(tag = "Tag::Destinations")]
impl DestinationsApi {
    /// Create a destination
    ///
    /// Creates a destination of an account. Every event that the account receives from now on is sent to this
    /// destination. The server also creates a signing secret, with which the receiver can check signatures. Read the
    /// secret with `GET /v1/destinations/{destination_id}/signing-secret`. An account can have at most 1,000
    /// destinations.
    #[oai(path = "/v1/accounts/:account_id/destinations", method = "post", operation_id = "createDestination")]
    async fn create(
        &self,
        admin: Administrator,
        /// Id of the account.
        account_id: Path<AccountId>,
        body: Body<DestinationCreate>,
    ) -> ApiResult<Created<Destination>> {
        let (secret, now) = (SigningSecret::generate(), (self.0.clock)());
        let destination = admin.store.create_destination(account_id.0, body.0, secret, now).await?;
        let location = format!("/v1/destinations/{}", destination.id);
        Ok(Created { body: self.shown(&admin.rights, destination).await, location })
    }

    /// List an account's destinations
    ///
    /// Returns one page of an account's destinations, oldest first. Header values that contain secrets are masked as
    /// `********`.
    #[oai(path = "/v1/accounts/:account_id/destinations", method = "get", operation_id = "listDestinations")]
    async fn list(
        &self,
        viewer: Viewer,
        /// Id of the account.
        account_id: Path<AccountId>,
        /// Maximum number of items in the page, from 1 to 200. The default is 50.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page; leave this parameter out for the first page.
        cursor: Query<Cursor>,
    ) -> ApiResult<Long<DestinationPage>> {
        let store = &viewer.store;
        let read = async {
            let page = store.destinations(account_id.0, page(limit, cursor)).await?;
            let next_sends = self.0.next_sends(&page.items).await;
            Ok((page, next_sends))
        };
        Long::made(store, read, |(page, next_sends)| DestinationPage::of(page, next_sends)).await
    }

    /// Read a destination
    ///
    /// Returns one destination. A token with the role `admin` is shown its header values as they are sent, including
    /// secrets. For other roles, values that contain secrets are masked as `********`.
    #[oai(path = "/v1/destinations/:destination_id", method = "get", operation_id = "getDestination")]
    async fn get(
        &self,
        viewer: Viewer,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<OkJson<Destination>> {
        let destination = viewer.store.destination(destination_id.0).await?;
        Ok(OkJson(self.shown(&viewer.rights, destination).await))
    }

    /// Replace a destination
    ///
    /// Sets all settings of a destination. Optional settings that are not given go back to the server's defaults. The
    /// new settings apply from the next attempt on, also to pending deliveries.
    #[oai(path = "/v1/destinations/:destination_id", method = "put", operation_id = "replaceDestination")]
    async fn replace(
        &self,
        admin: Administrator,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
        body: Body<DestinationReplace>,
    ) -> ApiResult<OkJson<Destination>> {
        let destination = admin.store.replace_destination(destination_id.0, body.0, (self.0.clock)()).await?;
        Ok(OkJson(self.shown(&admin.rights, destination).await))
    }

    /// Change a destination
    ///
    /// Changes only the given settings of a destination (RFC 7396 merge patch). `null` sets an optional setting back to
    /// the server's default. `headers` is merged header by header, and `null` removes one header. The new settings
    /// apply from the next attempt on, also to pending deliveries. The content type is `application/json` or
    /// `application/merge-patch+json`.
    #[oai(path = "/v1/destinations/:destination_id", method = "patch", operation_id = "updateDestination")]
    async fn update(
        &self,
        admin: Administrator,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
        body: Body<DestinationUpdate>,
    ) -> ApiResult<OkJson<Destination>> {
        let destination = admin.store.patch_destination(destination_id.0, body.0, (self.0.clock)()).await?;
        Ok(OkJson(self.shown(&admin.rights, destination).await))
    }

    /// Delete a destination
    ///
    /// Deletes a destination with all its deliveries. Pending deliveries are not sent any more.
    #[oai(path = "/v1/destinations/:destination_id", method = "delete", operation_id = "deleteDestination")]
    async fn delete(
        &self,
        admin: Administrator,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<NoContent> {
        admin.store.delete_destination(destination_id.0, (self.0.clock)()).await?;
        Ok(NoContent)
    }

    /// Pause a destination
    ///
    /// Stops sending to a destination until the destination is resumed. New events still create pending deliveries, and
    /// none is lost.
    #[oai(path = "/v1/destinations/:destination_id/pause", method = "post", operation_id = "pauseDestination")]
    async fn pause(
        &self,
        operator: Operator,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<OkJson<Destination>> {
        let destination = operator.store.pause_destination(destination_id.0, (self.0.clock)()).await?;
        Ok(OkJson(self.shown(&operator.rights, destination).await))
    }

    /// Resume a destination
    ///
    /// Ends the pause of a destination, and sends the deliveries that became pending meanwhile. A delay by
    /// `Retry-After` ends too.
    #[oai(path = "/v1/destinations/:destination_id/resume", method = "post", operation_id = "resumeDestination")]
    async fn resume(
        &self,
        operator: Operator,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<OkJson<Destination>> {
        let destination = operator.store.resume_destination(destination_id.0, (self.0.clock)()).await?;
        Ok(OkJson(self.shown(&operator.rights, destination).await))
    }

    /// Test a destination
    ///
    /// Sends a sample event to a destination now, and returns the attempt, successful or not. The test does not wait
    /// for other deliveries, for a delay or for the end of a pause. The test is not recorded. A successful test ends a
    /// delay by `Retry-After`.
    #[oai(path = "/v1/destinations/:destination_id/test", method = "post", operation_id = "testDestination")]
    async fn test(
        &self,
        operator: Operator,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<OkJson<Attempt>> {
        let attempt = operator.store.test_destination(destination_id.0, &*self.0.test_sender).await?;
        Ok(OkJson(attempt.into()))
    }

    /// Replay a destination's deliveries
    ///
    /// Sends again the deliveries of events that were received in the given time range. Without `state`, these are
    /// deliveries that succeeded, were cancelled or are exhausted (all attempts of the schedule failed). Pending
    /// deliveries are skipped. With `dry_run`, nothing is sent, and the response only contains the number. A replay
    /// ends a delay by `Retry-After`. If the destination is paused, the deliveries wait until the destination is
    /// resumed.
    #[oai(path = "/v1/destinations/:destination_id/replay", method = "post", operation_id = "replayDestination")]
    async fn replay(
        &self,
        operator: Operator,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
        body: Body<DestinationReplay>,
    ) -> ApiResult<Replay> {
        let dry_run = body.0.dry_run;
        let count = operator.store.replay_destination(destination_id.0, body.0, (self.0.clock)()).await?;
        let count = ReplayCount { count };
        Ok(if dry_run { Replay::Counted(count) } else { Replay::Started(count) })
    }

    /// Read a destination's signing secret
    ///
    /// Returns the secret that signs all requests to a destination. The receiver needs this secret to check signatures
    /// with a Standard Webhooks library.
    #[oai(path = "/v1/destinations/:destination_id/signing-secret", method = "get", operation_id = "getSigningSecret")]
    async fn signing_secret(
        &self,
        admin: Administrator,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<OkJson<SigningSecretAnswer>> {
        let destination = admin.store.destination_with_secrets(destination_id.0).await?;
        Ok(OkJson((&destination.secrets.current).into()))
    }

    /// Rotate a destination's signing secret
    ///
    /// Creates a new signing secret for a destination. For 24 hours, each request is signed with both the old and the
    /// new secret. After that, only the new secret signs.
    #[oai(
        path = "/v1/destinations/:destination_id/rotate-signing-secret",
        method = "post",
        operation_id = "rotateSigningSecret"
    )]
    async fn rotate_signing_secret(
        &self,
        admin: Administrator,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<OkJson<SigningSecretAnswer>> {
        let (secret, now) = (SigningSecret::generate(), (self.0.clock)());
        let destination = admin.store.rotate_signing_secret(destination_id.0, secret, now).await?;
        Ok(OkJson((&destination.secrets.current).into()))
    }
}

impl DestinationsApi {
    /// The answer about one destination. Only who may see secrets gets the values of all headers.
    async fn shown(&self, rights: &Rights, destination: domain::destination::Destination) -> Destination {
        let next = self.0.next_sends(std::slice::from_ref(&destination)).await.into_iter().flatten().next();
        if rights.show_secrets() {
            Destination::whole(destination, next)
        } else {
            Destination::masked(destination, next)
        }
    }
}

impl IntoResponse for Replay {
    fn into_response(self) -> Response {
        match self {
            Self::Counted(count) => responses::json(StatusCode::OK, &count),
            Self::Started(count) => responses::json(StatusCode::ACCEPTED, &count),
        }
    }
}

impl ApiResponse for Replay {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![
                responses::described::<ReplayCount>(
                    StatusCode::OK,
                    "With `dry_run`: the number of deliveries that would be sent again.",
                ),
                responses::described::<ReplayCount>(
                    StatusCode::ACCEPTED,
                    "The number of deliveries that are sent again.",
                ),
            ],
        }
    }

    fn register(registry: &mut Registry) {
        ReplayCount::register(registry);
    }
}
