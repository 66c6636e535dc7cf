//! The rules that the document keeps, for clients' generators and for people.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{json, value, yaml};
use crate::api::problem::MEDIA_TYPE;

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

/// Calls `see` with every object of the document outside of examples, and with its place.
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
    let ids: Vec<&str> = operations().iter().map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
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
    for (name, operation) in operations() {
        let summary = operation["summary"].as_str().unwrap();
        assert!(!summary.ends_with('.') && !summary.contains('\n'), "{name}");
        assert!(operation["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        let [tag] = operation["tags"].as_array().unwrap().as_slice() else { panic!("{name} has not one tag") };
        assert!(tags.iter().any(|known| known["name"] == *tag && known["description"].is_string()), "{name}");
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
        assert!(name.starts_with(|c: char| c.is_ascii_uppercase()) && !name.contains('_'), "{name}");
        assert!(schema["description"].is_string() && !schema["example"].is_null(), "{name}");
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(field.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}.{field}");
            assert!(property["description"].is_string() || property["$ref"].is_string(), "{name}.{field}");
        }
    }
}

#[test]
fn what_is_sent_is_closed_and_what_is_answered_is_whole() {
    let schemas = value()["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas.iter().filter(|(_, schema)| schema["type"] == "object") {
        let fields: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let sent =
            ["Create", "Replace", "Update", "TokenRotation", "DestinationReplay"].iter().any(|end| name.ends_with(end));
        if sent {
            assert_eq!(schema["additionalProperties"], false, "{name}");
        } else if name != "Problem" {
            assert_eq!(required, fields, "{name}");
            let example: BTreeSet<&str> = schema["example"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(example, fields, "{name}");
        }
    }
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
