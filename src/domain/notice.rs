//! Notices: what the server tells of itself, as events of an account. What there is to tell is decided here, from what
//! was seen of the destinations at two moments.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::account::AccountName;
use super::destination::{Pause, PausedReason};
use super::ids::{AccountId, DestinationId, DestinationKey};
use super::target_url::TargetUrl;
use super::time::Timestamp;

/// A destination is told to be failing after nothing but failures for this time.
const FAILING_AFTER: Duration = Duration::from_secs(60);

/// Exhausted deliveries of one destination are told at most once in this time.
const EXHAUSTED_EVERY: Duration = Duration::from_secs(3_600);

/// What began longer ago than this is not told after a start: an Idempotency-Key, by which a notice that was told
/// before the start is recognised, is remembered for so long.
const TOLD_BEFORE: Duration = Duration::from_secs(24 * 3_600);

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// A destination has had nothing but failures for a minute.
    Failing,
    /// A destination that was failing has succeeded.
    Recovered,
    /// A destination was paused.
    Paused,
    /// A destination was resumed.
    Resumed,
    /// Deliveries of a destination are exhausted.
    Exhausted,
    /// Disk space is below the reserve.
    StorageLow,
    /// There is disk space again.
    StorageRecovered,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Failing,
        Self::Recovered,
        Self::Paused,
        Self::Resumed,
        Self::Exhausted,
        Self::StorageLow,
        Self::StorageRecovered,
    ];

    /// The type of the event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "destination.failing",
            Self::Recovered => "destination.recovered",
            Self::Paused => "destination.paused",
            Self::Resumed => "destination.resumed",
            Self::Exhausted => "delivery.exhausted",
            Self::StorageLow => "storage.low",
            Self::StorageRecovered => "storage.recovered",
        }
    }
}

/// A destination that is paused or failing, or whose deliveries became exhausted, as it is now.
#[derive(Debug, Clone)]
pub struct WatchedDestination {
    /// Key of the destination.
    pub key: DestinationKey,
    /// Id of the destination.
    pub id: DestinationId,
    /// Id of its account.
    pub account_id: AccountId,
    /// Name of its account.
    pub account_name: AccountName,
    /// Target URL.
    pub url: TargetUrl,
    /// The pause, if the destination is paused.
    pub pause: Option<Pause>,
    /// Since when attempts have only failed.
    pub failing_since: Option<Timestamp>,
}

/// What was seen at one moment.
#[derive(Debug, Default)]
pub struct Seen {
    /// Destinations that are paused or failing, those that an earlier moment had noted, and those in `exhausted`.
    pub destinations: Vec<WatchedDestination>,
    /// Deliveries that became exhausted, by destination and minute, for at least the last hour.
    pub exhausted: HashMap<(DestinationKey, i64), u64>,
    /// Whether disk space is below the reserve.
    pub storage_is_low: bool,
}

/// One notice.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// Recognises a notice that was told before, also before a restart.
    pub key: String,
    /// The document of the event.
    pub document: Value,
}

/// What was told of a destination.
#[derive(Debug, Default)]
struct Told {
    failing: Option<Timestamp>,
    pause: Option<Pause>,
    exhausted_at: Option<Timestamp>,
    /// Exhausted deliveries that were not told yet.
    exhausted: u64,
}

/// Remembers what was told, and finds what there is to tell.
#[derive(Debug, Default)]
pub struct Watch {
    /// The account that the notices go to. Nothing is told of its own destinations.
    account: Option<AccountId>,
    told: HashMap<DestinationKey, Told>,
    counted: HashMap<(DestinationKey, i64), u64>,
    storage_is_low: bool,
}

impl Watch {
    /// Nothing was told yet. Notices go to `account`.
    pub fn new(account: AccountId) -> Self {
        Self { account: Some(account), ..Self::default() }
    }

    /// The destinations that must be among the next [`Seen::destinations`], however they are then.
    pub fn noted(&self) -> Vec<DestinationKey> {
        self.told.keys().copied().collect()
    }

    /// What there is to tell at `now`.
    pub fn look(&mut self, seen: &Seen, now: Timestamp) -> Vec<Notice> {
        let mut notices = Vec::new();
        if seen.storage_is_low != self.storage_is_low {
            self.storage_is_low = seen.storage_is_low;
            notices.push(of_storage(seen.storage_is_low, now));
        }
        for (key, count) in &seen.exhausted {
            let before = self.counted.insert(*key, *count).unwrap_or(0);
            if *count > before {
                self.told.entry(key.0).or_default().exhausted += count - before;
            }
        }
        // A bucket that is not seen any more is older than an hour.
        self.counted.retain(|key, _| seen.exhausted.contains_key(key));
        let mut destinations: Vec<_> = seen.destinations.iter().collect();
        destinations.sort_unstable_by_key(|destination| destination.key);
        for destination in destinations {
            if self.account.as_ref() == Some(&destination.account_id) {
                self.told.remove(&destination.key);
                continue;
            }
            let told = self.told.entry(destination.key).or_default();
            notices.extend(of_destination(told, destination, now));
            if told.failing.is_none() && told.pause.is_none() && told.exhausted == 0 && told.exhausted_at.is_none() {
                self.told.remove(&destination.key);
            }
        }
        // A destination that was deleted is not seen any more.
        self.told.retain(|key, _| seen.destinations.iter().any(|destination| destination.key == *key));
        notices
    }
}

fn of_destination(told: &mut Told, destination: &WatchedDestination, now: Timestamp) -> Vec<Notice> {
    let mut notices = Vec::new();
    let is_fresh = |since: Timestamp| now.since(since) < TOLD_BEFORE;
    match (told.failing, destination.failing_since) {
        (None, Some(since)) if now.since(since) >= FAILING_AFTER => {
            told.failing = Some(since);
            if is_fresh(since) {
                notices.push(notice(NoticeKind::Failing, destination, since, now, json!({"since": since.to_string()})));
            }
        }
        // A success and new failures between two looks are not told.
        (Some(_), Some(since)) => told.failing = Some(since),
        (Some(since), None) => {
            told.failing = None;
            notices.push(notice(NoticeKind::Recovered, destination, since, now, json!({"since": since.to_string()})));
        }
        (None, _) => {}
    }
    if told.pause != destination.pause {
        if let Some(before) = told.pause.filter(|_| destination.pause.is_none()) {
            notices.push(notice(NoticeKind::Resumed, destination, before.at, now, json!({})));
        }
        if let Some(pause) = destination.pause.filter(|pause| is_fresh(pause.at)) {
            let reason = json!({"paused_reason": pause.reason.as_str()});
            notices.push(notice(NoticeKind::Paused, destination, pause.at, now, reason));
        }
        told.pause = destination.pause;
    }
    let may_tell = told.exhausted_at.is_none_or(|at| now.since(at) >= EXHAUSTED_EVERY);
    if may_tell {
        told.exhausted_at = None;
        if told.exhausted > 0 {
            let count = json!({"count": std::mem::take(&mut told.exhausted)});
            told.exhausted_at = Some(now);
            // By the hour: after a restart in the same hour the notice is recognised as told.
            let hour = Timestamp::from_millis(now.millis() - now.millis() % 3_600_000);
            notices.push(notice(NoticeKind::Exhausted, destination, hour, now, count));
        }
    }
    notices
}

fn notice(kind: NoticeKind, destination: &WatchedDestination, since: Timestamp, now: Timestamp, more: Value) -> Notice {
    let (why, what_to_do) = words(kind, destination.pause.map(|pause| pause.reason));
    let mut document = json!({
        "type": kind.as_str(),
        "at": now.to_string(),
        "account_id": destination.account_id.as_str(),
        "account_name": destination.account_name.as_str(),
        "destination_id": destination.id.as_str(),
        "url": destination.url.as_str().split('?').next(),
        "why": why,
        "what_to_do": what_to_do,
    });
    if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
        document.extend(more);
    }
    Notice { kind, key: format!("{} {} {}", kind.as_str(), destination.id, since.millis()), document }
}

fn of_storage(is_low: bool, now: Timestamp) -> Notice {
    let kind = if is_low { NoticeKind::StorageLow } else { NoticeKind::StorageRecovered };
    let (why, what_to_do) = words(kind, None);
    let document = json!({"type": kind.as_str(), "at": now.to_string(), "why": why, "what_to_do": what_to_do});
    Notice { kind, key: format!("{} {}", kind.as_str(), now.millis()), document }
}

/// Why a notice is told, and what to do.
fn words(kind: NoticeKind, paused: Option<PausedReason>) -> (&'static str, &'static str) {
    match (kind, paused) {
        (NoticeKind::Failing, _) => (
            "All attempts have failed for a minute or longer.",
            "Look at the destination's deliveries for the error, and mend the receiver or the settings.",
        ),
        (NoticeKind::Recovered, _) => {
            ("An attempt has succeeded again.", "Nothing. Pending deliveries are being sent.")
        }
        (NoticeKind::Resumed, _) => ("The destination was resumed.", "Nothing. Pending deliveries are being sent."),
        (NoticeKind::Exhausted, _) => (
            "All attempts of the retry schedule failed, or no request could be made.",
            "Mend the cause, then replay the destination's exhausted deliveries.",
        ),
        (NoticeKind::StorageLow, _) => (
            "Free disk space is below the reserve. New events are refused.",
            "Make room on the disk of the database, or shorten --retention.",
        ),
        (NoticeKind::StorageRecovered, _) => ("There is disk space again.", "Nothing. New events are accepted."),
        (NoticeKind::Paused, Some(PausedReason::Manual)) => ("Somebody paused it.", "Resume it when it may go on."),
        (NoticeKind::Paused, Some(PausedReason::Gone)) => {
            ("The receiver answered 410 Gone.", "Check the URL, then resume the destination.")
        }
        (NoticeKind::Paused, Some(PausedReason::Failing)) => {
            ("All attempts failed for the time of --pause-after.", "Mend the receiver, then resume the destination.")
        }
        (NoticeKind::Paused, Some(PausedReason::SecretsUnreadable)) => (
            "Its secrets cannot be opened with the server's key.",
            "Replace the destination by a PUT with all its headers, and rotate its signing secret.",
        ),
        (NoticeKind::Paused, Some(PausedReason::Exhausted | PausedReason::OrderBlocked) | None) => (
            "A delivery is exhausted, and the destination pauses then.",
            "Mend the cause, retry or cancel the delivery, then resume the destination.",
        ),
    }
}

#[cfg(test)]
mod tests;
