//! Secrets of destinations in an exported document, sealed: one member takes the place of those that hold secrets. What
//! the document has otherwise belongs in `export.rs`.

use serde_json::{Map, Value};

use crate::api::request::json_tree::Json;
use crate::domain::sealing::key::{KeyId, SecretsKey, SecretsKeys};
use crate::domain::sealing::value::{self, Place};
use crate::error::FieldError;

/// Members of a destination that hold secrets.
const SECRETS: [&str; 4] = ["headers", "header_templates", "signing_secret", "old_signing_secret"];

/// The member that takes their place.
const SEALED: &str = "sealed";

/// The member by which a destination is known.
const ID: &str = "destination_id";

/// Who opens the secrets of a document: that decides what to do where they do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// `data-pusher import`, which was given the key, or was not.
    Command,
    /// A running server, with the key that it was started with.
    Server,
}

impl Reader {
    fn without_key(self) -> &'static str {
        match self {
            Self::Command => "is sealed; give the key with --secrets-key-file",
            Self::Server => "is sealed, and the running server has no key; export with --plain, or stop the server",
        }
    }

    fn with_another_key(self, needed: KeyId, given: KeyId) -> String {
        match self {
            Self::Command => {
                format!("is sealed with the key {needed}, and that of --secrets-key-file is {given}; give that one")
            }
            Self::Server => format!(
                "is sealed with the key {needed}, and the running server has the key {given}; export with --plain, or \
                 stop the server"
            ),
        }
    }
}

fn place(id: &str) -> Place<'_> {
    Place { owner: id, column: "export" }
}

/// Seals the secrets of a destination.
pub fn seal(destination: &mut Map<String, Value>, key: &SecretsKey) {
    let id = destination.get(ID).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (secrets, rest): (Map<_, _>, Map<_, _>) =
        std::mem::take(destination).into_iter().partition(|(name, _)| SECRETS.contains(&name.as_str()));
    let sealed = value::seal_text(key, place(&id), &Value::Object(secrets).to_string());
    *destination = rest;
    destination.insert(SEALED.to_owned(), Value::String(sealed));
}

/// Opens the secrets of all destinations of a document. Whatever else is wrong with it is left as it is.
///
/// # Errors
/// Each destination whose secrets cannot be opened, and why.
pub fn open(document: &mut Json, keys: &SecretsKeys, reader: Reader) -> Result<(), Vec<FieldError>> {
    let mut faults = Vec::new();
    for (account, destinations) in items(document, "accounts").into_iter().enumerate() {
        for (number, destination) in items(destinations, "destinations").into_iter().enumerate() {
            if let Err(why) = open_one(destination, keys, reader) {
                let field = format!("accounts[{account}].destinations[{number}].{SEALED}");
                faults.push(FieldError::new(field, why));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// The items of an array that is a member of an object.
fn items<'a>(of: &'a mut Json, name: &str) -> Vec<&'a mut Json> {
    let Json::Object(members) = of else { return Vec::new() };
    match members.iter_mut().find(|(member, _)| member == name) {
        Some((_, Json::Array(items))) => items.iter_mut().collect(),
        _ => Vec::new(),
    }
}

fn open_one(destination: &mut Json, keys: &SecretsKeys, reader: Reader) -> Result<(), String> {
    let Json::Object(members) = destination else { return Ok(()) };
    let text = |name: &str| {
        members.iter().find_map(|(member, value)| match value {
            Json::Text(text) if member == name => Some(text.clone()),
            _ => None,
        })
    };
    let (Some(id), Some(sealed)) = (text(ID), text(SEALED)) else { return Ok(()) };
    let Some(given) = keys.current() else { return Err(reader.without_key().to_owned()) };
    let opened = value::open_text(keys, place(&id), &sealed).ok_or_else(|| match value::text_key_id(&sealed) {
        Some(needed) if keys.find(needed).is_none() => reader.with_another_key(needed, given.id()),
        _ => "does not open: it was changed, or belongs to another destination".to_owned(),
    })?;
    match serde_json::from_str(&opened) {
        Ok(Json::Object(secrets)) => {
            members.retain(|(name, _)| name != SEALED);
            members.extend(secrets);
            Ok(())
        }
        _ => Err("holds no secrets".to_owned()),
    }
}
