//! The filters of the log of deliveries: what an address holds, and what a form shows.

use std::time::Duration;

use crate::dashboard::form::{Field, Form, parsed};
use crate::dashboard::view::words;
use crate::domain::duration;
use crate::domain::time::Timestamp;
use crate::store::DeliveryFilter;

/// Names of all filters.
const NAMES: [&str; 10] =
    ["account_id", "destination_id", "event_id", "event_type", "state", "status_code", "since", "until", "within", "q"];

/// Windows to choose from: value in the address, and words.
pub const WITHIN: [(&str, &str); 5] =
    [("", "any time"), ("1h", "last hour"), ("1d", "last day"), ("7d", "last 7 days"), ("30d", "last 30 days")];

/// The filters of the address, as they are shown and passed on.
#[derive(Default)]
pub struct Filters {
    /// Account.
    pub account_id: Field,
    /// Destination.
    pub destination_id: Field,
    /// Event.
    pub event_id: Field,
    /// Type of the event.
    pub event_type: Field,
    /// State.
    pub state: Field,
    /// Status of the last attempt.
    pub status_code: Field,
    /// Received at this time or later.
    pub since: Field,
    /// Received before this time.
    pub until: Field,
    /// Received within this time before now.
    pub within: Field,
    /// Text in the document.
    pub q: Field,
    /// What is wrong with the place in the list.
    pub others: Vec<String>,
}

/// Reads the filters. All of them count, so of `within` and `since` the later time does. Errors are in the form.
pub fn read(asked: &mut Form, now: Timestamp) -> DeliveryFilter {
    let within = asked.optional("within", duration::parse).flatten();
    let since = asked.optional("since", parsed::<Timestamp>).flatten();
    DeliveryFilter {
        account_id: asked.optional("account_id", parsed).flatten(),
        destination_id: asked.optional("destination_id", parsed).flatten(),
        event_id: asked.optional("event_id", parsed).flatten(),
        event_type: asked.optional("event_type", parsed).flatten(),
        state: asked.optional("state", parsed).flatten(),
        status_code: asked.optional("status_code", status).flatten(),
        since: since.max(within.map(|within: Duration| now.minus(within))),
        until: asked.optional("until", parsed::<Timestamp>).flatten(),
    }
}

fn status(text: &str) -> Result<u16, String> {
    let wrong = || "must be a status from 100 to 599".to_owned();
    text.parse().ok().filter(|status| (100..=599).contains(status)).ok_or_else(wrong)
}

impl Filters {
    /// The filters as they were given.
    pub fn shown(asked: &Form) -> Self {
        Self {
            account_id: asked.field("account_id"),
            destination_id: asked.field("destination_id"),
            event_id: asked.field("event_id"),
            event_type: asked.field("event_type"),
            state: asked.field("state"),
            status_code: asked.field("status_code"),
            since: asked.field("since"),
            until: asked.field("until"),
            within: asked.field("within"),
            q: asked.field("q"),
            others: asked
                .other_faults(&NAMES)
                .iter()
                .map(|fault| words::sentence(&format!("this place {fault}")))
                .collect(),
        }
    }

    /// Name and value of each filter that is set.
    pub fn pairs(&self) -> Vec<(&'static str, &str)> {
        let all = [
            &self.account_id,
            &self.destination_id,
            &self.event_id,
            &self.event_type,
            &self.state,
            &self.status_code,
            &self.since,
            &self.until,
            &self.within,
        ];
        let pairs = all.into_iter().map(|field| (field.name, field.value.trim()));
        pairs.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// Whether something is wrong that keeps a search from being made.
    pub fn is_wrong(&self) -> bool {
        self.account_id.fault.is_some() || self.q.fault.is_some() || !self.others.is_empty()
    }

    /// Windows to choose from, with the one in the address.
    pub fn windows(&self) -> Vec<(String, String)> {
        let given = self.within.value.trim();
        let known = WITHIN.into_iter().map(|(value, words)| (value.to_owned(), words.to_owned()));
        let is_known = WITHIN.iter().any(|(value, _)| *value == given);
        known.chain((!is_known).then(|| (given.to_owned(), format!("last {given}")))).collect()
    }

    /// Whether only the account and the destination narrow the list, as they narrow the live updates.
    pub fn is_narrow(&self) -> bool {
        self.pairs().iter().any(|(name, _)| !matches!(*name, "account_id" | "destination_id"))
    }

    /// Whether a filter is set that stands in the second row, which is closed otherwise.
    pub fn has_more(&self) -> bool {
        [&self.event_id, &self.status_code, &self.since, &self.until].iter().any(|field| !field.value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::DeliveryState;

    #[test]
    fn the_address_holds_the_whole_view() {
        let mut asked = Form::of(b"state=exhausted&status_code=503&within=1h&other=x");
        let now = Timestamp::from_millis(7_200_000);
        let filter = read(&mut asked, now);
        assert!(asked.is_right());
        assert_eq!((filter.state, filter.status_code), (Some(DeliveryState::Exhausted), Some(503)));
        assert_eq!(filter.since, Some(Timestamp::from_millis(3_600_000)));
        let filters = Filters::shown(&asked);
        assert_eq!(filters.pairs(), [("state", "exhausted"), ("status_code", "503"), ("within", "1h")]);
        assert!(filters.is_narrow() && filters.windows().len() == WITHIN.len());
    }

    #[test]
    fn of_two_earliest_times_the_later_one_counts() {
        let (now, hour) = (Timestamp::from_millis(7_200_000), Timestamp::from_millis(3_600_000));
        let since = |query: &str| read(&mut Form::of(query.as_bytes()), now).since;
        assert_eq!(since("within=1h&since=1970-01-01T00:30:00Z"), Some(hour));
        assert_eq!(since("within=1h&since=1970-01-01T01:30:00Z"), Some(Timestamp::from_millis(5_400_000)));
        assert_eq!(since("since=1970-01-01T00:30:00Z"), Some(Timestamp::from_millis(1_800_000)));
        assert_eq!((since("within=1h"), since("")), (Some(hour), None));
    }

    #[test]
    fn a_wrong_filter_is_said_at_its_field() {
        let mut asked = Form::of(b"state=lost&status_code=9&since=yesterday");
        read(&mut asked, Timestamp::EPOCH);
        let filters = Filters::shown(&asked);
        for field in [filters.state, filters.status_code, filters.since] {
            assert!(field.fault.is_some(), "{}", field.name);
        }
    }
}
