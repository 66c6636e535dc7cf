//! Operations on destinations.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaResponses, Registry};
use poem_openapi::types::Type as _;
use poem_openapi::{ApiResponse, OpenApi};
use tokio::sync::oneshot;

use crate::api::auth::Admin;
use crate::api::context::ApiContext;
use crate::api::model::deliveries::{Attempt, ReplayCount};
use crate::api::model::destination_bodies::{
    DestinationCreate, DestinationReplace, DestinationReplay, DestinationUpdate,
};
use crate::api::model::destinations::{Destination, DestinationPage, SigningSecretAnswer};
use crate::api::model::events::SAMPLE;
use crate::api::model::values::Limit;
use crate::api::request::body::Body;
use crate::api::request::params::{Path, Query, page};
use crate::api::responses::{self, Created, Long, NoContent, OkJson};
use crate::api::tags::Tag;
use crate::domain::ids::{AccountId, DestinationId};
use crate::domain::page::Cursor;
use crate::domain::secret::SigningSecret;
use crate::error::{Error, Unavailable};
use crate::web::problem::ApiResult;

/// Operations on destinations.
pub struct DestinationsApi(pub Arc<ApiContext>);

/// Answer to a replay.
pub enum Replay {
    /// 200: they were only counted.
    Counted(ReplayCount),
    /// 202: they are sent again.
    Started(ReplayCount),
}

#[OpenApi(tag = "Tag::Destinations")]
impl DestinationsApi {
    /// Create a destination
    ///
    /// Every event that its account gets from now on is sent to it.
    #[oai(path = "/v1/accounts/:account_id/destinations", method = "post", operation_id = "createDestination")]
    async fn create(
        &self,
        _admin: Admin,
        /// Id of the account.
        account_id: Path<AccountId>,
        body: Body<DestinationCreate>,
    ) -> ApiResult<Created<Destination>> {
        let (secret, now) = (SigningSecret::generate(), (self.0.clock)());
        let destination = self.0.store.create_destination(account_id.0, body.0, secret, now).await?;
        let location = format!("/v1/destinations/{}", destination.id);
        Ok(Created { body: destination.into(), location })
    }

    /// List an account's destinations
    ///
    /// A page of them, oldest first, with the values of headers that hold secrets masked.
    #[oai(path = "/v1/accounts/:account_id/destinations", method = "get", operation_id = "listDestinations")]
    async fn list(
        &self,
        _admin: Admin,
        /// Id of the account.
        account_id: Path<AccountId>,
        /// Most items of the page.
        limit: Query<Limit>,
        /// `next_cursor` of the page before.
        cursor: Query<Cursor>,
    ) -> ApiResult<Long<DestinationPage>> {
        let store = &self.0.store;
        Long::made(store, store.destinations(account_id.0, page(limit, cursor)), |found| found.into()).await
    }

    /// Read a destination
    ///
    /// With its headers as they are sent.
    #[oai(path = "/v1/destinations/:destination_id", method = "get", operation_id = "getDestination")]
    async fn get(
        &self,
        _admin: Admin,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<OkJson<Destination>> {
        Ok(OkJson(self.0.store.destination(destination_id.0).await?.into()))
    }

    /// Replace a destination
    ///
    /// What is not given is cleared. It holds for the next attempt of each delivery, pending ones included.
    #[oai(path = "/v1/destinations/:destination_id", method = "put", operation_id = "replaceDestination")]
    async fn replace(
        &self,
        _admin: Admin,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
        body: Body<DestinationReplace>,
    ) -> ApiResult<OkJson<Destination>> {
        Ok(OkJson(self.0.store.replace_destination(destination_id.0, body.0, (self.0.clock)()).await?.into()))
    }

    /// Change a destination
    ///
    /// An RFC 7396 merge patch: what is not given stays, `null` clears; `headers` is merged header by header.
    /// `application/merge-patch+json` is taken as well.
    #[oai(path = "/v1/destinations/:destination_id", method = "patch", operation_id = "updateDestination")]
    async fn update(
        &self,
        _admin: Admin,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
        body: Body<DestinationUpdate>,
    ) -> ApiResult<OkJson<Destination>> {
        Ok(OkJson(self.0.store.patch_destination(destination_id.0, body.0, (self.0.clock)()).await?.into()))
    }

    /// Delete a destination
    ///
    /// With its deliveries, pending ones included.
    #[oai(path = "/v1/destinations/:destination_id", method = "delete", operation_id = "deleteDestination")]
    async fn delete(
        &self,
        _admin: Admin,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<NoContent> {
        self.0.store.delete_destination(destination_id.0, (self.0.clock)()).await?;
        Ok(NoContent)
    }

    /// Pause a destination
    ///
    /// Events go on queueing as pending deliveries; none is lost.
    #[oai(path = "/v1/destinations/:destination_id/pause", method = "post", operation_id = "pauseDestination")]
    async fn pause(
        &self,
        _admin: Admin,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<OkJson<Destination>> {
        Ok(OkJson(self.0.store.pause_destination(destination_id.0, (self.0.clock)()).await?.into()))
    }

    /// Resume a destination
    ///
    /// Sends what has queued while it was paused. A hold by `Retry-After` ends too.
    #[oai(path = "/v1/destinations/:destination_id/resume", method = "post", operation_id = "resumeDestination")]
    async fn resume(
        &self,
        _admin: Admin,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<OkJson<Destination>> {
        Ok(OkJson(self.0.store.resume_destination(destination_id.0, (self.0.clock)()).await?.into()))
    }

    /// Test a destination
    ///
    /// Sends a sample event now, past the queue, and answers with the attempt, whatever came of it. A success ends a hold
    /// by `Retry-After`.
    #[oai(path = "/v1/destinations/:destination_id/test", method = "post", operation_id = "testDestination")]
    async fn test(
        &self,
        _admin: Admin,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<OkJson<Attempt>> {
        let destination = self.0.store.destination(destination_id.0.clone()).await?;
        let held = destination.held_until;
        let (done, attempt) = oneshot::channel();
        let done = Box::new(move |attempt| drop(done.send(attempt)));
        self.0.test_sender.send_test(destination, SAMPLE.as_bytes().into(), done);
        let unavailable = |_| Error::unavailable(Unavailable::EngineBusy, "No test can be sent now; try again.");
        let attempt = attempt.await.map_err(unavailable)?;
        if let Some(held) = held.filter(|_| attempt.outcome.is_success()) {
            // What came of the test is to be told though the hold stays.
            let lifted = self.0.store.lift_hold(destination_id.0, held).await;
            let _ = lifted.inspect_err(|error| tracing::warn!(%error, "a hold stays after a test that went well"));
        }
        Ok(OkJson(attempt.into()))
    }

    /// Replay a destination's deliveries
    ///
    /// Opens deliveries again by the time at which their events were received; those still pending are skipped. With
    /// `dry_run` it only counts them.
    #[oai(path = "/v1/destinations/:destination_id/replay", method = "post", operation_id = "replayDestination")]
    async fn replay(
        &self,
        _admin: Admin,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
        body: Body<DestinationReplay>,
    ) -> ApiResult<Replay> {
        let dry_run = body.0.dry_run;
        let count = self.0.store.replay_destination(destination_id.0, body.0, (self.0.clock)()).await?;
        let count = ReplayCount { count };
        Ok(if dry_run { Replay::Counted(count) } else { Replay::Started(count) })
    }

    /// Read a destination's signing secret
    ///
    /// Verify with it what the destination gets, by a Standard Webhooks library.
    #[oai(path = "/v1/destinations/:destination_id/signing-secret", method = "get", operation_id = "getSigningSecret")]
    async fn signing_secret(
        &self,
        _admin: Admin,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<OkJson<SigningSecretAnswer>> {
        let destination = self.0.store.destination(destination_id.0).await?;
        Ok(OkJson((&destination.secrets.current).into()))
    }

    /// Rotate a destination's signing secret
    ///
    /// For 24 hours both the old and the new secret sign.
    #[oai(
        path = "/v1/destinations/:destination_id/rotate-signing-secret",
        method = "post",
        operation_id = "rotateSigningSecret"
    )]
    async fn rotate_signing_secret(
        &self,
        _admin: Admin,
        /// Id of the destination.
        destination_id: Path<DestinationId>,
    ) -> ApiResult<OkJson<SigningSecretAnswer>> {
        let (secret, now) = (SigningSecret::generate(), (self.0.clock)());
        let destination = self.0.store.rotate_signing_secret(destination_id.0, secret, now).await?;
        Ok(OkJson((&destination.secrets.current).into()))
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
                responses::described::<ReplayCount>(StatusCode::OK, "With `dry_run`: how many it would be."),
                responses::described::<ReplayCount>(StatusCode::ACCEPTED, "So many are sent again."),
            ],
        }
    }

    fn register(registry: &mut Registry) {
        ReplayCount::register(registry);
    }
}
