//! Ids. Accounts and destinations have a text id and a small integer key inside the file. Events and deliveries have a
//! sequence id: a 63-bit number in order of time, which is key and public id at once (see [`sequence_id`]).

use std::fmt;
use std::str::FromStr;

use super::time::Timestamp;

/// Bits of a sequence id below the milliseconds. 2,097,152 ids fit in one millisecond; further ids run ahead of the
/// clock.
const SEQUENCE_BITS: u32 = 21;

/// Lowest bits of an event's id, which tell the files of several instances apart; see [`IdSlot`].
const SLOT_BITS: u32 = 10;

/// Crockford's base 32 in lower case. Texts sort like their numbers, and no digit can be misread.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Digits of a sequence id's text. 13 digits of 5 bits hold the 63 bits.
const SEQUENCE_TEXT_LENGTH: usize = 13;

/// Account key inside the database file, never shown to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey(pub i64);

/// Destination key inside the database file, never shown to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey(pub i64);

macro_rules! text_id {
    ($name:ident, $what:literal, $prefix:literal) => {
        #[doc = concat!("Public id of ", $what, ": 1 to 64 of `A-Z a-z 0-9 . _ -`; made ones begin with `", $prefix, "`.")]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// A new random id.
            pub fn generate() -> Self {
                Self(format!(concat!($prefix, "{}"), nanoid::nanoid!()))
            }

            /// A text from the database, which was parsed when it was stored.
            pub fn from_stored(text: String) -> Self {
                Self(text)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let fits = (1..=64).contains(&text.len());
                if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err("must be 1 to 64 characters out of A-Z a-z 0-9 . _ -".to_owned())
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(AccountId, "an account", "acc_");
text_id!(DestinationId, "a destination", "dst_");
text_id!(TokenId, "a token with a role", "tok_");

impl AccountId {
    /// Checks an id that a client chooses. `.` and `..` are refused: most clients remove them from a path (RFC 3986,
    /// 5.2.4). Parsing still accepts both, so that an older account with such an id can be read.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn choose(text: &str) -> Result<Self, String> {
        match text {
            "." | ".." => Err(format!("must not be `{text}`, which clients take out of a path")),
            _ => text.parse(),
        }
    }
}

macro_rules! hot_id_type {
    ($name:ident, $what:literal, $prefix:literal) => {
        #[doc = concat!("Id of ", $what, ": a time-ordered number, shown as `", $prefix, "` and 13 base-32 digits.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix($prefix).and_then(decode).map(Self).ok_or_else(|| {
                    format!(
                        concat!("an id of ", $what, " is `", $prefix, "` and {} base-32 digits"),
                        SEQUENCE_TEXT_LENGTH
                    )
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), encode(self.0))
            }
        }
    };
}

hot_id_type!(EventId, "an event", "evt_");
hot_id_type!(DeliveryId, "a delivery", "dlv_");

fn encode(number: i64) -> String {
    (0..SEQUENCE_TEXT_LENGTH).rev().map(|place| char::from(DIGITS[(number >> (5 * place)) as usize & 31])).collect()
}

fn decode(text: &str) -> Option<i64> {
    if text.len() != SEQUENCE_TEXT_LENGTH {
        return None;
    }
    text.bytes().try_fold(0i64, |number, byte| {
        let digit = DIGITS.iter().position(|d| *d == byte)?;
        // 13 digits hold 65 bits. A number over 63 bits is no id.
        (number < 1 << 58).then_some(())?;
        i64::try_from(digit).ok().map(|digit| number << 5 | digit)
    })
}

/// Lowest sequence id of the millisecond `at`. Before 1970 this is the lowest id of all. After May 2109 this is the
/// lowest id of the last millisecond that has ids.
pub fn sequence_id(at: Timestamp) -> i64 {
    at.millis().clamp(0, i64::MAX >> SEQUENCE_BITS) << SEQUENCE_BITS
}

/// The millisecond in which a sequence id was issued. The result is later than the clock only where the clock stood
/// still or went back, or where a millisecond's ids were used up.
pub fn sequence_time(id: i64) -> Timestamp {
    Timestamp::from_millis(id >> SEQUENCE_BITS)
}

/// The lowest bits of all ids that a database gives to events from now on: 1 to 1,023. Receivers know an event by its
/// id (`webhook-id`), and two instances may send to one receiver, above all while an account moves from one to the other.
/// Databases with different slots never give the same id to different events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdSlot(u16);

impl IdSlot {
    /// The highest slot.
    pub const MAX: u16 = (1 << SLOT_BITS) - 1;

    /// The slot of a new database.
    pub fn random() -> Self {
        Self(fastrand::u16(1..=Self::MAX))
    }

    /// A slot from a database or a document.
    pub fn new(number: i64) -> Option<Self> {
        u16::try_from(number).ok().filter(|slot| (1..=Self::MAX).contains(slot)).map(Self)
    }

    /// The number.
    pub fn number(self) -> i64 {
        self.0.into()
    }

    /// Another slot than this one.
    pub fn other(self) -> Self {
        // One less than there are slots; those from this one on move up by one.
        let other = fastrand::u16(1..Self::MAX);
        Self(if other < self.0 { other } else { other + 1 })
    }
}

/// Issues sequence ids. No id is issued twice, and ids only increase, whatever the clock does.
#[derive(Debug)]
pub struct SequenceIds {
    next: i64,
    slot: IdSlot,
}

impl SequenceIds {
    /// Continues after `last`, the highest id in the file.
    pub fn after(last: i64, slot: IdSlot) -> Self {
        Self { next: last.saturating_add(1), slot }
    }

    /// Events get ids of this slot from now on.
    pub fn set_slot(&mut self, slot: IdSlot) {
        self.slot = slot;
    }

    /// Issues `count` consecutive ids, and returns the first, which has the slot. The first is for an event.
    pub fn take(&mut self, count: i64, now: Timestamp) -> i64 {
        let lowest = sequence_id(now);
        // A millisecond begins anywhere in its first half: so even databases of one slot rarely give the same id.
        let begin = || lowest + fastrand::i64(0..1 << (SEQUENCE_BITS - 1));
        let from = if self.next > lowest { self.next } else { begin() };
        let first = from + (self.slot.number() - from).rem_euclid(1 << SLOT_BITS);
        self.next = first + count;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_never_go_backwards_though_the_clock_does() {
        let mut ids = SequenceIds::after(0, IdSlot::random());
        let first = ids.take(3, Timestamp::from_millis(5_000));
        let second = ids.take(1, Timestamp::from_millis(1_000));
        assert!(second >= first + 3 && second <= first + 3 + 1024);
        assert_eq!(sequence_time(second), Timestamp::from_millis(5_000));
    }

    #[test]
    fn another_slot_is_another_one_and_any() {
        let seen: std::collections::HashSet<_> = (0..20_000).map(|_| IdSlot(2).other().number()).collect();
        assert!(!seen.contains(&2) && seen.iter().all(|number| IdSlot::new(*number).is_some()));
        assert!(seen.contains(&1) && seen.contains(&1_023) && seen.len() > 1_000);
        assert_eq!([-1, 0, 1_024, 65_537].map(IdSlot::new), [None; 4]);
    }

    #[test]
    fn made_ids_are_valid_ids() {
        assert_eq!(AccountId::generate().as_str().parse::<AccountId>().map(|id| id.as_str().len()), Ok(25));
        assert!(DestinationId::generate().as_str().starts_with("dst_"));
    }

    #[test]
    fn no_time_is_beyond_the_ids() {
        assert_eq!(sequence_id(Timestamp::EARLIEST), 0);
        assert_eq!(sequence_id(Timestamp::from_millis(-1)), 0);
        assert!(sequence_id(Timestamp::LATEST) > sequence_id(Timestamp::from_millis(4_000_000_000_000)));
    }

    #[test]
    fn what_clients_take_out_of_a_path_is_no_id_to_choose() {
        for text in [".", ".."] {
            assert!(AccountId::choose(text).is_err() && text.parse::<AccountId>().is_ok(), "{text}");
        }
        for text in ["...", ".a", "a.", "-"] {
            assert!(AccountId::choose(text).is_ok(), "{text}");
        }
        assert!(AccountId::choose("a/b").is_err());
    }

    #[test]
    fn foreign_texts_are_no_ids() {
        for text in ["", "evt_", "dlv_0000000000000", "evt_000000000000u", "evt_zzzzzzzzzzzzz", "evt_00000000000000"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
        for text in ["", "a b", "é", "a/b", &"x".repeat(65)] {
            assert!(text.parse::<AccountId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn databases_of_different_slots_never_give_events_the_same_id(
            slot in 1..1_024i64,
            takes in proptest::collection::vec((any::<bool>(), 1..1_002i64, 0..40i64), 1..400),
        ) {
            let slot = IdSlot::new(slot).unwrap();
            let mut both = [SequenceIds::after(0, slot), SequenceIds::after(0, slot.other())];
            let (mut given, mut last) = (std::collections::HashSet::new(), [0; 2]);
            for (which, count, millis) in takes {
                let which = usize::from(which);
                let first = both[which].take(count, Timestamp::from_millis(1_000_000 + millis));
                prop_assert!(given.insert(first), "the same id");
                prop_assert!(first > last[which], "ids increase");
                last[which] = first + count - 1;
            }
        }

        #[test]
        fn a_shown_id_reads_back_the_same(number in 0..=i64::MAX) {
            prop_assert_eq!(EventId(number).to_string().parse(), Ok(EventId(number)));
        }

        #[test]
        fn shown_ids_sort_like_their_numbers(a in 0..=i64::MAX, b in 0..=i64::MAX) {
            prop_assert_eq!(a.cmp(&b), DeliveryId(a).to_string().cmp(&DeliveryId(b).to_string()));
        }
    }
}
