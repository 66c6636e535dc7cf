//! Destinations and their fields: where an account's events are sent, and how.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::conditions::Conditions;
use super::event_type::EventTypePatterns;
use super::filter::Filter;
use super::headers::Headers;
use super::ids::{AccountId, AccountKey, DestinationId, DestinationKey};
use super::rate::Rate;
use super::retry::RetrySchedule;
use super::secret::SigningSecret;
use super::string_enum::words;
use super::target_url::TargetUrl;
use super::template::Template;
use super::templates::{HeaderTemplateChanges, HeaderTemplates, Templates};
use super::time::Timestamp;

/// Most destinations of one account.
pub const MAX_PER_ACCOUNT: usize = 1_000;

/// Longest timeout that a destination may have.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(300);

/// Most attempts at once that a destination may ask for.
pub const MAX_CONCURRENCY: u16 = 256;

/// How long the previous signing secret still signs after a rotation, in addition to the current one.
pub const ROTATION_OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// HTTP method of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    /// The document is sent as query parameters, without a body.
    Get,
    /// The document is sent as the body.
    Post,
    /// The document is sent as the body.
    Put,
    /// The document is sent as the body.
    Patch,
    /// The document is sent as the body.
    Delete,
}

impl HttpMethod {
    /// Every method.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// Name of the method in HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Why a destination is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedReason {
    /// Paused manually.
    Manual,
    /// The destination responded with 410 Gone.
    Gone,
    /// Attempts only failed, for as long as the server's setting `--pause-after` says.
    Failing,
    /// A delivery is exhausted, and the destination asks for a pause then.
    Exhausted,
    /// A delivery is exhausted, and the destination asks for a pause then and for strict order: later deliveries must
    /// not overtake the exhausted one.
    OrderBlocked,
    /// A secret of the destination cannot be opened with the server's key. This is found when the destination is read,
    /// and is never stored.
    SecretsUnreadable,
}

impl PausedReason {
    /// Every reason that is stored.
    pub const ALL: [Self; 5] = [Self::Manual, Self::Gone, Self::Failing, Self::Exhausted, Self::OrderBlocked];

    /// The word for this reason in the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Gone => "gone",
            Self::Failing => "failing",
            Self::Exhausted => "exhausted",
            Self::OrderBlocked => "order_blocked",
            Self::SecretsUnreadable => "secrets_unreadable",
        }
    }
}

/// In which order a destination gets its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeliveryOrder {
    /// Several at once, and later ones do not wait for the retries of earlier ones.
    #[default]
    None,
    /// By event id, one at a time. The next begins when the one before has succeeded, or is cancelled or exhausted.
    Strict,
}

impl DeliveryOrder {
    /// Every order.
    pub const ALL: [Self; 2] = [Self::None, Self::Strict];

    /// The word for this order in the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Strict => "strict",
        }
    }
}

/// What follows for a destination when a delivery is exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExhausted {
    /// Its other deliveries go on.
    #[default]
    Continue,
    /// The destination is paused, so that somebody looks first. Nothing is lost.
    Pause,
}

impl OnExhausted {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Continue, Self::Pause];

    /// The word for this choice in the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Pause => "pause",
        }
    }
}

words!(PausedReason, DeliveryOrder, OnExhausted);

impl fmt::Display for HttpMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for HttpMethod {
    type Err = String;

    /// In any case of letters, though HTTP itself has none but capital ones.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL
            .into_iter()
            .find(|method| method.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("must be one of {}", all()))
    }
}

/// A pause and its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Why the destination is paused.
    pub reason: PausedReason,
    /// When the pause began.
    pub at: Timestamp,
}

/// The fields of a destination that a client may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationFields {
    /// Target URL.
    pub url: TargetUrl,
    /// HTTP method.
    pub method: HttpMethod,
    /// Headers that are sent in addition to the default ones, or in place of them.
    pub headers: Headers,
    /// Replaces the server's schedule.
    pub retry_schedule: Option<RetrySchedule>,
    /// Replaces the server's timeout. Whole seconds.
    pub timeout: Option<Duration>,
    /// Replaces the server's limit of attempts at once.
    pub max_concurrency: Option<u16>,
    /// Most requests that may begin in a period. `None` for no limit.
    pub rate_limit: Option<Rate>,
    /// Order of deliveries.
    pub ordering: DeliveryOrder,
    /// What follows when a delivery is exhausted.
    pub on_exhausted: OnExhausted,
    /// Which events are for the destination.
    pub conditions: Conditions,
    /// What is sent in place of the document, and headers made for each event.
    pub templates: Templates,
}

impl DestinationFields {
    /// Settings with only what every destination needs.
    pub fn new(url: TargetUrl, method: HttpMethod, headers: Headers) -> Self {
        Self {
            url,
            method,
            headers,
            retry_schedule: None,
            timeout: None,
            max_concurrency: None,
            rate_limit: None,
            ordering: DeliveryOrder::default(),
            on_exhausted: OnExhausted::default(),
            conditions: Conditions::default(),
            templates: Templates::default(),
        }
    }
}

/// A partial change (RFC 7396). `None` leaves a field as it is, and `Some(None)` clears it.
#[derive(Debug, Clone, Default)]
pub struct DestinationPatch {
    /// New URL.
    pub url: Option<TargetUrl>,
    /// New method.
    pub method: Option<HttpMethod>,
    /// Headers to set, or to remove where the value is `None`.
    pub headers: Vec<(String, Option<String>)>,
    /// New schedule.
    pub retry_schedule: Option<Option<RetrySchedule>>,
    /// New timeout.
    pub timeout: Option<Option<Duration>>,
    /// New limit of attempts at once.
    pub max_concurrency: Option<Option<u16>>,
    /// New rate limit.
    pub rate_limit: Option<Option<Rate>>,
    /// New order.
    pub ordering: Option<DeliveryOrder>,
    /// New choice.
    pub on_exhausted: Option<OnExhausted>,
    /// New patterns of types.
    pub event_types: Option<Option<EventTypePatterns>>,
    /// New filter.
    pub filter: Option<Option<Filter>>,
    /// New template of the body.
    pub body_template: Option<Option<Template>>,
    /// Header templates to set, or to remove where the source is `None`. `Some(None)` removes all.
    pub header_templates: Option<Option<HeaderTemplateChanges>>,
}

impl DestinationPatch {
    /// The fields after the change.
    ///
    /// # Errors
    /// Every error in the headers and header templates that the change would result in.
    pub fn apply(self, fields: &DestinationFields) -> Result<DestinationFields, Vec<crate::error::FieldError>> {
        let header_templates = match self.header_templates {
            None => fields.templates.headers.clone(),
            Some(None) => HeaderTemplates::default(),
            Some(Some(changes)) => fields.templates.headers.patched(changes)?,
        };
        let fields = DestinationFields {
            url: self.url.unwrap_or_else(|| fields.url.clone()),
            method: self.method.unwrap_or(fields.method),
            headers: fields.headers.patched(self.headers)?,
            retry_schedule: self.retry_schedule.unwrap_or_else(|| fields.retry_schedule.clone()),
            timeout: self.timeout.unwrap_or(fields.timeout),
            max_concurrency: self.max_concurrency.unwrap_or(fields.max_concurrency),
            rate_limit: self.rate_limit.unwrap_or(fields.rate_limit),
            ordering: self.ordering.unwrap_or(fields.ordering),
            on_exhausted: self.on_exhausted.unwrap_or(fields.on_exhausted),
            conditions: Conditions {
                event_types: self.event_types.unwrap_or_else(|| fields.conditions.event_types.clone()),
                filter: self.filter.unwrap_or_else(|| fields.conditions.filter.clone()),
            },
            templates: Templates {
                body: self.body_template.unwrap_or_else(|| fields.templates.body.clone()),
                headers: header_templates,
            },
        };
        let overlap = fields.templates.headers.overlap(&fields.headers);
        if overlap.is_empty() { Ok(fields) } else { Err(overlap) }
    }
}

/// The secrets that sign the requests to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSecrets {
    /// The current secret.
    pub current: SigningSecret,
    /// The previous secret, and the time until which it signs too.
    pub previous: Option<(SigningSecret, Timestamp)>,
}

impl SigningSecrets {
    /// The secrets that sign at `now`, the current one first.
    pub fn valid_at(&self, now: Timestamp) -> impl Iterator<Item = &SigningSecret> {
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
        std::iter::once(&self.current).chain(previous)
    }
}

/// A destination as it is read.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Key inside the database file.
    pub key: DestinationKey,
    /// Public id.
    pub id: DestinationId,
    /// Key of its account.
    pub account_key: AccountKey,
    /// Public id of its account.
    pub account_id: AccountId,
    /// The fields that the client set.
    pub fields: DestinationFields,
    /// Signing secrets.
    pub secrets: SigningSecrets,
    /// The pause, if the destination is paused.
    pub pause: Option<Pause>,
    /// Time until which the destination is held back, because of `Retry-After`.
    pub held_until: Option<Timestamp>,
    /// Since when attempts have only failed.
    pub failing_since: Option<Timestamp>,
    /// When the destination was created.
    pub created_at: Timestamp,
    /// When the destination was last changed.
    pub updated_at: Timestamp,
}

impl Destination {
    /// Whether its secrets were read. Otherwise headers and signing secrets are not the destination's own.
    pub fn has_secrets(&self) -> bool {
        self.pause.is_none_or(|pause| pause.reason != PausedReason::SecretsUnreadable)
    }
}

#[cfg(test)]
impl DestinationFields {
    /// What a client sets who sets nothing but the URL, with POST.
    pub fn example(url: &str) -> Self {
        Self::new(TargetUrl::from_stored(url.to_owned()), HttpMethod::Post, Headers::default())
    }
}

#[cfg(test)]
impl Destination {
    /// A new destination of account 1.
    pub fn example(key: DestinationKey, url: &str) -> Self {
        Self {
            key,
            id: DestinationId::generate(),
            account_key: AccountKey(1),
            account_id: AccountId::generate(),
            fields: DestinationFields::example(url),
            secrets: SigningSecrets { current: SigningSecret::generate(), previous: None },
            pause: None,
            held_until: None,
            failing_since: None,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_secrets_sign_until_the_overlap_ends() {
        let secret = |byte| SigningSecret::from_bytes([byte; 32]);
        let until = Timestamp::from_millis(1_000);
        let secrets = SigningSecrets { current: secret(1), previous: Some((secret(2), until)) };
        assert_eq!(secrets.valid_at(Timestamp::from_millis(999)).collect::<Vec<_>>(), [&secret(1), &secret(2)]);
        assert_eq!(secrets.valid_at(until).collect::<Vec<_>>(), [&secret(1)]);
    }

    #[test]
    fn methods_are_read_as_http_writes_them() {
        assert_eq!("PUT".parse(), Ok(HttpMethod::Put));
        assert_eq!("put".parse(), Ok(HttpMethod::Put));
        assert!("HEAD".parse::<HttpMethod>().is_err() && "".parse::<HttpMethod>().is_err());
    }
}
