//! The data handler: takes an account's JSON and answers once it is on disk.

use std::sync::Arc;
use std::time::Duration;

use poem::http::header::RETRY_AFTER;
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode};
use poem::{Body, Endpoint, IntoResponse, Request, RequestBody, Response};
use poem_openapi::registry::{
    MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type as _;
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions, OpenApi};

use crate::api::auth::{AccountToken, NoToken};
use crate::api::context::ApiContext;
use crate::api::model::events::{EventReceipt, SAMPLE};
use crate::api::rate_limit::RateLimiter;
use crate::api::request::prefer;
use crate::api::responses;
use crate::api::tags::Tag;
use crate::domain::document::Document;
use crate::domain::event::{IdempotencyKey, IncomingEvent};
use crate::domain::ids::AccountKey;
use crate::domain::json;
use crate::domain::memory::{NoMemory, Reservation};
use crate::error::Kind;
use crate::store::{AcceptedEvent, MadeDeliveries};
use crate::web::body::media_type::{self, Accepts};
use crate::web::body::{self};
use crate::web::problem::{ApiError, ApiResult};

/// Where it is.
pub const PATH: &str = "/server/incoming_data";

/// Up to so many deliveries an answer is short, and takes no part of the memory that is shared.
const MAX_SHORT_ANSWER_DELIVERIES: usize = 64;

/// An account has no more destinations, and so an event no more deliveries.
const MAX_WAITED_DELIVERIES: usize = 1_000;

/// What a delivery takes in an answer, about.
const DELIVERY_BYTES: usize = 400;

/// Between two tries to get memory for an answer.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// The data handler.
#[derive(Clone)]
pub struct SendEventApi(Arc<ApiContext>, Arc<RateLimiter>);

/// The headers and the body of what came, unread.
pub struct IncomingRequest<'a> {
    headers: &'a HeaderMap,
    body: Body,
}

/// Answer to a document that was taken.
pub enum Receipt {
    /// 200: each delivery whose destination is not paused has had its first attempt within the wait.
    Attempted(Written, Duration),
    /// 202: it is on disk. Where a wait was asked for, it passed first.
    Accepted(Written, Option<Duration>),
}

/// A receipt, and memory for it where it is long.
pub struct Written {
    receipt: EventReceipt,
    memory: Option<Reservation>,
}

impl Written {
    fn answer(self, status: StatusCode) -> Response {
        responses::json_in(self.memory, status, &self.receipt)
    }
}

#[OpenApi(tag = "Tag::Data")]
impl SendEventApi {
    /// Send a JSON document
    ///
    /// Takes any JSON value for the account whose app secret token the `CL-XTOKEN` header holds (`CL-X-TOKEN` is taken
    /// too), and pushes it to each of the account's destinations, byte for byte. It answers once the event and its
    /// deliveries are on disk. A 503 or 429 means that it was not taken: send it again.
    #[oai(
        path = "/server/incoming_data",
        method = "post",
        operation_id = "sendEvent",
        request_header(
            name = "Idempotency-Key",
            ty = "Option<IdempotencyKey>",
            description = "Within 24 hours the same key with the same body is taken once; with another body it is refused."
        ),
        request_header(
            name = "Prefer",
            ty = "Option<String>",
            description = "`wait=N` waits up to N seconds, at most 30, for the first attempts (RFC 7240)."
        )
    )]
    async fn send(&self, token: AccountToken, arrival: IncomingRequest<'_>) -> ApiResult<Receipt> {
        // Boxed here, where it is made: a large future is copied by each layer that it passes.
        Box::pin(self.take(token, arrival)).await.map_err(with_contract_title)
    }
}

impl SendEventApi {
    /// Takes events on behalf of `context`.
    pub fn new(context: Arc<ApiContext>) -> Self {
        let throttle = Arc::new(RateLimiter::new(context.account_rate));
        Self(context, throttle)
    }

    /// Puts the handler before `endpoint`, which has it among many others: the framework's layers take as long as
    /// taking an event does, and have nothing to do for one.
    pub fn in_front_of<E>(self, endpoint: E) -> FastPath<E> {
        FastPath { incoming: self, endpoint }
    }

    /// The checks in the order that clients may rely on.
    async fn take(
        &self,
        token: AccountToken,
        IncomingRequest { headers, body }: IncomingRequest<'_>,
    ) -> ApiResult<Receipt> {
        let account = match self.admit(&token, headers) {
            Ok(account) => account,
            Err(error) => {
                body::refuse(body, headers, self.0.bodies.bytes).await;
                return Err(error);
            }
        };
        let (bytes, memory) = body::read(body, headers, &self.0.bodies).await?;
        let malformed = |detail| ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", detail);
        json::check(&bytes).map_err(malformed)?;
        let event = IncomingEvent {
            account,
            payload: Document::new(bytes, memory),
            idempotency_key: idempotency_key(headers)?,
        };
        let wait = prefer::wait(headers);
        let accepted = self.0.store.accept_event(event, wait.is_some(), (self.0.clock)()).await;
        let accepted = accepted.map_err(|error| match error.kind() {
            // The account was deleted since its token was looked up.
            Kind::NotFound => ApiError::from(NoToken::Unknown),
            _ => error.into(),
        })?;
        match wait {
            None => Ok(Receipt::Accepted(self.receipt(&accepted, false).await?, None)),
            Some(wait) => self.attempted(accepted, wait).await,
        }
    }

    /// What can be said before the body is read: whose it is, whether that is too much, and whether it is JSON by its
    /// headers.
    fn admit(&self, token: &AccountToken, headers: &HeaderMap) -> ApiResult<AccountKey> {
        let account = self.0.store.account_by_token(&token.0?, (self.0.clock)()).ok_or(NoToken::Unknown)?;
        self.1.admit(account)?;
        media_type::check(headers, Accepts::AnyJson)?;
        Ok(account)
    }

    /// Waits for the first attempts, then answers with the deliveries as they are.
    async fn attempted(&self, mut accepted: AcceptedEvent, wait: Duration) -> ApiResult<Receipt> {
        let (store, event) = (&self.0.store, accepted.event_id);
        let attempts = async {
            match accepted.first_attempts.take() {
                Some(attempts) => attempts.await.is_ok(),
                // A duplicate; where the file cannot be read now, it is as if the time had passed.
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

    /// What is answered, and memory for it where it is long: `anew` where the deliveries may have changed since they were
    /// made.
    async fn receipt(&self, accepted: &AcceptedEvent, anew: bool) -> ApiResult<Written> {
        let memory = match accepted.made.as_ref().map_or(MAX_WAITED_DELIVERIES, MadeDeliveries::count) {
            ..=MAX_SHORT_ANSWER_DELIVERIES => None,
            count => Some(self.reserve(count * DELIVERY_BYTES).await?),
        };
        let receipt = match &accepted.made {
            Some(made) if !anew => EventReceipt::new(accepted, made.iter()),
            made => match (self.0.store.event_deliveries(accepted.event_id).await, made) {
                (Ok(deliveries), _) => EventReceipt::new(accepted, deliveries.into_iter()),
                // It is on disk all the same: the receipt then shows the deliveries as they began.
                (Err(_), Some(made)) => EventReceipt::new(accepted, made.iter()),
                (Err(error), None) => return Err(error.into()),
            },
        };
        Ok(Written { receipt, memory })
    }

    /// Waits for memory: the event is taken, and to be told so is worth some time.
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
            // Boxed, since its future is large and no event needs it.
            return Box::pin(self.endpoint.call(request)).await;
        }
        let body = request.take_body();
        let arrival = IncomingRequest { headers: request.headers(), body };
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

fn idempotency_key(headers: &HeaderMap) -> ApiResult<Option<IdempotencyKey>> {
    let mut lines = headers.get_all("idempotency-key").iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let refused = |detail: String| ApiError::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", detail);
    if lines.next().is_some() {
        return Err(refused("An Idempotency-Key may be given once.".to_owned()));
    }
    let text = line.to_str().unwrap_or_default();
    Ok(Some(text.parse().map_err(|message: String| refused(format!("The header is wrong: {message}.")))?))
}

/// The titles that clients of the data handler know.
pub fn with_contract_title(error: ApiError) -> ApiError {
    match error.problem.status {
        400 | 405 | 415 => error.titled("Invalid Data"),
        401 => error.titled("Un Authenticate"),
        413 => error.titled("Payload Too Large"),
        422 => error.titled("Idempotency Key Reused"),
        _ => error,
    }
}

impl<'a> ApiExtractor<'a> for IncomingRequest<'a> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn request_meta() -> Option<MetaRequest> {
        let schema = MetaSchema {
            description: Some("Any JSON value."),
            example: serde_json::from_str(SAMPLE).ok(),
            ..MetaSchema::ANY
        };
        let schema = MetaSchemaRef::Inline(Box::new(schema));
        let content = vec![MetaMediaType { content_type: "application/json", schema }];
        Some(MetaRequest { description: Some("The document; every byte of it is passed on."), content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        Ok(Self { headers: request.headers(), body: body.take()? })
    }
}

impl IntoResponse for Receipt {
    fn into_response(self) -> Response {
        let (mut response, wait) = match self {
            Self::Attempted(written, wait) => (written.answer(StatusCode::OK), Some(wait)),
            Self::Accepted(written, wait) => (written.answer(StatusCode::ACCEPTED), wait),
        };
        if let Some(applied) = wait.and_then(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok()) {
            response.headers_mut().insert("preference-applied", applied);
        }
        response
    }
}

impl ApiResponse for Receipt {
    fn meta() -> MetaResponses {
        let applied =
            || responses::header("Preference-Applied", "The wait that was applied, where one was asked for.", false);
        let answer = |status, description| MetaResponse {
            headers: vec![applied()],
            ..responses::described::<EventReceipt>(status, description)
        };
        let attempted =
            "With `Prefer: wait`: every delivery whose destination is not paused has had its first attempt.";
        let accepted = "It is on disk and will be delivered.";
        MetaResponses { responses: vec![answer(StatusCode::OK, attempted), answer(StatusCode::ACCEPTED, accepted)] }
    }

    fn register(registry: &mut Registry) {
        EventReceipt::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_idempotency_key_is_refused_and_none_is_fine() {
        let read = |lines: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("idempotency-key", HeaderValue::from_bytes(line).unwrap());
            }
            idempotency_key(&headers).map(|key| key.map(|key| key.as_str().to_owned())).map_err(|e| e.problem.code)
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"order-1"]), Ok(Some("order-1".to_owned())));
        let wrong = Err("invalid_idempotency_key".to_owned());
        assert_eq!(read(&[b""]), wrong);
        assert_eq!(read(&[b"caf\xe9"]), wrong);
        assert_eq!(read(&[b"a", b"b"]), wrong);
        assert_eq!(read(&[&[b'x'; 256]]), wrong);
    }
}
