//! Sending many deliveries again: first a page that counts them, then the form that does it.

use std::sync::Arc;

use askama::Template;
use poem::http::StatusCode;
use poem::{Body, Request};
use poem_openapi::OpenApi;

use super::filters::{Filters, read};
use super::{address, query};
use crate::dashboard::context::DashboardContext;
use crate::dashboard::form::Form;
use crate::dashboard::respond::{PageResult, redirect, show};
use crate::dashboard::view::frame::Frame;
use crate::dashboard::view::words;
use crate::domain::access::Role;
use crate::web::problem::ApiError;

#[derive(Template)]
#[template(path = "replay.html")]
struct ReplayPage {
    frame: Frame,
    filters: Vec<(&'static str, String)>,
    count: String,
    is_none: bool,
    list: String,
}

/// Sending many deliveries again.
pub struct ReplayPages(pub Arc<DashboardContext>);

#[OpenApi]
impl ReplayPages {
    #[oai(path = "/deliveries/replay", method = "get", hidden)]
    async fn count(&self, request: &Request) -> PageResult {
        let visitor = self.0.enter(request, Role::Operator)?;
        let mut asked = query(request);
        let mut filter = read(&mut asked, visitor.now);
        check(&asked)?;
        let shown = Filters::shown(&asked);
        let list = address("/deliveries", &shown.pairs());
        // Fixed, so that what is sent is what was counted. A window that moves with the clock would not be.
        filter.until = Some(filter.until.map_or(visitor.now, |until| until.min(visitor.now)));
        let mut filters: Vec<(&str, String)> = shown
            .pairs()
            .into_iter()
            .filter(|(name, _)| !matches!(*name, "within" | "since" | "until"))
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        filters.extend(filter.since.map(|since| ("since", since.to_string())));
        filters.extend(filter.until.map(|until| ("until", until.to_string())));
        let counted = visitor.store.replay_deliveries(filter, true, visitor.now).await?;
        show(&ReplayPage {
            frame: visitor.frame("deliveries"),
            filters,
            is_none: counted.count == 0,
            count: words::at_most(counted),
            list,
        })
    }

    #[oai(path = "/deliveries/replay", method = "post", hidden)]
    async fn replay(&self, request: &Request, body: Body) -> PageResult {
        let visitor = self.0.enter(request, Role::Operator)?;
        let mut form = self.0.form(&visitor, request, body).await?;
        let filter = read(&mut form, visitor.now);
        check(&form)?;
        // The page that counts sets both. A form without them was not made by it, and would send all there is.
        if filter.until.is_none() || Filters::shown(&form).pairs().len() < 2 {
            let detail = "Name what is to be sent again: at least one filter, and `until`.";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail).into());
        }
        visitor.store.replay_deliveries(filter, false, visitor.now).await?;
        // The state of what was sent again is another now, so the list is shown without that filter.
        let shown = Filters::shown(&form);
        let pairs: Vec<_> =
            shown.pairs().into_iter().filter(|(name, _)| !matches!(*name, "state" | "status_code")).collect();
        redirect(&address("/deliveries", &pairs), "replayed")
    }
}

/// A filter that cannot be read must not become one that fits more.
fn check(form: &Form) -> PageResult<()> {
    if form.is_right() {
        return Ok(());
    }
    let wrong = form.other_faults(&[]).join("; ");
    Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_parameter", format!("A filter is wrong: {wrong}.")).into())
}
