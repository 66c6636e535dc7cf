//! Pages for people: what has happened, and how to put it right. Pages are made by the server and work without a
//! script, apart from live updates. What programs use belongs in `api`.
//!
//! Imports go down only: `pages` → `context`, `figure_cache` → `respond`, `form` → `view`, `way_back` → `assets`.

mod assets;
mod context;
mod figure_cache;
mod form;
mod pages;
mod respond;
mod view;
mod way_back;

use std::sync::Arc;

use poem_openapi::OpenApi;

use self::figure_cache::FigureCache;
use self::pages::account::AccountPages;
use self::pages::accounts::AccountsPages;
use self::pages::attention::AttentionPages;
use self::pages::deliveries::DeliveriesPages;
use self::pages::delivery::DeliveryPages;
use self::pages::destination::DestinationPages;
use self::pages::event::EventPages;
use self::pages::live::LivePages;
use self::pages::login::LoginPages;
use self::pages::overview::OverviewPages;
use self::pages::replay::ReplayPages;
use self::pages::start::StartPages;
use self::pages::tokens::TokensPages;
pub use context::{DashboardContext, GuardedStore};
pub use pages::lost::lost;

const GET: &[&str] = &["GET"];
const POST: &[&str] = &["POST"];
const BOTH: &[&str] = &["GET", "POST"];

/// Paths of the pages, and the methods of each path.
pub const PATHS: [(&str, &[&str]); 33] = [
    ("/", GET),
    ("/attention", GET),
    ("/login", BOTH),
    ("/logout", POST),
    ("/start", POST),
    ("/live", GET),
    ("/assets/dashboard.css", GET),
    ("/assets/dashboard.js", GET),
    ("/accounts", BOTH),
    ("/accounts/{account_id}", BOTH),
    ("/accounts/{account_id}/delete", POST),
    ("/accounts/{account_id}/rotate-token", POST),
    ("/accounts/{account_id}/destinations", POST),
    ("/accounts/{account_id}/send", POST),
    ("/destinations/{destination_id}", BOTH),
    ("/destinations/{destination_id}/delete", POST),
    ("/destinations/{destination_id}/pause", POST),
    ("/destinations/{destination_id}/resume", POST),
    ("/destinations/{destination_id}/test", POST),
    ("/destinations/{destination_id}/preview", POST),
    ("/destinations/{destination_id}/signing-secret", POST),
    ("/destinations/{destination_id}/rotate-signing-secret", POST),
    ("/deliveries", GET),
    ("/deliveries/replay", BOTH),
    ("/deliveries/{delivery_id}", GET),
    ("/deliveries/{delivery_id}/retry", POST),
    ("/deliveries/{delivery_id}/cancel", POST),
    ("/events/{event_id}", GET),
    ("/events/{event_id}/document", GET),
    ("/events/{event_id}/replay", POST),
    ("/tokens", BOTH),
    ("/tokens/{token_id}", GET),
    ("/tokens/{token_id}/revoke", POST),
];

/// Handlers of all pages.
pub fn pages(context: Arc<DashboardContext>) -> impl OpenApi + 'static {
    let figures = Arc::new(FigureCache::default());
    let of = || Arc::clone(&context);
    let overview = OverviewPages::new(of(), Arc::clone(&figures));
    (
        (assets::Assets, LoginPages(of()), LivePages(of())),
        (overview, StartPages(of()), AttentionPages(of())),
        (AccountsPages(of()), AccountPages(of()), DestinationPages(of(), figures)),
        (DeliveriesPages(of()), ReplayPages(of()), DeliveryPages(of()), EventPages(of())),
        TokensPages(of()),
    )
}

#[cfg(test)]
mod tests;
