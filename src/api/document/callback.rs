//! The request that a destination gets, as a `callbacks` entry of the operation that creates a destination. The sending
//! itself is in `delivery/sending`.

use serde_json::{Value, json};

use crate::domain::event::SAMPLE;

/// The callback. With GET the document is sent as query parameters. OpenAPI 3.0 cannot describe this, so the
/// description does.
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
        "description": "The request that a destination gets for each event, with the destination's `http_method` \
                        and `headers`. The body is the event's JSON document, byte for byte. With `GET` there is no \
                        body, and the document is sent as query parameters. Check the signature with a Standard \
                        Webhooks library. The same delivery can arrive more than once, always with the same \
                        `webhook-id`.",
        "operationId": "receiveDelivery",
        "security": [],
        "parameters": [
            header("webhook-id", "Id of the event, which is the same in all attempts.", "evt_36vsdqb000000"),
            header("webhook-timestamp", "Time of the attempt, in seconds since 1970-01-01 UTC.", "1767268800"),
            header(
                "webhook-signature",
                "One or more signatures, separated by spaces. Each one starts with `v1,`.",
                "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
            ),
        ],
        "requestBody": {
            "description": "The event's JSON document as it was received.",
            "required": true,
            "content": {"application/json": {"schema": {"description": "Any JSON value."}, "example": sample}},
        },
        "responses": {
            "2XX": {"description": "The delivery succeeded."},
            "410": {"description": "The destination wants no more requests. The server pauses the destination, and \
                                    the delivery stays pending."},
            "429": {"description": "Too many requests. With `Retry-After`, deliveries to the destination are \
                                    delayed until that time."},
            "503": {"description": "Not available now. With `Retry-After`, deliveries to the destination are \
                                    delayed until that time."},
            "4XX": {"description": "The attempt failed. The next attempt follows the retry schedule."},
            "5XX": {"description": "The attempt failed. The next attempt follows the retry schedule."},
        },
    });
    json!({"delivery": {"{$request.body#/url}": {"post": request}}})
}
