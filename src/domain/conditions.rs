//! Which events are for a destination: its event types and its filter, asked once when an event is accepted.

use super::event_type::{EventType, EventTypePatterns};
use super::filter::{Filter, FilterSet, FilteredEvent};
use super::ids::AccountId;
use super::string_enum::words;
use super::time::Timestamp;

/// Why an event is not for a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// Its type matches none of the destination's patterns, or the event has no type.
    EventType,
    /// The destination's filter is false for the event.
    Filter,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 2] = [Self::EventType, Self::Filter];

    /// The word for this reason in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventType => "event_type",
            Self::Filter => "filter",
        }
    }
}

words!(SkipReason);

/// What an event must be like for one destination. Without conditions every event is for the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Patterns of types. `None`: events of every type, and those without one.
    pub event_types: Option<EventTypePatterns>,
    /// An expression that must be true. `None`: every event.
    pub filter: Option<Filter>,
}

impl Conditions {
    fn are_any(&self) -> bool {
        self.event_types.is_some() || self.filter.is_some()
    }
}

/// An event before it is accepted, as conditions see it.
#[derive(Debug, Clone, Copy)]
pub struct AskedEvent<'a> {
    /// The document: valid JSON.
    pub document: &'a [u8],
    /// Type of the event.
    pub event_type: Option<&'a EventType>,
    /// When the event was received.
    pub received_at: Timestamp,
}

/// The conditions of all destinations of an account, in the order of their keys.
#[derive(Debug)]
pub struct AccountConditions {
    account: AccountId,
    each: Vec<Conditions>,
    /// The filters of `each`, without the gaps.
    filters: FilterSet,
}

/// Two are equal if they have the same verdicts for every event.
impl PartialEq for AccountConditions {
    fn eq(&self, other: &Self) -> bool {
        self.account == other.account && self.each == other.each
    }
}

impl AccountConditions {
    /// The conditions of destinations in this order. `None` if there are none at all, so that nobody need ask.
    pub fn new(account: AccountId, each: Vec<Conditions>) -> Option<Self> {
        let filters = FilterSet::new(each.iter().filter_map(|one| one.filter.as_ref()));
        each.iter().any(Conditions::are_any).then_some(Self { account, each, filters })
    }

    /// How many filters there are.
    pub fn filter_count(&self) -> usize {
        self.each.iter().filter(|one| one.filter.is_some()).count()
    }

    /// Says for each destination, in order, why the event is not for it. `None`: the event is for it.
    pub fn ask(&self, event: &AskedEvent<'_>) -> Vec<Option<SkipReason>> {
        let answers = if self.filters.is_empty() {
            Vec::new()
        } else {
            let received_at = event.received_at.to_string();
            self.filters.matches(&FilteredEvent {
                document: event.document,
                event_type: event.event_type.map(EventType::as_str),
                received_at: &received_at,
                account_id: self.account.as_str(),
            })
        };
        let mut answers = answers.into_iter();
        self.each
            .iter()
            .map(|one| {
                // The answers are those of the destinations that have a filter.
                let is_filtered_out = one.filter.is_some() && answers.next() == Some(false);
                let is_of_type = one.event_types.as_ref().is_none_or(|types| types.match_type(event.event_type));
                match (is_of_type, is_filtered_out) {
                    (false, _) => Some(SkipReason::EventType),
                    (true, true) => Some(SkipReason::Filter),
                    (true, false) => None,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(types: &[&str], filter: &str) -> Conditions {
        let types = types.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>();
        Conditions {
            event_types: (!types.is_empty()).then(|| EventTypePatterns::parse(types).unwrap()),
            filter: (!filter.is_empty()).then(|| Filter::parse(filter).unwrap()),
        }
    }

    #[test]
    fn each_destination_is_answered_in_its_place_and_the_type_is_asked_first() {
        let paid = "data.status == 'paid'";
        let all = AccountConditions::new(
            AccountId::generate(),
            vec![
                conditions(&[], ""),
                conditions(&["order.*"], paid),
                conditions(&["user.*"], "data.status == 'open'"),
                conditions(&[], "data.status == 'open'"),
                conditions(&["order.paid"], ""),
                conditions(&[], paid),
            ],
        )
        .unwrap();
        let event_type = "order.paid".parse().unwrap();
        let asked = AskedEvent {
            document: br#"{"status":"paid"}"#,
            event_type: Some(&event_type),
            received_at: Timestamp::EPOCH,
        };
        assert_eq!(all.ask(&asked), [None, None, Some(SkipReason::EventType), Some(SkipReason::Filter), None, None]);
        let untyped = AskedEvent { event_type: None, ..asked };
        let by_type = Some(SkipReason::EventType);
        assert_eq!(all.ask(&untyped), [None, by_type, by_type, Some(SkipReason::Filter), by_type, None]);
    }

    #[test]
    fn destinations_without_conditions_need_no_asking() {
        assert!(AccountConditions::new(AccountId::generate(), vec![Conditions::default(); 3]).is_none());
        assert!(AccountConditions::new(AccountId::generate(), Vec::new()).is_none());
    }
}
