//! Brings the schemas of the document into form: standard formats, whole bounds, and different rules for requests and
//! responses. Descriptions belong at the types, not here.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Bounds that poem-openapi writes as floats.
const BOUNDS: [&str; 4] = ["minimum", "maximum", "multipleOf", "default"];

/// Formats that only poem-openapi knows, and the standard formats that hold the same numbers.
const FORMATS: [(&str, &str); 3] = [("uint16", "int32"), ("uint32", "int64"), ("uint64", "int64")];

/// Brings every schema of the document into the form that client generators expect.
pub fn normalise(document: &mut Value) {
    walk(document, &mut tidy);
    let sent = reachable(document, &|operation| vec![&operation["requestBody"]]);
    let answered = reachable(document, &|operation| vec![&operation["responses"]]);
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    for (name, schema) in schemas {
        if let Some(schema) = schema.as_object_mut().filter(|schema| schema.contains_key("properties")) {
            schema.remove("title");
            if sent.contains(name) {
                schema.insert("additionalProperties".to_owned(), false.into());
                // In a merge patch null would clear a field, so an example leaves out what it does not set.
                if let Some(example) = schema.get_mut("example").and_then(Value::as_object_mut) {
                    example.retain(|_, value| !value.is_null());
                }
            } else if answered.contains(name) && name != "Problem" {
                answer(schema);
            }
        }
    }
}

/// Calls `change` for each object inside `value`, innermost first. Examples are left alone.
fn walk(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            members.iter_mut().filter(|(name, _)| *name != "example").for_each(|(_, value)| walk(value, change));
            change(members);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, change)),
        _ => {}
    }
}

fn tidy(object: &mut Map<String, Value>) {
    for bound in BOUNDS {
        if let Some(number) = object.get(bound).and_then(Value::as_f64).filter(|number| number.fract() == 0.0) {
            object.insert(bound.to_owned(), (number as i64).into());
        }
    }
    let format = object.get("format").and_then(Value::as_str);
    if let Some((_, standard)) = FORMATS.iter().find(|(own, _)| Some(*own) == format) {
        object.insert("format".to_owned(), (*standard).into());
        object.entry("minimum").or_insert(0.into());
    }
    if object.get("deprecated") == Some(&false.into()) {
        object.remove("deprecated");
    }
    // A reference with a description of its own. Generators fail on `allOf` around an enumeration, so only the
    // reference stays. The schema behind the reference has a description itself.
    let reference = object.get("allOf").and_then(|all| all[0].get("$ref")).cloned();
    if let Some(reference) = reference {
        *object = Map::from_iter([("$ref".to_owned(), reference)]);
    }
}

/// A response always has every field. Fields that were optional may be null.
fn answer(schema: &mut Map<String, Value>) {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, property) in properties.iter_mut().filter(|(name, _)| !required.contains(&json!(name))) {
        debug_assert!(property.get("$ref").is_none(), "{name} is a reference, which cannot be nullable");
        property["nullable"] = true.into();
    }
    let names = properties.keys().map(|name| json!(name)).collect();
    schema.insert("required".to_owned(), Value::Array(names));
}

/// Names of the schemas that are used, at any depth, in the parts of operations that `parts` picks.
pub fn reachable(document: &Value, parts: &dyn Fn(&Value) -> Vec<&Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let paths = document["paths"].as_object().into_iter().flatten();
    for operation in paths.flat_map(|(_, item)| item.as_object().into_iter().flatten()).map(|(_, operation)| operation)
    {
        parts(operation).into_iter().for_each(|part| follow(document, part, &mut found));
    }
    found
}

fn follow(document: &Value, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            if let Some(name) = reference.and_then(|reference| reference.strip_prefix("#/components/schemas/"))
                && found.insert(name.to_owned())
            {
                follow(document, &document["components"]["schemas"][name], found);
            }
            members.values().for_each(|value| follow(document, value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| follow(document, item, found)),
        _ => {}
    }
}
