//! Tests of the rules that the document keeps, for client generators and for people.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{document_only, json, schemas, value, yaml};
use crate::api::request::json_tree::Json;
use crate::web::problem::MEDIA_TYPE;

/// Every operation, with its path and method.
fn operations() -> Vec<(String, &'static Map<String, Value>)> {
    let paths = value()["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(move |(method, op)| (format!("{method} {path}"), op.as_object().unwrap()))
        })
        .collect()
}

/// The callback of each operation that has one.
fn callbacks() -> Vec<&'static Map<String, Value>> {
    let all = operations().into_iter().filter_map(|(_, operation)| operation.get("callbacks")?.as_object());
    all.flat_map(Map::values)
        .flat_map(|urls| urls.as_object().unwrap().values())
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation.as_object().unwrap())
        .collect()
}

/// Names of keys that stand twice in an object of `value`.
fn doubled(value: &Json) -> Vec<&str> {
    match value {
        Json::Object(members) => {
            let mut seen = BTreeSet::new();
            let own = members.iter().map(|(name, _)| name.as_str()).filter(|name| !seen.insert(*name));
            own.collect::<Vec<_>>().into_iter().chain(members.iter().flat_map(|(_, value)| doubled(value))).collect()
        }
        Json::Array(items) => items.iter().flat_map(doubled).collect(),
        _ => Vec::new(),
    }
}

/// Calls `see` with the place and the members of each object. Examples are left out.
fn visit(place: &str, value: &Value, see: &mut impl FnMut(&str, &Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            see(place, members);
            let schemas = members.iter().filter(|(name, _)| *name != "example");
            schemas.for_each(|(name, value)| visit(&format!("{place}/{name}"), value, see));
        }
        Value::Array(items) => items.iter().for_each(|item| visit(place, item, see)),
        _ => {}
    }
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    for (name, current, command) in [
        ("openapi.json", json(), "cargo run -- openapi > openapi/openapi.json"),
        ("openapi.yaml", yaml(), "cargo run -- openapi --yaml > openapi/openapi.yaml"),
    ] {
        let path = format!("{}/openapi/{name}", env!("CARGO_MANIFEST_DIR"));
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == current, "openapi/{name} is out of date; refresh it: {command}");
    }
}

#[test]
fn operation_ids_read_as_method_names_and_do_not_clash() {
    let all = operations().into_iter().map(|(_, operation)| operation).chain(callbacks());
    let ids: Vec<&str> = all.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len());
    for id in &ids {
        assert!(
            id.starts_with(|c: char| c.is_ascii_lowercase()) && id.bytes().all(|b| b.is_ascii_alphanumeric()),
            "{id}"
        );
        for suffix in ["Raw", "WithHttpInfo", "RequestOpts"] {
            assert!(!unique.contains(format!("{id}{suffix}").as_str()), "{id}{suffix}");
        }
    }
}

#[test]
fn every_operation_is_described_and_belongs_to_one_described_tag() {
    let tags = value()["tags"].as_array().unwrap();
    let callbacks = callbacks().into_iter().map(|operation| ("callback".to_owned(), operation));
    for (name, operation) in operations().into_iter().chain(callbacks) {
        let summary = operation["summary"].as_str().unwrap();
        assert!(!summary.ends_with('.') && !summary.contains('\n'), "{name}");
        assert!(operation["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        let [tag] = operation["tags"].as_array().unwrap().as_slice() else { panic!("{name} has not one tag") };
        assert!(tags.iter().any(|known| known["name"] == *tag && known["description"].is_string()), "{name}");
        assert!(operation["security"].is_array(), "{name}");
        for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{name} {parameter}");
        }
    }
}

#[test]
fn every_operation_lists_its_errors() {
    for (name, operation) in operations() {
        let responses = operation["responses"].as_object().unwrap();
        let lists = |status: &str| responses.contains_key(status);
        let secured = !operation["security"].as_array().unwrap().is_empty();
        assert_eq!(secured, lists("401"), "{name}");
        assert_eq!(name.contains('{'), lists("404"), "{name}");
        let has_body = operation.contains_key("requestBody");
        assert!(!has_body || operation["requestBody"]["content"].as_object().unwrap().len() == 1, "{name}");
        assert!(!has_body || (lists("400") && lists("413") && lists("415") && lists("422")), "{name}");
        assert!(lists("4XX") && lists("5XX") && !lists("default"), "{name}");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} {status}");
            if status.starts_with(['4', '5']) {
                for media_type in [MEDIA_TYPE, "application/json"] {
                    let content = &response["content"][media_type];
                    assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem", "{name} {status}");
                    assert!(content["example"]["code"].is_string(), "{name} {status}");
                }
            }
        }
    }
}

#[test]
fn every_body_and_answer_has_an_example() {
    for (name, operation) in operations() {
        let body = operation.get("requestBody").into_iter();
        for part in body.chain(operation["responses"].as_object().unwrap().values()) {
            for (media_type, content) in part["content"].as_object().into_iter().flatten() {
                assert!(!media_type.contains(';'), "{name} {media_type}");
                let text = &content["schema"]["example"];
                assert!(text.is_string() || !content["example"].is_null(), "{name} {media_type}");
            }
        }
    }
}

#[test]
fn every_schema_is_named_described_and_has_an_example() {
    for (name, schema) in value()["components"]["schemas"].as_object().unwrap() {
        assert!(
            name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(|b| b.is_ascii_alphanumeric()),
            "{name}"
        );
        // Swagger UI would take an example of an enumeration for the value of a filter.
        assert!(!schema["example"].is_null() || schema["enum"].is_array(), "{name}");
        assert!(schema["description"].is_string(), "{name}");
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(field.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}.{field}");
            assert!(property["description"].is_string() || property["$ref"].is_string(), "{name}.{field}");
        }
    }
}

#[test]
fn what_is_sent_is_closed_and_what_is_answered_is_whole() {
    let sent = schemas::reachable(value(), &|operation| vec![&operation["requestBody"]]);
    let answered = schemas::reachable(value(), &|operation| vec![&operation["responses"]]);
    assert!(sent.contains("AccountCreate") && answered.contains("Account"));
    let schemas = value()["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas.iter().filter(|(_, schema)| schema["type"] == "object") {
        let fields: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if sent.contains(name) {
            assert_eq!(schema["additionalProperties"], false, "{name}");
            assert!(!answered.contains(name), "{name} is both sent and answered");
        } else if name != "Problem" {
            assert_eq!(required, fields, "{name}");
            let example = schema["example"].as_object().unwrap();
            assert_eq!(example.keys().map(String::as_str).collect::<BTreeSet<&str>>(), fields, "{name}");
            for (field, _) in example.iter().filter(|(_, value)| value.is_null()) {
                assert_eq!(schema["properties"][field]["nullable"], true, "{name}.{field}");
            }
        }
    }
}

#[test]
fn deliveries_are_described_as_a_callback() {
    let callbacks = callbacks();
    let [delivery] = callbacks.as_slice() else { panic!("one callback, not {}", callbacks.len()) };
    let headers: Vec<&str> =
        delivery["parameters"].as_array().unwrap().iter().map(|header| header["name"].as_str().unwrap()).collect();
    assert_eq!(headers, ["webhook-id", "webhook-timestamp", "webhook-signature"]);
    assert!(delivery.contains_key("requestBody"));
}

#[test]
fn no_key_is_doubled_before_or_after_normalising() {
    // A map would keep only the last of two keys, and so hide that poem-openapi lost one.
    for text in [document_only().spec(), json()] {
        assert_eq!(doubled(&serde_json::from_str(&text).unwrap()), [""; 0]);
    }
    assert_eq!(doubled(&serde_json::from_str(r#"{"a": [{"b": 1, "c": 2, "b": 3}]}"#).unwrap()), ["b"]);
}

#[test]
fn formats_types_and_bounds_are_those_of_openapi_3_0() {
    let formats = ["int32", "int64", "float", "double", "date", "date-time", "email", "uri", "byte", "binary"];
    let types = ["string", "integer", "number", "boolean", "array", "object"];
    // Words of OpenAPI 3.1 and of later drafts of JSON Schema.
    let later = [
        "const",
        "$defs",
        "$schema",
        "$comment",
        "examples",
        "prefixItems",
        "contentMediaType",
        "patternProperties",
        "contentEncoding",
        "propertyNames",
        "if",
        "dependentRequired",
        "unevaluatedProperties",
        "exclusiveMinimum",
        "exclusiveMaximum",
    ];
    for member in ["webhooks", "jsonSchemaDialect"] {
        assert!(value().get(member).is_none(), "{member}");
    }
    assert!(value()["info"].get("summary").is_none() && value()["info"]["license"].get("identifier").is_none());
    visit("", value(), &mut |place, object| {
        for word in later {
            assert!(!object.contains_key(word), "{place} {word}");
        }
        let is_map = place.ends_with("/properties") || place.ends_with("/schemas");
        if is_map {
            return;
        }
        if let Some(ty) = object.get("type").filter(|_| !place.contains("/securitySchemes")) {
            assert!(ty.as_str().is_some_and(|ty| types.contains(&ty)), "{place} {ty}");
        }
        if let Some(format) = object.get("format") {
            assert!(format.as_str().is_some_and(|format| formats.contains(&format)), "{place} {format}");
        }
        for bound in ["minimum", "maximum", "maxLength", "minLength", "maxItems", "minItems", "maxProperties"] {
            assert!(object.get(bound).is_none_or(Value::is_i64), "{place} {bound}");
        }
    });
}

#[test]
fn nothing_is_there_that_generators_trip_over() {
    let raw = json();
    for word in ["uint", "\"title\": \"Account", "\"explode\"", "LOCATION", "default\": {", ".0,\n"] {
        assert!(!raw.contains(word), "{word}");
    }
    assert_eq!((&value()["openapi"], &value()["servers"][0]["url"]), (&"3.0.3".into(), &"/".into()));
    assert!(value()["info"]["contact"].is_object() && value()["info"]["license"]["name"] == "MIT");
    visit("", value(), &mut |place, object| {
        assert!(!object.contains_key("anyOf") && !object.contains_key("oneOf"), "{place}");
        assert!(object.get("allOf").is_none(), "{place}");
        assert!(object.iter().all(|(name, value)| name == "example" || !value.is_null()), "{place}");
        assert!(object.get("$ref").is_none() || object.len() == 1, "{place}");
        assert!(object.get("nullable") != Some(&true.into()) || object.contains_key("type"), "{place}");
    });
}
