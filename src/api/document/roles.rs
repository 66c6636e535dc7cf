//! Which role an operation needs, as the OpenAPI document says it. The role itself stands in the signature of the
//! operation's handler, see `admitted`.

use serde_json::{Map, Value, json};

use crate::api::admitted::{ADMIN_SCHEME, MARKS};
use crate::domain::access::Role;

/// Member of an operation with the least role that a token needs for it.
pub const REQUIRED_ROLE: &str = "x-required-role";

/// Puts the security scheme in the place of the role's mark, and says the role in words and as [`REQUIRED_ROLE`].
pub fn normalise(operation: &mut Map<String, Value>) {
    let schemes = operation.get("security").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<&String> = schemes.filter_map(Value::as_object).flat_map(Map::keys).collect();
    let mark = MARKS.iter().find(|(mark, ..)| names.iter().any(|name| name == mark));
    let Some((_, role, is_for_all)) = mark else { return };
    operation.insert("security".to_owned(), json!([{ADMIN_SCHEME: []}]));
    operation.insert(REQUIRED_ROLE.to_owned(), role.as_str().into());
    let only = if *is_for_all { ", not one for one account" } else { "" };
    if let Some(Value::String(description)) = operation.get_mut("description") {
        description.push_str(&format!("\n\nNeeds a token with the role `{role}`{}{only}.", or_more(*role)));
    }
}

fn or_more(role: Role) -> &'static str {
    match role {
        Role::Viewer => " or more",
        Role::Operator => " or `admin`",
        Role::Admin => "",
    }
}
