//! How the fields of destinations are read from a request body: what JSON each may be. Each function reads the field of
//! its name. The rules for the values themselves belong in `domain`.

use std::time::Duration;

use super::values::DurationText;
use crate::api::request::fields::{self, FieldErrors, Fields, parsed, text, whole};
use crate::api::request::json_tree::Json;
use crate::domain::conditions::Conditions;
use crate::domain::destination::{DestinationFields, MAX_CONCURRENCY, MAX_TIMEOUT};
use crate::domain::event_type::EventTypePatterns;
use crate::domain::filter::Filter;
use crate::domain::headers::Headers;
use crate::domain::network::NetworkPolicy;
use crate::domain::retry::RetrySchedule;
use crate::domain::target_url::TargetUrl;
use crate::domain::template::{Template, TemplateKind};
use crate::domain::templates::{HeaderTemplates, Templates};

pub fn url(network: &NetworkPolicy) -> impl Fn(Json) -> Result<TargetUrl, FieldErrors> {
    move |value| Ok(TargetUrl::parse(&text(value)?, network)?)
}

pub fn headers(value: Json) -> Result<Headers, FieldErrors> {
    let (pairs, wrong) = fields::members(value, "headers", |name, value| Ok((name, text(value)?)))?;
    wrong.and(Headers::parse(pairs))
}

pub fn header_changes(value: Json) -> Result<Vec<(String, Option<String>)>, FieldErrors> {
    let (changes, wrong) = fields::member_changes(value, "headers")?;
    // Errors that do not depend on the destination's present headers are reported together with those of other fields.
    wrong.and(Headers::default().patched(changes.clone())).map(|_| changes)
}

pub fn retry_schedule(value: Json) -> Result<RetrySchedule, FieldErrors> {
    let (delays, wrong) = fields::list(value, "retry_schedule", |delay| Ok(parsed::<DurationText>(delay)?.0))?;
    wrong.and(RetrySchedule::new(delays))
}

pub fn event_types(value: Json) -> Result<EventTypePatterns, FieldErrors> {
    let (patterns, wrong) = fields::list(value, "event_types", text)?;
    wrong.and(EventTypePatterns::parse(patterns))
}

pub fn filter(value: Json) -> Result<Filter, FieldErrors> {
    Ok(Filter::parse(&text(value)?).map_err(|error| error.to_string())?)
}

pub fn body_template(value: Json) -> Result<Template, FieldErrors> {
    Ok(Template::parse(&text(value)?, TemplateKind::Body).map_err(|error| error.to_string())?)
}

pub fn header_templates(value: Json) -> Result<HeaderTemplates, FieldErrors> {
    let (pairs, wrong) = fields::members(value, "header_templates", |name, value| Ok((name, text(value)?)))?;
    wrong.and(HeaderTemplates::parse(pairs))
}

pub fn header_template_changes(value: Json) -> Result<Vec<(String, Option<String>)>, FieldErrors> {
    let (changes, wrong) = fields::member_changes(value, "header_templates")?;
    // Errors that do not depend on the destination's present templates are reported together with those of other fields.
    wrong.and(HeaderTemplates::default().patched(changes.clone())).map(|_| changes)
}

pub fn timeout(value: Json) -> Result<Duration, FieldErrors> {
    whole(1, MAX_TIMEOUT.as_secs())(value).map(Duration::from_secs)
}

pub fn concurrency(value: Json) -> Result<u16, FieldErrors> {
    let number = whole(1, MAX_CONCURRENCY.into())(value)?;
    // The bound was checked, so the number fits.
    Ok(u16::try_from(number).unwrap_or(MAX_CONCURRENCY))
}

/// Reads the fields of a destination that a client may set.
pub fn destination_fields(fields: &mut Fields, network: &NetworkPolicy) -> Option<DestinationFields> {
    let url = fields.required("url", url(network));
    let method = fields.required("http_method", parsed);
    let headers = fields.required("headers", headers);
    let retry_schedule = fields.optional("retry_schedule", retry_schedule);
    let timeout = fields.optional("timeout_seconds", timeout);
    let max_concurrency = fields.optional("max_concurrency", concurrency);
    let rate_limit = fields.optional("rate_limit", parsed);
    let ordering = fields.change("ordering", parsed);
    let on_exhausted = fields.change("on_exhausted", parsed);
    let event_types = fields.optional("event_types", event_types);
    let filter = fields.optional("filter", filter);
    let body_template = fields.optional("body_template", body_template);
    let header_templates = fields.optional("header_templates", header_templates);
    if let (Some(headers), Some(Some(templates))) = (&headers, &header_templates) {
        templates.overlap(headers).into_iter().for_each(|error| fields.add_error(&error.field, &error.message));
    }
    Some(DestinationFields {
        url: url?,
        method: method?,
        headers: headers?,
        retry_schedule: retry_schedule?,
        timeout: timeout?,
        max_concurrency: max_concurrency?,
        rate_limit: rate_limit?,
        ordering: ordering?.unwrap_or_default(),
        on_exhausted: on_exhausted?.unwrap_or_default(),
        conditions: Conditions { event_types: event_types?, filter: filter? },
        templates: Templates { body: body_template?, headers: header_templates?.unwrap_or_default() },
    })
}
