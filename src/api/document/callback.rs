//! What a destination gets, as a `callbacks` entry of the operation that creates one.

use serde_json::{Value, json};

use crate::api::model::events::SAMPLE;

/// The callback. With GET the document goes as query parameters, which OpenAPI 3.0 cannot say; the text does.
pub fn deliveries() -> Value {
    let header = |name: &str, description: &str, example: &str| {
        json!({
            "name": name, "in": "header", "required": true, "description": description,
            "schema": {"type": "string"}, "example": example,
        })
    };
    let sample: Value = serde_json::from_str(SAMPLE).unwrap_or_default();
    let request = json!({
        "tags": ["Deliveries"],
        "summary": "Receive a delivery",
        "description": "What a destination gets for each event, by its `http_method` and with its `headers`; the body is the \
                        document byte for byte. With `GET` there is no body: the document goes as query parameters. Verify the \
                        signature by a Standard Webhooks library, and expect that a delivery may come more than once, with the \
                        same `webhook-id`.",
        "operationId": "receiveDelivery",
        "security": [],
        "parameters": [
            header("webhook-id", "Id of the event, the same on every attempt.", "evt_36vsdqb000000"),
            header("webhook-timestamp", "When the attempt was made, in seconds since 1970.", "1767268800"),
            header("webhook-signature", "One or more `v1,` signatures, separated by spaces.", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
        ],
        "requestBody": {
            "description": "The document as it was received.",
            "required": true,
            "content": {"application/json": {"schema": {"description": "Any JSON value."}, "example": sample}},
        },
        "responses": {
            "2XX": {"description": "It was delivered."},
            "410": {"description": "The destination is gone: it is paused, and the delivery waits."},
            "429": {"description": "Too much: with `Retry-After` the destination is held back until then."},
            "503": {"description": "Not now: with `Retry-After` the destination is held back until then."},
            "4XX": {"description": "It failed and is tried again on the schedule."},
            "5XX": {"description": "It failed and is tried again on the schedule."},
        },
    });
    json!({"delivery": {"{$request.body#/url}": {"post": request}}})
}
