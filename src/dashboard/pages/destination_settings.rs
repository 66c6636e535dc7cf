//! The settings of a destination, for those who may read and not change them. The form is in `destination_form`.

use super::destination_form::DestinationForm;
use crate::domain::destination::DestinationFields;

/// The settings that are set, with their names, for those who may not change them. Values of headers that hold secrets
/// are masked.
pub fn read_only(fields: &DestinationFields) -> Vec<(&'static str, String)> {
    let form = DestinationForm::filled(fields);
    let named = [
        ("URL", form.url),
        ("Method", form.http_method),
        ("Headers", form.headers),
        ("Event types", form.event_types),
        ("Filter", form.filter),
        ("Body template", form.body_template),
        ("Header templates", form.header_templates),
        ("Retry schedule", form.retry_schedule),
        ("Timeout in seconds", form.timeout_seconds),
        ("Attempts at once", form.max_concurrency),
        ("Rate limit", form.rate_limit),
        ("Order", form.ordering),
        ("When a delivery is exhausted", form.on_exhausted),
    ];
    named.into_iter().map(|(name, field)| (name, field.value)).filter(|(_, value)| !value.is_empty()).collect()
}
