//! The form of a destination's settings, for a new destination and for a change. Which settings are valid is decided in
//! `domain`.

use std::time::Duration;

use crate::dashboard::form::{Field, Form, parsed};
use crate::domain::destination::{
    DeliveryOrder, DestinationFields, HttpMethod, MAX_CONCURRENCY, MAX_TIMEOUT, OnExhausted,
};
use crate::domain::duration;
use crate::domain::headers::{Headers, MASK, holds_secret};
use crate::domain::network::NetworkPolicy;
use crate::domain::rate::Rate;
use crate::domain::retry::RetrySchedule;
use crate::domain::target_url::TargetUrl;

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
        let lines: Vec<String> =
            fields.headers.masked().iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let text = |value: Option<String>| value.unwrap_or_default();
        Self {
            url: Field::new("url", fields.url.as_str()),
            http_method: Field::new("http_method", fields.method.as_str()),
            headers: Field::new("headers", lines.join("\n")),
            retry_schedule: Field::new("retry_schedule", text(schedule)),
            timeout_seconds: Field::new("timeout_seconds", text(fields.timeout.map(|time| time.as_secs().to_string()))),
            max_concurrency: Field::new("max_concurrency", text(fields.max_concurrency.map(|most| most.to_string()))),
            rate_limit: Field::new("rate_limit", text(fields.rate_limit.map(|rate| rate.to_string()))),
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
    })
}

fn whole(text: &str, most: u64) -> Result<u64, String> {
    let wrong = || format!("must be a whole number from 1 to {most}");
    let number: u64 = text.parse().map_err(|_| wrong())?;
    if (1..=most).contains(&number) { Ok(number) } else { Err(wrong()) }
}

fn headers(form: &mut Form, old: Option<&Headers>) -> Option<Headers> {
    let mut pairs = Vec::new();
    let mut wrong = Vec::new();
    for line in form.text("headers").lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            wrong.push("must have one header a line, such as X-Team: billing");
            continue;
        };
        let (name, value) = (name.trim().to_owned(), value.trim());
        let kept = old.and_then(|old| old.get(&name)).filter(|_| value == MASK && holds_secret(&name));
        pairs.push((name, kept.unwrap_or(value).to_owned()));
    }
    // Each kind of error is said once.
    if let Some(message) = wrong.first() {
        form.fault("headers", *message);
        return None;
    }
    Headers::parse(pairs).map_err(|faults| form.faults(faults)).ok()
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
