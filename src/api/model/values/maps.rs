//! JSON objects of strings, and JSON that is passed on as it came.

use std::collections::BTreeMap;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Schema of header values: visible ASCII, and spaces and tabs only inside.
fn header_value() -> MetaSchema {
    MetaSchema {
        pattern: Some(r"^([\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?)?$".to_owned()),
        ..MetaSchema::new("string")
    }
}

/// A JSON object of strings, in the given order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs(pub Vec<(String, String)>);

inline_type!(Pairs, "pairs", {
    let values = MetaSchemaRef::Inline(Box::new(header_value()));
    MetaSchema { additional_properties: Some(Box::new(values)), max_properties: Some(100), ..MetaSchema::new("object") }
});

impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl ToJSON for Pairs {
    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

impl ParseFromJSON for Pairs {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let map = BTreeMap::<String, String>::parse_from_json(value).map_err(ParseError::propagate)?;
        Ok(Self(map.into_iter().collect()))
    }
}

/// Changes to a [`Pairs`]: a string sets a member, and null removes a member.
#[derive(Debug, Clone)]
pub struct PairChanges(pub BTreeMap<String, Option<String>>);

inline_type!(PairChanges, "pair_changes", {
    let values = MetaSchemaRef::Inline(Box::new(MetaSchema { nullable: true, ..header_value() }));
    MetaSchema { additional_properties: Some(Box::new(values)), ..MetaSchema::new("object") }
});

impl ToJSON for PairChanges {
    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(&self.0).ok()
    }
}

impl ParseFromJSON for PairChanges {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default()).map(Self).map_err(ParseError::custom)
    }
}

/// Any JSON value, kept byte for byte.
#[derive(Debug, Clone)]
pub struct RawJson(pub Box<RawValue>);

inline_type!(RawJson, "json", MetaSchema::ANY);

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl ToJSON for RawJson {
    fn to_json(&self) -> Option<Value> {
        serde_json::from_str(self.0.get()).ok()
    }
}

impl ParseFromJSON for RawJson {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        serde_json::value::to_raw_value(&value).map(Self).map_err(ParseError::custom)
    }
}
