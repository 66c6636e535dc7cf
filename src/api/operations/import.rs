//! Takes in accounts for `data-pusher import` while the server runs. The OpenAPI document does not list this: the caller
//! must be able to read the login file, so it is a program of the same user on this machine.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::{Body, Request};
use poem_openapi::OpenApi;

use crate::api::context::ApiContext;
use crate::api::model::export;
use crate::api::model::import_report::ImportReport;
use crate::api::model::sealed_export::Reader;
use crate::api::paths::Undocumented;
use crate::api::responses;
use crate::web::body::media_type::{self, Accepts};
use crate::web::body::{self, BodyLimits};
use crate::web::problem::ApiResult;
use crate::web::static_page::Page;

/// Path of the operation.
pub const PATH: &str = "/import";

/// Path and method.
pub const PATHS: [Undocumented; 1] = [(PATH, &["POST"])];

/// Header that asks to leave out accounts of which something exists already.
pub const SKIP_EXISTING: &str = "Skip-Existing";

/// Header with a challenge. The body of the response is then the answer, and nothing is imported: before the caller sends
/// secrets, it makes sure that this is the server whose login file it has read.
pub const CHALLENGE: &str = "Import-Challenge";

/// Longest document, in bytes: about 20,000 destinations. While they are written, events wait.
pub const MAX_BYTES: usize = 16 << 20;

/// Takes in accounts.
pub struct ImportApi(pub Arc<ApiContext>);

#[OpenApi]
impl ImportApi {
    #[oai(path = "/import", method = "post", hidden)]
    async fn import(&self, request: &Request, body: Body) -> ApiResult<Page> {
        let context = &self.0;
        let now = (context.clock)();
        context.access.authenticate_by_code(request.headers(), now).await?;
        if let Some(challenge) = request.headers().get(CHALLENGE) {
            let answer = challenge.to_str().ok().and_then(|challenge| context.access.answer(challenge));
            return Ok(Page(responses::json(StatusCode::OK, &answer)));
        }
        media_type::check(request.headers(), Accepts::Json)?;
        let limits = BodyLimits { bytes: MAX_BYTES, ..context.bodies.clone() };
        let (bytes, memory) = body::read(body, request.headers(), &limits).await?;
        let (network, keys) = (Arc::clone(&context.network), context.store.secrets_keys().clone());
        let export = context.store.run_yielding(move || {
            let _memory = memory;
            export::read(&bytes, &network, &keys, Reader::Server)
        });
        let export = export.await??;
        let skip_existing = request.headers().contains_key(SKIP_EXISTING);
        let imported = context.store.import_accounts(export, skip_existing, now).await?;
        tracing::info!(accounts = imported.accounts, destinations = imported.destinations, "accounts were imported");
        Ok(Page(responses::json(StatusCode::OK, &ImportReport::from(imported))))
    }
}
