//! The one form of every error: `application/problem+json` (RFC 9457). The doc comments of [`Problem`] and
//! [`FieldFault`] are part of the OpenAPI document.

use poem::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{Example, Type};
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

use crate::error::{Error, FieldError, Kind};

/// Media type of every error.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was refused (RFC 9457).
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct Problem {
    /// The sort of problem, for people.
    pub title: String,
    /// The HTTP status.
    #[oai(validator(minimum(value = "400"), maximum(value = "599")))]
    pub status: u16,
    /// What went wrong with this request, and what would be right.
    pub detail: String,
    /// Stable word for programs, in snake_case.
    pub code: String,
    /// Each thing that is wrong with the body; only with status 422.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<FieldFault>>,
    /// Each thing that keeps the server from being ready; only from `/readyz`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<Reason>>,
}

/// One thing that keeps the server from being ready.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct Reason {
    /// Stable word for programs, in snake_case.
    pub code: String,
    /// What is wrong, and what to do.
    pub detail: String,
}

/// One thing that is wrong with a body.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct FieldFault {
    /// Path of the field in the body, such as `headers.X-Id`; empty for the body as a whole.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Example for Problem {
    fn example() -> Self {
        *ApiError::new(StatusCode::NOT_FOUND, "not_found", "There is no account with this id.").problem
    }
}

impl Example for FieldFault {
    fn example() -> Self {
        FieldError::new("email", "must be an e-mail address such as ada@example.com").into()
    }
}

impl Example for Reason {
    fn example() -> Self {
        Self {
            code: "storage_full".to_owned(),
            detail: "The disk is full; send it again when there is room.".to_owned(),
        }
    }
}

impl From<FieldError> for FieldFault {
    fn from(fault: FieldError) -> Self {
        Self { field: fault.field, message: fault.message }
    }
}

/// An error to send: a [`Problem`] and its response headers.
#[derive(Debug)]
pub struct ApiError {
    /// The body.
    pub problem: Box<Problem>,
    /// Boxed, like the problem, so that the results of handlers stay small.
    headers: Box<HeaderMap>,
}

/// Result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// An error of `status`. The title is the status's reason phrase.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            problem: Box::new(Problem {
                title: status.canonical_reason().unwrap_or("Error").to_owned(),
                status: status.as_u16(),
                detail: detail.into(),
                code: code.to_owned(),
                errors: None,
                reasons: None,
            }),
            headers: Box::default(),
        }
    }

    /// The error for a bug. The log has the details, which clients must not see.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "Something broke here; the server's log says what.",
        )
    }

    /// The error for a request that is not authenticated.
    pub fn unauthorized(challenge: &'static str, code: &str, detail: &str) -> Self {
        let challenge = HeaderValue::from_static(challenge);
        Self::new(StatusCode::UNAUTHORIZED, code, detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// The error for a parameter of path or query that cannot be read.
    pub fn bad_parameter(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail)
    }

    /// The same error with another title.
    pub fn titled(mut self, title: &str) -> Self {
        title.clone_into(&mut self.problem.title);
        self
    }

    /// The same error with everything that keeps the server from being ready. Details of bugs stay inside.
    pub fn with_reasons(mut self, reasons: Vec<Error>) -> Self {
        let shown = reasons.into_iter().filter(|reason| reason.kind() != Kind::Internal);
        let reason = |error: Error| Reason { code: error.code().to_owned(), detail: error.detail().to_owned() };
        self.problem.reasons = Some(shown.map(reason).collect());
        self
    }

    /// The same error with this header set.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Headers of the response, besides those that say what the body is.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body as JSON.
    pub fn body(&self) -> Vec<u8> {
        serde_json::to_vec(&self.problem).unwrap_or_default()
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// The one place where the kind of an error becomes an HTTP status.
fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        if error.kind() == Kind::Internal {
            tracing::error!(code = error.code(), detail = error.detail(), "internal error");
            return Self::internal();
        }
        let mut answer = Self::new(status(error.kind()), error.code(), error.detail());
        if !error.field_errors().is_empty() {
            answer.problem.errors = Some(error.field_errors().iter().cloned().map(FieldFault::from).collect());
        }
        if matches!(error.kind(), Kind::Unavailable(_)) {
            answer = answer.with_header(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = Response::builder().status(status).body(self.body());
        response.headers_mut().extend(*self.headers);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

impl From<ApiError> for poem::Error {
    fn from(error: ApiError) -> Self {
        Self::from_response(error.into_response())
    }
}

impl ApiResponse for ApiError {
    /// One range that stands for all error statuses. The document's normalising step lists them one by one.
    fn meta() -> MetaResponses {
        let content = vec![MetaMediaType { content_type: MEDIA_TYPE, schema: Problem::schema_ref() }];
        MetaResponses {
            responses: vec![MetaResponse {
                description: "The request was refused.",
                status: None,
                status_range: Some("4XX".to_owned()),
                content,
                headers: Vec::new(),
            }],
        }
    }

    fn register(registry: &mut Registry) {
        Problem::register(registry);
    }
}

/// The reason phrase of `status`, and the body of an error that is sent without an endpoint.
pub fn problem_body(status: u16, code: &str, detail: &str) -> (&'static str, Vec<u8>) {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    (status.canonical_reason().unwrap_or("Error"), ApiError::new(status, code, detail).body())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Unavailable;

    #[test]
    fn storage_that_cannot_take_it_asks_to_come_again() {
        let response = ApiError::from(Error::unavailable(Unavailable::DiskFull, "The disk is full.")).into_response();
        assert_eq!((response.status().as_u16(), response.header("retry-after")), (503, Some("1")));
        assert_eq!(response.content_type(), Some(MEDIA_TYPE));
    }

    #[test]
    fn an_internal_detail_stays_inside() {
        let error = ApiError::from(Error::internal("row 7 of secret is broken"));
        assert!(!error.problem.detail.contains("secret") && error.problem.code == "internal_error");
    }

    #[test]
    fn an_invalid_body_lists_every_fault() {
        let faults = vec![FieldError::new("a", "is missing"), FieldError::new("b", "must be a string")];
        let error = ApiError::from(Error::invalid(faults));
        assert_eq!((error.problem.status, error.problem.errors.map(|errors| errors.len())), (422, Some(2)));
    }
}
