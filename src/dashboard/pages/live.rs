//! The stream that tells a page that something has changed, as server-sent events. It holds no data: the page is read
//! again then. So one page costs at most one reading a second, however many deliveries there are.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use poem::Request;
use poem::web::sse::Event;
use poem_openapi::OpenApi;
use serde_json::json;

use super::query;
use crate::dashboard::context::DashboardContext;
use crate::dashboard::respond::{PageError, PageResult};
use crate::domain::access::Role;
use crate::store::CountSubscription;
use crate::web::event_stream;
use crate::web::static_page::Page;

/// Pause between two messages of a stream.
const PACE: Duration = Duration::from_secs(1);

/// The stream for live pages.
pub struct LivePages(pub Arc<DashboardContext>);

#[OpenApi]
impl LivePages {
    #[oai(path = "/live", method = "get", hidden)]
    async fn stream(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Viewer)?;
        let mut asked = query(request);
        let account = asked.optional("account_id", str::parse).flatten();
        let destination = asked.optional("destination_id", str::parse).flatten();
        if !asked.is_right() {
            return Err(PageError::not_found("account or destination"));
        }
        let follow = visitor.store.follow_counts(account, destination).await?;
        let events = events(Following { follow, over: Box::pin(visitor.over()), begun: false, ended: false });
        Ok(Page(event_stream::respond(events)))
    }
}

/// A page that follows.
struct Following {
    follow: CountSubscription,
    /// Resolves when the visitor may not follow any longer.
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    begun: bool,
    ended: bool,
}

fn events(following: Following) -> impl Stream<Item = Event> + Send {
    stream::unfold(following, async |mut page| {
        if page.ended {
            return None;
        }
        let next = async {
            if page.begun {
                tokio::time::sleep(PACE).await;
            }
            page.follow.next().await
        };
        let event = tokio::select! {
            // Only this end is told to the page. After every other end the browser connects again.
            () = &mut page.over => {
                page.ended = true;
                Event::message("{}").event_type("over")
            }
            counts = next => {
                let counts = counts.inspect_err(|error| {
                    tracing::warn!(error = error.detail(), "a live page ends early");
                });
                let counts = counts.ok()??;
                page.begun = true;
                let data = json!({
                    "created": counts.created, "changed": counts.changed, "destinations": counts.destinations
                });
                Event::message(data.to_string()).event_type("changed")
            }
        };
        Some((event, page))
    })
}
