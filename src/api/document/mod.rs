//! The OpenAPI document: poem-openapi derives a document from the code, and one step ([`normalise`]) changes its form
//! for client generators. Text that an operation can carry belongs in the operation, not here.

pub mod callback;
pub mod errors;
pub mod normalise;
pub mod roles;
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

/// What a newcomer reads first. Links to operations have the form that Swagger UI has for them.
const DESCRIPTION: &str = "\
Data Pusher receives JSON for an account and sends it to all of that account's destinations. Once the server has
responded with 2xx, the data is safe on disk.

### A tour in five steps

1. [Create an account](#/Accounts/createAccount). Copy `account_id` and `app_secret_token`. The token is not shown again.
2. [Create a destination](#/Destinations/createDestination) of that account: a URL with HTTP method and headers.
3. Choose **Authorize**, and give the token to **appToken**. Then [send an event](#/Data/sendEvent).
4. [List the deliveries](#/Deliveries/listDeliveries) to see what happened. Copy a `delivery_id`.
5. [Open the delivery](#/Deliveries/getDelivery) to see its attempts, and [send it again](#/Deliveries/retryDelivery).

The [dashboard](/) shows what happens without any requests of your own.

### Words, tokens and errors

Each accepted document is an **event**. An event creates one **delivery** for each destination of the account. For a
delivery the server makes one or more **attempts**; each attempt is one HTTP request. Delivery is at least once, and the
order is not promised. If an event arrives twice, both requests have the same `webhook-id`.

Operations under `/v1`, and `/metrics`, need the admin token or a token with a role. In Swagger UI: **Authorize**,
**adminToken**; or [log in](/login). Under `--dev` no token is needed.

Each of these operations says which role it needs, also as `x-required-role`. `viewer` reads everything but secrets,
`operator` may also steer deliveries, and `admin` may do everything. The admin token may always do everything.
[Create a token](#/Tokens/createToken) with less for whoever needs less. A token can be for one account; then nothing
else exists for it: other ids get 404, and no list shows them.

An account's app secret token is sent in the header `CL-XTOKEN`. It is good for `POST /server/incoming_data` only.

Every error is a problem (RFC 9457) with a stable `code`.";

/// The operations with nothing behind them, which is enough to describe them.
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

/// Creates the document anew, so that a server needs no memory for a document that nobody reads.
fn make() -> Value {
    let mut document = serde_json::from_str(&document_only().spec()).unwrap_or_default();
    normalise::normalise(&mut document);
    document
}

/// The document, created once for all tests.
#[cfg(test)]
pub fn value() -> &'static Value {
    static VALUE: std::sync::LazyLock<Value> = std::sync::LazyLock::new(make);
    &VALUE
}

/// The document as indented JSON, with a line feed at its end.
pub fn json() -> String {
    format!("{:#}\n", make())
}

/// The document as YAML.
pub fn yaml() -> String {
    yaml::write(&make())
}

/// The Swagger UI page of poem-openapi for a document without operations, and that document as it stands in the page.
pub fn swagger_ui() -> (String, String) {
    let empty = OpenApiService::new((), TITLE, env!("CARGO_PKG_VERSION"));
    (empty.swagger_ui_html(), empty.spec())
}
