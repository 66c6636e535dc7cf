//! The OpenAPI document: what poem-openapi derives from the code, brought into the form that clients' generators like by
//! one step ([`normalise`]).

pub mod callback;
pub mod errors;
pub mod normalise;
pub mod schemas;
pub mod yaml;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{ContactObject, LicenseObject, OpenApi, OpenApiService};
use serde_json::Value;

use super::operations::Operations;

/// Name of the API.
pub const TITLE: &str = "Data Pusher";

const DESCRIPTION: &str = "\
Receives JSON for an account and pushes it to every destination of that account, and does not lose what it said it took.

An **account** has **destinations**. Each JSON document sent to the data handler with the account's app secret token is an
**event**; it makes one **delivery** for each destination, and each delivery one or more **attempts**. Delivery is at least
once and its order is not promised; a repeat keeps its `webhook-id`.

Every error is an RFC 9457 problem with a stable `code`.";

/// The operations without anything behind them: enough to describe them.
struct DocumentOnly;

impl OpenApi for DocumentOnly {
    fn meta() -> Vec<MetaApi> {
        Operations::meta()
    }

    fn register(registry: &mut Registry) {
        Operations::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

fn document_only() -> OpenApiService<DocumentOnly, ()> {
    OpenApiService::new(DocumentOnly, TITLE, env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .contact(ContactObject::new().name("The maintainers of Data Pusher"))
        .license(LicenseObject::new("MIT").url("https://opensource.org/license/mit"))
        .server("/")
}

/// The document, made anew: a server that nobody asks for it does without its memory.
fn make() -> Value {
    let mut document = serde_json::from_str(&document_only().spec()).unwrap_or_default();
    normalise::normalise(&mut document);
    document
}

/// The document, once for all tests.
#[cfg(test)]
pub fn value() -> &'static Value {
    static VALUE: std::sync::LazyLock<Value> = std::sync::LazyLock::new(make);
    &VALUE
}

/// The document as JSON for people, with a line feed at its end.
pub fn json() -> String {
    format!("{:#}\n", make())
}

/// The document as YAML.
pub fn yaml() -> String {
    yaml::write(&make())
}

/// poem-openapi's Swagger UI page over a document of no operations, and that document as it stands in the page.
pub fn swagger_ui() -> (String, String) {
    let empty = OpenApiService::new((), TITLE, env!("CARGO_PKG_VERSION"));
    (empty.swagger_ui_html(), empty.spec())
}
