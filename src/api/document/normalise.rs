//! The one step from the document of poem-openapi to ours. Texts that an operation can carry belong in the operation,
//! not here.

use serde_json::{Map, Value, json};

use super::{callback, errors, roles, schemas};

/// Groups of operations, in the order in which a newcomer needs them.
const TAGS: [&str; 7] = ["Accounts", "Destinations", "Data", "Deliveries", "Events", "Tokens", "Operations"];

/// Header names in their usual spelling; poem-openapi writes them in capitals.
const HEADERS: [&str; 5] = ["Idempotency-Key", "Event-Type", "Prefer", "Location", "Preference-Applied"];

/// Brings `document` into the form that client generators expect.
pub fn normalise(document: &mut Value) {
    document["openapi"] = "3.0.3".into();
    if let Some(tags) = document["tags"].as_array_mut() {
        tags.sort_by_key(|tag| TAGS.iter().position(|name| tag["name"] == *name));
    }
    schemas::normalise(document);
    let components = document["components"]["schemas"].clone();
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            if let Some(operation) = operation.as_object_mut() {
                normalise_operation(path, operation, &components);
            }
        }
    }
}

fn normalise_operation(path: &str, operation: &mut Map<String, Value>, components: &Value) {
    roles::normalise(operation);
    operation.entry("security").or_insert_with(|| json!([]));
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        normalise_parameter(parameter);
    }
    if let Some(body) = operation.get_mut("requestBody") {
        let description = described(body, components);
        body.as_object_mut().map(|body| body.entry("description").or_insert(description.into()));
        add_examples(body, components);
    }
    for (status, response) in operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten() {
        if response["description"] == "" {
            response["description"] = described(response, components).into();
        }
        if let Some(headers) = response.get_mut("headers").and_then(Value::as_object_mut) {
            *headers = std::mem::take(headers).into_iter().map(|(name, header)| (header_name(&name), header)).collect();
        }
        add_examples(response, components);
        if status == "202" {
            without_attempts(response);
        }
    }
    errors::add(path, operation);
    if operation.get("operationId") == Some(&"createDestination".into()) {
        operation.insert("callbacks".to_owned(), callback::deliveries());
    }
}

fn normalise_parameter(parameter: &mut Value) {
    let Some(members) = parameter.as_object_mut() else { return };
    // poem-openapi writes the value that is the default anyway.
    members.remove("explode");
    // Swagger UI fills in examples, and would then filter by ids that do not exist.
    members.get_mut("schema").and_then(Value::as_object_mut).map(|schema| schema.remove("example"));
    if members.get("in") == Some(&"header".into()) {
        let name = members.get("name").and_then(Value::as_str).map(header_name);
        name.map(|name| members.insert("name".to_owned(), name.into()));
    }
}

/// `name` in its usual spelling.
fn header_name(name: &str) -> String {
    HEADERS.iter().find(|right| right.eq_ignore_ascii_case(name)).map_or(name, |right| right).to_owned()
}

/// The schema to which the first media type of a body or response refers.
fn schema<'a>(part: &Value, components: &'a Value) -> Option<&'a Value> {
    let media_type = part["content"].as_object()?.values().next()?;
    components.get(media_type["schema"]["$ref"].as_str()?.rsplit('/').next()?)
}

fn described(part: &Value, components: &Value) -> String {
    let description = schema(part, components).and_then(|schema| schema["description"].as_str());
    description.unwrap_or("The request succeeded.").replace('\n', " ")
}

/// Makes the deliveries in an example pending: no attempt has been made when a 202 is sent.
fn without_attempts(response: &mut Value) {
    for (_, media_type) in response.get_mut("content").and_then(Value::as_object_mut).into_iter().flatten() {
        let deliveries = media_type.pointer_mut("/example/deliveries").and_then(Value::as_array_mut);
        for delivery in deliveries.into_iter().flatten() {
            delivery["state"] = "pending".into();
            delivery["attempt_count"] = 0.into();
            delivery["next_attempt_at"] = delivery["created_at"].clone();
            delivery["status_code"] = Value::Null;
            delivery["last_attempt_at"] = Value::Null;
        }
    }
}

/// Gives every media type the example of its schema.
fn add_examples(part: &mut Value, components: &Value) {
    let example = schema(part, components).map(|schema| schema["example"].clone());
    for (_, media_type) in part.get_mut("content").and_then(Value::as_object_mut).into_iter().flatten() {
        let own = media_type["schema"].get("example").cloned();
        if let Some(example) = example.clone().or(own).filter(|example| !example.is_null()) {
            media_type["example"] = example;
        }
    }
}
