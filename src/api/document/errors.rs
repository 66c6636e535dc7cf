//! Which errors each operation lists in the OpenAPI document, with an example of each. The run-time errors are created
//! elsewhere; an example here only repeats their text.

use serde_json::{Map, Value, json};

use crate::api::auth::NoToken;
use crate::api::operations::send_event;
use crate::error::FieldError;
use crate::web::access;
use crate::web::problem::{ApiError, FieldFault, MEDIA_TYPE};
use poem::http::StatusCode;

const SECRETS_UNREADABLE: &str =
    "The secrets of this destination cannot be opened; replace it by a PUT, and rotate its signing secret.";

/// Operations that can conflict with existing data, with the `code` and `detail` of the example.
const CLASHES: [(&str, &str, &str); 11] = [
    ("createAccount", "email_taken", "Another account has this e-mail address."),
    ("replaceAccount", "email_taken", "Another account has this e-mail address."),
    ("updateAccount", "email_taken", "Another account has this e-mail address."),
    ("createDestination", "too_many_destinations", "An account may have at most 1000 destinations."),
    ("updateDestination", "secrets_unreadable", SECRETS_UNREADABLE),
    ("getSigningSecret", "secrets_unreadable", SECRETS_UNREADABLE),
    ("resumeDestination", "secrets_unreadable", SECRETS_UNREADABLE),
    ("testDestination", "secrets_unreadable", SECRETS_UNREADABLE),
    ("createToken", "too_many_tokens", "There are 1000 tokens that reach all accounts already; revoke one first."),
    ("cancelDelivery", "not_pending", "Only a pending delivery can be cancelled."),
    (
        "retryDelivery",
        "out_of_order",
        "The destination is in strict order, and later deliveries were sent or may be on their way. Set `out_of_order` \
         to send this one all the same.",
    ),
];

/// Operations that list 503 separately, because a client must handle it.
const STORING: [&str; 2] = ["sendEvent", "getReadiness"];

/// Adds the errors of the operation at `path`.
pub fn add(path: &str, operation: &mut Map<String, Value>) {
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let has_body = operation.contains_key("requestBody");
    let is_secured = operation.get("security").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let query = parameters.into_iter().flatten().filter(|parameter| parameter["in"] == "query");
    let unreadable = query.filter_map(|parameter| parameter["name"].as_str()).find_map(unreadable);
    let is_data = path == send_event::PATH;

    let mut errors = Vec::new();
    let mut error = |status: u16, description: &'static str, code: &str, detail: &str| {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        errors.push((status.as_str().to_owned(), description, ApiError::new(status, code, detail)));
    };
    if has_body {
        let detail = "The body is not one JSON document: expected `,` or `}` at line 1 column 17.";
        error(400, "The body is not one JSON document, or the request is malformed.", "malformed_json", detail);
    } else if let Some(detail) = unreadable {
        error(400, "A query parameter is unknown, repeated or has a wrong value.", "invalid_parameter", detail);
    }
    if is_data {
        let description = "The token is missing or wrong. Send the account's app secret token in the CL-XTOKEN \
                           header. In Swagger UI: Authorize, appToken.";
        error(401, description, "invalid_token", NoToken::Missing.detail());
    } else if is_secured {
        error(401, "The token is missing or wrong.", "unauthorized", access::UNAUTHORIZED);
        let detail = "This needs a token with the role admin; yours has the role viewer.";
        error(403, "The token may not do this.", "forbidden", detail);
    }
    if path.contains('{') {
        let what = path.split('{').nth(1).and_then(|rest| rest.split_once("_id}")).map_or("thing", |(what, _)| what);
        error(404, "Nothing exists with this id.", "not_found", &format!("There is no {what} with this id."));
    }
    if let Some((_, code, detail)) = CLASHES.iter().find(|(operation, ..)| *operation == id) {
        error(409, "The request conflicts with existing data; `code` says how.", code, detail);
    }
    if has_body {
        let detail = "Only 17 bytes of the body came in time. Nothing was taken: send it again, and faster.";
        error(408, "The body arrived too slowly. Nothing was stored.", "request_timeout", detail);
        error(
            413,
            "The body is longer than `--max-body` allows (1 MiB by default).",
            "payload_too_large",
            "The body is longer than 1048576 bytes.",
        );
        let detail = "The body must be `application/json` in UTF-8.";
        let description = "The headers do not say that the body is plain JSON. With curl, add `-H 'Content-Type: \
                           application/json'`.";
        error(415, description, "unsupported_media_type", detail);
        if is_data {
            let detail = "This Idempotency-Key came with another body within the last 24 hours.";
            error(422, "The Idempotency-Key was used with another body.", "idempotency_key_reused", detail);
            let detail = "This account sends too fast. Nothing was taken: send it again in 1 s.";
            error(429, "The account sends more than `--account-rate` allows.", "rate_limited", detail);
        } else {
            let detail = "email: must be an e-mail address such as ada@example.com";
            error(
                422,
                "The body is JSON, but some values are not valid. `errors` lists all of them.",
                "validation_failed",
                detail,
            );
        }
    }
    if STORING.contains(&id.as_str()) {
        let detail = "The disk is full; send it again when there is room.";
        error(503, "Events cannot be stored now. `Retry-After` says when to try again.", "storage_full", detail);
    }
    let unexpected = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "PUT is not allowed here.");
    errors.push(("4XX".to_owned(), "Any other error of the request; `code` says which.", unexpected));
    errors.push(("5XX".to_owned(), "The server failed. The same request may be sent again.", ApiError::internal()));

    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    responses.remove("4XX");
    for (status, description, error) in errors {
        let error = if is_data { send_event::with_contract_title(error) } else { error };
        responses.insert(status, response(description, error));
    }
}

/// Example `detail` of the error for this query parameter, if its value is `yesterday`.
fn unreadable(parameter: &str) -> Option<&'static str> {
    match parameter {
        "limit" => Some("The query parameter `limit` is wrong: must be a whole number from 1 to 200."),
        "state" => {
            Some("The query parameter `state` is wrong: must be one of pending, succeeded, exhausted, cancelled.")
        }
        "since" => Some(
            "The query parameter `since` is wrong: `yesterday` is not an RFC 3339 time such as 2026-01-31T12:00:00Z.",
        ),
        _ => None,
    }
}

/// A problem is also listed as plain JSON, because some generators read types only there.
fn response(description: &str, mut error: ApiError) -> Value {
    if error.problem.code == "validation_failed" {
        let fault = FieldError::new("email", "must be an e-mail address such as ada@example.com");
        error.problem.errors = Some(vec![FieldFault::from(fault)]);
    }
    let content = json!({"schema": {"$ref": "#/components/schemas/Problem"}, "example": error.problem});
    let mut response =
        json!({"description": description, "content": {MEDIA_TYPE: content, "application/json": content}});
    let header = |description: &str, example: &str| json!({"description": description, "required": true, "schema": {"type": "string"}, "example": example});
    match error.problem.status {
        401 => {
            response["headers"] = json!({
                "WWW-Authenticate": header("The authentication scheme that the server expects.", "Bearer"),
            });
        }
        429 | 503 => {
            response["headers"] = json!({
                "Retry-After": header("Number of seconds to wait before sending the request again.", "1"),
            });
        }
        _ => {}
    }
    response
}
