//! Answers of handlers: JSON with a status of its own, written once, without a tree in between.

use std::marker::PhantomData;

use bytes::Bytes;
use poem::http::header::LOCATION;
use poem::http::{HeaderValue, StatusCode};
use poem::{Body, Endpoint, IntoResponse, Request, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type;
use serde::Serialize;

use crate::domain::memory::{MemoryBudget, NoMemory, Reservation};
use crate::error::Result;
use crate::store::Store;
use crate::web::body;
use crate::web::problem::{ApiError, ApiResult};

/// 200.
pub struct OkJson<T>(pub T);

/// 200, of something that may be long: its JSON was made where that delays nobody who sends events.
pub struct Long<T> {
    bytes: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

/// 201 and where it is.
pub struct Created<T> {
    /// What was made.
    pub body: T,
    /// Its path.
    pub location: String,
}

/// 202: it will be done.
pub struct AcceptedJson<T>(pub T);

/// 204.
pub struct NoContent;

/// Room for an answer to begin with: an event's receipt with a delivery.
const TYPICAL_BYTES: usize = 512;

/// Longer answers take part of the memory that all clients share, until they are sent: who reads slowly, or nothing, holds
/// them for long.
const LARGE_BYTES: usize = 32 * 1024;

/// Marks an answer for [`Bounded`].
#[derive(Debug, Clone, Copy)]
struct Large;

/// Writes `body`.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    json_in(None, status, body)
}

/// Writes `body`, for which `memory` was reserved.
pub fn json_in(memory: Option<Reservation>, status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = match written(memory.as_ref().map_or(TYPICAL_BYTES, Reservation::bytes), body) {
        Ok(bytes) => bytes,
        Err(error) => return error.into_response(),
    };
    match memory {
        Some(memory) => Response::builder().status(status).content_type("application/json").body(held(bytes, memory)),
        None => unreserved(status, bytes),
    }
}

fn written(room: usize, body: &impl Serialize) -> ApiResult<Vec<u8>> {
    let mut bytes = Vec::with_capacity(room);
    serde_json::to_writer(&mut bytes, body).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        ApiError::internal()
    })?;
    Ok(bytes)
}

/// An answer for which no memory was reserved: [`Bounded`] does so where it is large.
fn unreserved(status: StatusCode, bytes: Vec<u8>) -> Response {
    let response = Response::builder().status(status).content_type("application/json");
    if bytes.len() > LARGE_BYTES { response.extension(Large).body(bytes) } else { response.body(bytes) }
}

impl<T: Serialize> Long<T> {
    /// Reads, makes the answer of what was found, and writes it; both in turns that give way to whoever sends events.
    ///
    /// # Errors
    /// Those of the read.
    pub async fn made<S: Send + 'static>(
        store: &Store,
        read: impl Future<Output = Result<S>>,
        make: impl FnOnce(S) -> T + Send + 'static,
    ) -> ApiResult<Self> {
        // Over both: what was read waits for its answer, and takes no part of the memory that is bounded.
        let _turn = store.answer_permit().await?;
        let found = read.await?;
        let bytes = store.run_yielding(move || written(TYPICAL_BYTES, &make(found))).await??;
        Ok(Self { bytes, of: PhantomData })
    }
}

/// A body that gives its memory back once it is sent, or its connection gone.
fn held(bytes: impl AsRef<[u8]> + Send + 'static, memory: Reservation) -> Body {
    struct Held<B>(B, #[expect(dead_code, reason = "given back when it is dropped")] Reservation);
    impl<B: AsRef<[u8]>> AsRef<[u8]> for Held<B> {
        fn as_ref(&self) -> &[u8] {
            self.0.as_ref()
        }
    }
    Body::from(Bytes::from_owner(Held(bytes, memory)))
}

/// An endpoint whose large answers take part of the memory that all clients share.
pub struct Bounded<E> {
    endpoint: E,
    memory: MemoryBudget,
}

impl<E> Bounded<E> {
    /// Bounds the answers of `endpoint`.
    pub fn new(endpoint: E, memory: MemoryBudget) -> Self {
        Self { endpoint, memory }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Bounded<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let mut response = self.endpoint.call(request).await?;
        if response.extensions_mut().remove::<Large>().is_none() {
            return Ok(response);
        }
        // It was made in one piece, and is not copied.
        let bytes = response.take_body().into_bytes().await.map_err(|_| ApiError::internal())?;
        match self.memory.reserve(bytes.len()) {
            Ok(memory) => {
                response.set_body(held(bytes, memory));
                Ok(response)
            }
            Err(NoMemory) => Ok(body::no_memory().into_response()),
        }
    }
}

/// What the document says of an answer. Where no description is given, the one of its schema will do.
pub fn described<T: Type>(status: StatusCode, description: &'static str) -> MetaResponse {
    MetaResponse {
        description,
        status: Some(status.as_u16()),
        status_range: None,
        content: vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }],
        headers: Vec::new(),
    }
}

/// Schema of an answer that is plain text.
pub fn text_schema(example: &str) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(MetaSchema { example: Some(example.into()), ..MetaSchema::new("string") }))
}

/// A header of an answer.
pub fn header(name: &str, description: &str, required: bool) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required,
        deprecated: false,
        schema: String::schema_ref(),
    }
}

impl<T: Serialize + Send> IntoResponse for OkJson<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

impl<T> IntoResponse for Long<T> {
    fn into_response(self) -> Response {
        unreserved(StatusCode::OK, self.bytes)
    }
}

impl<T: Serialize + Send> IntoResponse for AcceptedJson<T> {
    fn into_response(self) -> Response {
        json(StatusCode::ACCEPTED, &self.0)
    }
}

impl<T: Serialize + Send> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::CREATED, &self.body);
        if let Ok(location) = HeaderValue::try_from(self.location) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

macro_rules! api_response {
    ($type:ident, $status:expr, [$($header:expr),*]) => {
        impl<T: Type + Serialize + Send> ApiResponse for $type<T> {
            fn meta() -> MetaResponses {
                let response = MetaResponse { headers: vec![$($header),*], ..described::<T>($status, "") };
                MetaResponses { responses: vec![response] }
            }

            fn register(registry: &mut Registry) {
                T::register(registry);
            }
        }
    };
}

api_response!(OkJson, StatusCode::OK, []);
api_response!(Long, StatusCode::OK, []);
api_response!(AcceptedJson, StatusCode::ACCEPTED, []);
api_response!(Created, StatusCode::CREATED, [header("Location", "Path of what was made.", true)]);

impl ApiResponse for NoContent {
    fn meta() -> MetaResponses {
        let response = MetaResponse {
            description: "It is gone.",
            status: Some(StatusCode::NO_CONTENT.as_u16()),
            status_range: None,
            content: Vec::new(),
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}
