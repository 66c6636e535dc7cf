//! What the data handler reads of a request before its body, and how the OpenAPI document describes the body.

use std::str::FromStr;

use poem::http::{HeaderMap, StatusCode};
use poem::{Body, Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use crate::api::paths::unknown_parameter;
use crate::domain::event::{IdempotencyKey, SAMPLE};
use crate::domain::event_type::EventType;
use crate::web::problem::{ApiError, ApiResult};

/// Headers and body of a request, before the body is read.
pub struct IncomingRequest<'a> {
    /// What follows the `?`.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: Body,
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
        Some(MetaRequest {
            description: Some("The JSON document. Destinations get exactly these bytes, or query parameters with GET."),
            content,
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        Ok(Self { query: request.uri().query(), headers: request.headers(), body: body.take()? })
    }
}

/// Refuses query parameters, which this operation does not have. Their values are not repeated: one may be a secret.
pub fn no_parameters(query: Option<&str>) -> ApiResult<()> {
    let mut names = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).map(|(name, _)| name);
    let Some(name) = names.next() else { return Ok(()) };
    let right =
        if name == "wait" { "send the header `Prefer: wait=5` to wait for the first attempts" } else { "it has none" };
    Err(unknown_parameter(&name, right))
}

/// Reads the Idempotency-Key.
pub fn idempotency_key(headers: &HeaderMap) -> ApiResult<Option<IdempotencyKey>> {
    let refused = |detail| ApiError::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", detail);
    parsed_header(headers, "Idempotency-Key").map_err(refused)
}

/// Reads the Event-Type.
pub fn event_type(headers: &HeaderMap) -> ApiResult<Option<EventType>> {
    let refused = |detail| ApiError::new(StatusCode::BAD_REQUEST, "invalid_event_type", detail);
    parsed_header(headers, "Event-Type").map_err(refused)
}

/// Reads a header that may be missing. If it is wrong or given twice, the error says so.
fn parsed_header<T: FromStr<Err = String>>(headers: &HeaderMap, name: &str) -> Result<Option<T>, String> {
    let mut lines = headers.get_all(name).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(format!("The header {name} may be given once."));
    }
    let text = line.to_str().unwrap_or_default();
    text.parse().map(Some).map_err(|message| format!("The header {name} is wrong: it {message}."))
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

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
