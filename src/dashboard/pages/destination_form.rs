//! The form of a destination's settings, for a new destination and for a change. Which settings are valid is decided in
//! `domain`.

use std::time::Duration;

use crate::dashboard::form::{Field, Form, parsed};
use crate::domain::conditions::Conditions;
use crate::domain::destination::{
    DeliveryOrder, DestinationFields, HttpMethod, MAX_CONCURRENCY, MAX_TIMEOUT, OnExhausted,
};
use crate::domain::duration;
use crate::domain::event_type::EventTypePatterns;
use crate::domain::filter::Filter;
use crate::domain::headers::{Headers, MASK, holds_secret};
use crate::domain::network::NetworkPolicy;
use crate::domain::rate::Rate;
use crate::domain::retry::RetrySchedule;
use crate::domain::target_url::TargetUrl;
use crate::domain::template::{Template, TemplateKind};
use crate::domain::templates::{HeaderTemplates, Templates};

/// Stands for a schedule without delays: each delivery is tried once. An empty field is the server's schedule.
const NO_RETRIES: &str = "none";

/// The form as it is shown.
pub struct DestinationForm {
    /// Target URL.
    pub url: Field,
    /// HTTP method.
    pub http_method: Field,
    /// One header a line: `Name: value`.
    pub headers: Field,
    /// Delays, with commas.
    pub retry_schedule: Field,
    /// Seconds.
    pub timeout_seconds: Field,
    /// Attempts at once.
    pub max_concurrency: Field,
    /// Requests in a period.
    pub rate_limit: Field,
    /// Patterns of types, with commas.
    pub event_types: Field,
    /// Expression.
    pub filter: Field,
    /// Template of the body.
    pub body_template: Field,
    /// One template of a header a line: `Name: template`.
    pub header_templates: Field,
    /// Order of deliveries.
    pub ordering: Field,
    /// What follows an exhausted delivery.
    pub on_exhausted: Field,
    /// Whether the form was sent and has errors.
    pub is_refused: bool,
}

impl Default for DestinationForm {
    fn default() -> Self {
        Self {
            url: Field::new("url", ""),
            http_method: Field::new("http_method", HttpMethod::Post.as_str()),
            headers: Field::new("headers", ""),
            retry_schedule: Field::new("retry_schedule", ""),
            timeout_seconds: Field::new("timeout_seconds", ""),
            max_concurrency: Field::new("max_concurrency", ""),
            rate_limit: Field::new("rate_limit", ""),
            event_types: Field::new("event_types", ""),
            filter: Field::new("filter", ""),
            body_template: Field::new("body_template", ""),
            header_templates: Field::new("header_templates", ""),
            ordering: Field::new("ordering", DeliveryOrder::default().as_str()),
            on_exhausted: Field::new("on_exhausted", OnExhausted::default().as_str()),
            is_refused: false,
        }
    }
}

impl DestinationForm {
    /// The settings of a destination. Values of headers that hold secrets are masked.
    pub fn filled(fields: &DestinationFields) -> Self {
        let schedule = fields.retry_schedule.as_ref().map(|schedule| match schedule.delays() {
            [] => NO_RETRIES.to_owned(),
            delays => delays.iter().map(|delay| duration::format(*delay)).collect::<Vec<_>>().join(","),
        });
        let text = |value: Option<String>| value.unwrap_or_default();
        let (types, filter) = (fields.conditions.event_types.as_ref(), fields.conditions.filter.as_ref());
        Self {
            url: Field::new("url", fields.url.as_str()),
            http_method: Field::new("http_method", fields.method.as_str()),
            headers: Field::new("headers", in_lines(&fields.headers.masked())),
            retry_schedule: Field::new("retry_schedule", text(schedule)),
            timeout_seconds: Field::new("timeout_seconds", text(fields.timeout.map(|time| time.as_secs().to_string()))),
            max_concurrency: Field::new("max_concurrency", text(fields.max_concurrency.map(|most| most.to_string()))),
            rate_limit: Field::new("rate_limit", text(fields.rate_limit.map(|rate| rate.to_string()))),
            event_types: Field::new(
                "event_types",
                text(types.map(|types| types.iter().collect::<Vec<_>>().join(", "))),
            ),
            filter: Field::new("filter", filter.map_or("", Filter::as_str)),
            body_template: Field::new("body_template", fields.templates.body.as_ref().map_or("", Template::as_str)),
            header_templates: Field::new("header_templates", in_lines(&fields.templates.headers.masked())),
            ordering: Field::new("ordering", fields.ordering.as_str()),
            on_exhausted: Field::new("on_exhausted", fields.on_exhausted.as_str()),
            is_refused: false,
        }
    }

    /// The form again, with what was typed and what is wrong with it.
    pub fn again(form: &Form) -> Self {
        Self {
            url: form.field("url"),
            http_method: form.field("http_method"),
            headers: form.field("headers"),
            retry_schedule: form.field("retry_schedule"),
            timeout_seconds: form.field("timeout_seconds"),
            max_concurrency: form.field("max_concurrency"),
            rate_limit: form.field("rate_limit"),
            event_types: form.field("event_types"),
            filter: form.field("filter"),
            body_template: form.field("body_template"),
            header_templates: form.field("header_templates"),
            ordering: form.field("ordering"),
            on_exhausted: form.field("on_exhausted"),
            is_refused: true,
        }
    }

    /// The methods to choose from.
    pub fn methods(&self) -> [&'static str; 5] {
        HttpMethod::ALL.map(HttpMethod::as_str)
    }

    /// The orders to choose from.
    pub fn orders(&self) -> [&'static str; 2] {
        DeliveryOrder::ALL.map(DeliveryOrder::as_str)
    }

    /// The choices of what follows an exhausted delivery.
    pub fn ends(&self) -> [&'static str; 2] {
        OnExhausted::ALL.map(OnExhausted::as_str)
    }
}

/// Reads the settings. A masked value keeps the secret that `old` has under the same name. `None` if something is
/// wrong; the form then has the errors.
pub fn read(form: &mut Form, network: &NetworkPolicy, old: Option<&DestinationFields>) -> Option<DestinationFields> {
    let url = form.required("url", |text| TargetUrl::parse(text, network));
    let method = form.required("http_method", parsed::<HttpMethod>);
    let headers = headers(form, old.map(|fields| &fields.headers));
    let retry_schedule = form.optional("retry_schedule", |text| {
        RetrySchedule::parse(if text.eq_ignore_ascii_case(NO_RETRIES) { "" } else { text })
    });
    let timeout = form.optional("timeout_seconds", |text| whole(text, MAX_TIMEOUT.as_secs()));
    let most = form.optional("max_concurrency", |text| whole(text, u64::from(MAX_CONCURRENCY)));
    let rate_limit = form.optional("rate_limit", Rate::parse);
    let event_types = form.optional("event_types", event_types);
    let filter = form.optional("filter", |text| Filter::parse(&unix_lines(text)).map_err(|error| error.to_string()));
    let body_template = form.optional("body_template", |text| {
        Template::parse(&unix_lines(text), TemplateKind::Body).map_err(|error| error.to_string())
    });
    let header_templates = header_templates(form, headers.as_ref(), old.map(|fields| &fields.templates.headers));
    let ordering = form.optional("ordering", parsed::<DeliveryOrder>);
    let on_exhausted = form.optional("on_exhausted", parsed::<OnExhausted>);
    Some(DestinationFields {
        url: url?,
        method: method?,
        headers: headers?,
        retry_schedule: retry_schedule?,
        timeout: timeout?.map(Duration::from_secs),
        // The bound was checked, so the number fits.
        max_concurrency: most?.map(|most| u16::try_from(most).unwrap_or(MAX_CONCURRENCY)),
        rate_limit: rate_limit?,
        ordering: ordering?.unwrap_or_default(),
        on_exhausted: on_exhausted?.unwrap_or_default(),
        conditions: Conditions { event_types: event_types?, filter: filter? },
        templates: Templates { body: body_template?, headers: header_templates? },
    })
}

/// Browsers send the lines of a text area with CR LF (HTML, 4.10.21.8).
fn unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Reads patterns with commas or white space between them. Of several errors the first is shown.
fn event_types(text: &str) -> Result<EventTypePatterns, String> {
    let patterns = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|pattern| !pattern.is_empty());
    EventTypePatterns::parse(patterns.map(str::to_owned).collect())
        .map_err(|wrong| wrong.into_iter().next().map(|error| error.message).unwrap_or_default())
}

fn whole(text: &str, most: u64) -> Result<u64, String> {
    let wrong = || format!("must be a whole number from 1 to {most}");
    let number: u64 = text.parse().map_err(|_| wrong())?;
    if (1..=most).contains(&number) { Ok(number) } else { Err(wrong()) }
}

fn in_lines(pairs: &[(String, String)]) -> String {
    let lines: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    lines.join("\n")
}

/// Reads one name and value a line. A masked value is replaced by the one that `kept` gives for the name.
fn pairs<'a>(
    form: &mut Form,
    field: &'static str,
    kept: impl Fn(&str) -> Option<&'a str>,
) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut is_right = true;
    for line in form.text(field).lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            is_right = false;
            continue;
        };
        let (name, value) = (name.trim().to_owned(), value.trim());
        let kept = kept(&name).filter(|_| value == MASK && holds_secret(&name));
        pairs.push((name, kept.unwrap_or(value).to_owned()));
    }
    if !is_right {
        form.fault(field, "must have one header a line, such as X-Team: billing");
        return None;
    }
    Some(pairs)
}

fn headers(form: &mut Form, old: Option<&Headers>) -> Option<Headers> {
    let pairs = pairs(form, "headers", |name| old.and_then(|old| old.get(name)))?;
    Headers::parse(pairs).map_err(|faults| form.faults(faults)).ok()
}

fn header_templates(
    form: &mut Form,
    headers: Option<&Headers>,
    old: Option<&HeaderTemplates>,
) -> Option<HeaderTemplates> {
    let pairs = pairs(form, "header_templates", |name| old.and_then(|old| old.get(name)).map(Template::as_str))?;
    let templates = HeaderTemplates::parse(pairs).map_err(|faults| form.faults(faults)).ok()?;
    let overlap = headers.map(|headers| templates.overlap(headers)).unwrap_or_default();
    if overlap.is_empty() {
        return Some(templates);
    }
    form.faults(overlap);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Form {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("url", "https://example.com/")
            .append_pair("http_method", "POST")
            .append_pair("headers", text);
        Form::of(query.finish().as_bytes())
    }

    #[test]
    fn a_masked_secret_that_is_sent_back_stays_as_it_was() {
        let network = NetworkPolicy::new(Vec::new());
        let old = read(&mut typed("Authorization: Bearer abc\nX-Team: a"), &network, None).unwrap();
        let shown = DestinationForm::filled(&old).headers.value;
        assert_eq!(shown, "Authorization: ********\nX-Team: a");
        let new = read(&mut typed(&shown.replace("X-Team: a", "X-Team: b")), &network, Some(&old)).unwrap();
        let pairs: Vec<_> = new.headers.iter().collect();
        assert_eq!(pairs, [("Authorization", "Bearer abc"), ("X-Team", "b")]);
        // Nothing is kept for a header that was not there.
        assert!(read(&mut typed("X-Token: ********"), &network, Some(&old)).is_none());
    }

    #[test]
    fn every_setting_that_is_wrong_says_so() {
        let text = b"url=ftp%3A%2F%2Fx&http_method=HEAD&headers=nonsense&retry_schedule=5x&timeout_seconds=0&max_concurrency=999";
        let mut form = Form::of(text);
        assert!(read(&mut form, &NetworkPolicy::new(Vec::new()), None).is_none());
        let shown = DestinationForm::again(&form);
        for field in [
            shown.url,
            shown.http_method,
            shown.headers,
            shown.retry_schedule,
            shown.timeout_seconds,
            shown.max_concurrency,
        ] {
            assert!(field.fault.is_some(), "{}", field.name);
        }
    }
}
