//! The data handler (`POST /server/incoming_data`): accepts an account's JSON document, and responds when the event is
//! on disk. How events are stored belongs in `store`, and how they are sent belongs in `delivery`.

mod receipt;
mod request;

use std::sync::Arc;
use std::time::{Duration, Instant};

use poem::http::header::RETRY_AFTER;
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode};
use poem::{Endpoint, IntoResponse as _, Request, Response};
use poem_openapi::OpenApi;

use self::receipt::{Receipt, Written};
use self::request::{IncomingRequest, event_type, idempotency_key, no_parameters};
use crate::api::auth::{AccountToken, NoToken};
use crate::api::context::ApiContext;
use crate::api::model::events::EventReceipt;
use crate::api::request::prefer;
use crate::api::tags::Tag;
use crate::domain::document::Document;
use crate::domain::event::{IdempotencyKey, IncomingEvent};
use crate::domain::event_type::EventType;
use crate::domain::ids::AccountKey;
use crate::domain::json;
use crate::domain::memory::{NoMemory, Reservation};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;
use crate::error::Kind;
use crate::store::{AcceptedEvent, MadeDeliveries};
use crate::web::body::media_type::{self, Accepts};
use crate::web::body::{self};
use crate::web::problem::{ApiError, ApiResult};

/// Path of the data handler.
pub const PATH: &str = "/server/incoming_data";

/// Up to this many deliveries, a response is short and reserves no shared memory.
const MAX_SHORT_ANSWER_DELIVERIES: usize = 64;

/// Maximum number of an account's destinations, and so of an event's deliveries.
const MAX_WAITED_DELIVERIES: usize = 1_000;

/// Approximate size of one delivery in a response, in bytes.
const DELIVERY_BYTES: usize = 400;

/// Pause between two tries to reserve memory for a response.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// The data handler, with the rate limits of all accounts.
#[derive(Clone)]
pub struct SendEventApi(Arc<ApiContext>);

#[OpenApi(tag = "Tag::Data")]
impl SendEventApi {
    /// Send a JSON document
    ///
    /// Accepts any JSON value for an account, and sends the document to each of the account's destinations that the event
    /// is for. Send the account's app secret token in the CL-XTOKEN header. In Swagger UI: Authorize, appToken. The
    /// header name `CL-X-TOKEN` is accepted too.
    ///
    /// Destinations get the document byte for byte; with GET they get query parameters. The response is sent when the
    /// event and its deliveries are on disk. After a 429 or 503, send the document again. With an `Idempotency-Key`, a
    /// repeat within 24 hours is not stored again.
    #[oai(
        path = "/server/incoming_data",
        method = "post",
        operation_id = "sendEvent",
        request_header(
            name = "Idempotency-Key",
            ty = "Option<IdempotencyKey>",
            description = "A text of your choice that makes it safe to repeat a request. Within 24 hours, the same \
                           key with the same body is stored only once. The same key with another body is refused \
                           (422)."
        ),
        request_header(
            name = "Event-Type",
            ty = "Option<EventType>",
            description = "Type of the event: a letter or digit, and up to 127 more or `.` `_` `:` `/` `-`. Destinations \
                           can choose events by type (`event_types`), and get it as header `webhook-event-type`."
        ),
        request_header(
            name = "Prefer",
            ty = "Option<String>",
            description = "`wait=N` delays the response until the first attempts are made, but at most N seconds \
                           (RFC 7240). The maximum is 30 seconds."
        )
    )]
    async fn send(&self, token: AccountToken, arrival: IncomingRequest<'_>) -> ApiResult<Receipt> {
        // Boxed here, where the future is created: each layer that a large future passes copies it.
        let taken = Box::pin(self.take(token, arrival)).await;
        taken.inspect_err(|error| self.refused(error)).map_err(with_contract_title)
    }
}

impl SendEventApi {
    /// The data handler on `context`.
    pub fn new(context: Arc<ApiContext>) -> Self {
        Self(context)
    }

    /// Puts the data handler in front of `endpoint`, which contains it among many others. The layers of the framework
    /// take as much time as accepting an event, and do nothing for an event.
    pub fn in_front_of<E>(self, endpoint: E) -> FastPath<E> {
        FastPath { incoming: self, endpoint }
    }

    fn refused(&self, error: &ApiError) {
        tracing::debug!(code = error.problem.code, "an event was refused");
        self.0.ingest.refused(&error.problem.code);
    }

    /// Checks a request and accepts the event. Clients may rely on the order of the checks.
    async fn take(
        &self,
        token: AccountToken,
        IncomingRequest { query, headers, body }: IncomingRequest<'_>,
    ) -> ApiResult<Receipt> {
        let account = match self.admit(&token, headers).and_then(|account| no_parameters(query).map(|()| account)) {
            Ok(account) => account,
            Err(error) => {
                body::refuse(body, headers, self.0.bodies.bytes).await;
                return Err(error);
            }
        };
        let (bytes, memory) = body::read(body, headers, &self.0.bodies).await?;
        let malformed = |detail| ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", detail);
        let arrived = Instant::now();
        json::check(&bytes).map_err(malformed)?;
        let event = IncomingEvent {
            account,
            payload: Document::new(bytes, event_type(headers)?, memory),
            idempotency_key: idempotency_key(headers)?,
            may_use_reserve: false,
        };
        let wait = prefer::wait(headers);
        let accepted = self.0.store.accept_event(event, wait.is_some(), (self.0.clock)()).await;
        let accepted = accepted.map_err(|error| match error.kind() {
            // The account was deleted after its token was looked up.
            Kind::NotFound => ApiError::from(NoToken::Unknown),
            _ => error.into(),
        })?;
        if accepted.duplicate {
            self.0.ingest.duplicate();
        }
        match wait {
            None => {
                let receipt = self.receipt(&accepted, false).await?;
                self.0.ingest.answered(arrived.elapsed());
                Ok(Receipt::Accepted(receipt, None))
            }
            Some(wait) => self.attempted(accepted, wait).await,
        }
    }

    /// The checks before the body is read: whose token it is, whether the account sends too fast, and whether the
    /// headers say JSON.
    fn admit(&self, token: &AccountToken, headers: &HeaderMap) -> ApiResult<AccountKey> {
        let (digest, now) = (token.0?, (self.0.clock)());
        let account = self.0.store.account_by_token(&digest, now).ok_or_else(|| self.no_token(&digest, now))?;
        self.0.account_rate.admit(account)?;
        media_type::check(headers, Accepts::AnyJson)?;
        Ok(account)
    }

    /// Why no account has a token.
    fn no_token(&self, digest: &TokenDigest, now: Timestamp) -> NoToken {
        if !self.0.store.token_is_expired(digest, now) {
            return NoToken::Unknown;
        }
        self.0.ingest.expired_token();
        NoToken::Expired
    }

    /// Waits for the first attempts, then responds with the present state of the deliveries.
    async fn attempted(&self, mut accepted: AcceptedEvent, wait: Duration) -> ApiResult<Receipt> {
        let (store, event) = (&self.0.store, accepted.event_id);
        let attempts = async {
            match accepted.first_attempts.take() {
                Some(attempts) => attempts.await.is_ok(),
                // A duplicate. If the file cannot be read now, the response is the same as after the full wait.
                None => match store.first_attempts(event).await {
                    Ok(attempts) => attempts.await.is_ok(),
                    Err(_) => false,
                },
            }
        };
        let in_time = tokio::time::timeout(wait, attempts).await.unwrap_or(false);
        let receipt = self.receipt(&accepted, true).await?;
        Ok(if in_time { Receipt::Attempted(receipt, wait) } else { Receipt::Accepted(receipt, Some(wait)) })
    }

    /// The receipt, with memory if the receipt is long. With `anew` the deliveries are read again, because they may
    /// have changed since they were created.
    async fn receipt(&self, accepted: &AcceptedEvent, anew: bool) -> ApiResult<Written> {
        let memory = match accepted.made.as_ref().map_or(MAX_WAITED_DELIVERIES, MadeDeliveries::destination_count) {
            ..=MAX_SHORT_ANSWER_DELIVERIES => None,
            count => Some(self.reserve(count * DELIVERY_BYTES).await?),
        };
        let receipt = match &accepted.made {
            Some(made) if !anew => EventReceipt::new(accepted, made.iter()),
            made => match (self.0.store.event_deliveries(accepted.event_id).await, made) {
                (Ok(deliveries), _) => EventReceipt::new(accepted, deliveries.into_iter()),
                // The event is on disk anyway, so the receipt shows the deliveries as they were created.
                (Err(_), Some(made)) => EventReceipt::new(accepted, made.iter()),
                (Err(error), None) => return Err(error.into()),
            },
        };
        Ok(Written { receipt, memory })
    }

    /// Waits for memory, at most as long as a body may take. The event is stored already, and the client should learn
    /// that.
    async fn reserve(&self, bytes: usize) -> ApiResult<Reservation> {
        let bodies = &self.0.bodies;
        let reserved = async {
            loop {
                match bodies.memory.reserve(bytes) {
                    Ok(reservation) => return reservation,
                    Err(NoMemory) => tokio::time::sleep(TRY_AGAIN).await,
                }
            }
        };
        tokio::time::timeout(bodies.time, reserved).await.map_err(|_| no_memory_for_answer())
    }
}

/// An endpoint with the data handler in front of it.
pub struct FastPath<E> {
    incoming: SendEventApi,
    endpoint: E,
}

impl<E: Endpoint<Output = Response>> Endpoint for FastPath<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        if request.method() != Method::POST || request.uri().path() != PATH {
            // Boxed, because this future is large and no event needs it.
            return Box::pin(self.endpoint.call(request)).await;
        }
        let body = request.take_body();
        let arrival = IncomingRequest { query: request.uri().query(), headers: request.headers(), body };
        let sent = self.incoming.send(AccountToken::of(request.headers()), arrival).await;
        Ok(sent.map_or_else(ApiError::into_response, Receipt::into_response))
    }
}

fn no_memory_for_answer() -> ApiError {
    let detail = "The event was taken, but there is no memory for its long answer now. Sent again under the same \
                  Idempotency-Key it is not taken twice; its deliveries are in the lists.";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_much_at_once", detail)
        .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// Gives an error the title that clients of the data handler know.
pub fn with_contract_title(error: ApiError) -> ApiError {
    match error.problem.status {
        400 | 405 | 415 => error.titled("Invalid Data"),
        401 => error.titled("Un Authenticate"),
        413 => error.titled("Payload Too Large"),
        422 => error.titled("Idempotency Key Reused"),
        _ => error,
    }
}
