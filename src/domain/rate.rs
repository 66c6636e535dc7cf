//! Rate limits: one token bucket for each key, with a few bytes for each.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;
use std::time::Duration;

use crate::error::beginning;

/// Highest count of a rate.
const MAX_EVENTS: u32 = 1_000_000;

/// Number of stored buckets from which full ones are removed.
const MIN_PRUNED: usize = 1_024;

const PERIODS: [(&str, Duration); 3] =
    [("s", Duration::from_secs(1)), ("m", Duration::from_secs(60)), ("h", Duration::from_secs(3_600))];

/// A number of tokens in a period. The same number is allowed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    period: Duration,
}

impl Rate {
    /// Reads `100/s`, `6000/m` or `10000/h`.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let given = beginning(text);
            format!(
                "`{given}` is not a rate; write a whole number from 1 to {MAX_EVENTS} and /s, /m or /h, such as 100/s"
            )
        };
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let digits = !count.starts_with('0') && count.bytes().all(|byte| byte.is_ascii_digit());
        let count = digits.then(|| count.parse().ok()).flatten().filter(|count| (1..=MAX_EVENTS).contains(count));
        let period = PERIODS.iter().find(|(name, _)| *name == unit).map(|(_, period)| *period);
        Ok(Self { count: count.ok_or_else(wrong)?, period: period.ok_or_else(wrong)? })
    }

    /// Time in which one token is refilled.
    pub fn each(self) -> Duration {
        self.period / self.count
    }

    /// Time in which one token is refilled, rounded up to a nanosecond: never more tokens than the rate says.
    pub fn each_rounded_up(self) -> Duration {
        let each = self.each();
        if each * self.count < self.period { each + Duration::from_nanos(1) } else { each }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = PERIODS.iter().find(|(_, period)| *period == self.period).map_or("s", |(name, _)| *name);
        write!(f, "{}/{unit}", self.count)
    }
}

/// A token bucket for each key.
///
/// A bucket starts full, holds as many tokens as the rate says, and fills evenly. `100/s` allows 100 at once, and then
/// one every 10 ms. A bucket is stored as the time at which it will be full again (the "generic cell rate algorithm").
/// So no task fills buckets, and full buckets need not be stored.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    /// When each bucket will be full again. A bucket without an entry is full.
    full_at: HashMap<K, Duration>,
    /// Number of entries at which full buckets are removed next.
    prune_at: usize,
}

impl<K: Hash + Eq> Buckets<K> {
    /// Every bucket is full.
    pub fn new(rate: Rate) -> Self {
        Self { rate, full_at: HashMap::new(), prune_at: MIN_PRUNED }
    }

    /// Uses one token of `key`. `now` may be any clock that never goes back.
    ///
    /// # Errors
    /// No token is left. The error is the time until there is one.
    pub fn take(&mut self, key: K, now: Duration) -> Result<(), Duration> {
        if self.full_at.len() >= self.prune_at {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.prune_at = (self.full_at.len() * 2).max(MIN_PRUNED);
        }
        let full_at = self.full_at.entry(key).or_insert(now);
        let then_full_at = (*full_at).max(now) + self.rate.each();
        match then_full_at.checked_sub(now + self.rate.period) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                *full_at = then_full_at;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn buckets(rate: &str) -> Buckets<u32> {
        Buckets::new(Rate::parse(rate).unwrap())
    }

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn rates_read_as_people_write_them() {
        for (text, count, seconds) in [("100/s", 100, 1), ("6000/m", 6_000, 60), ("1/h", 1, 3_600)] {
            assert_eq!(Rate::parse(text), Ok(Rate { count, period: Duration::from_secs(seconds) }));
            assert_eq!(Rate { count, period: Duration::from_secs(seconds) }.to_string(), text);
        }
        for text in [
            "",
            "100",
            "/s",
            "0/s",
            "-1/s",
            "+1/s",
            "1.5/s",
            "100/",
            "100/d",
            "100 /s",
            "1/S",
            "1000001/s",
            "1/s/s",
            "01/s",
        ] {
            assert!(Rate::parse(text).unwrap_err().contains("such as 100/s"), "{text}");
        }
    }

    #[test]
    fn a_full_bucket_gives_all_it_has_at_once_and_then_one_at_a_time() {
        let mut buckets = buckets("10/s");
        let start = millis(5_000);
        assert_eq!((0..10).map(|_| buckets.take(1, start)).collect::<Vec<_>>(), vec![Ok(()); 10]);
        assert_eq!(buckets.take(1, start), Err(millis(100)));
        assert_eq!(buckets.take(1, start + millis(99)), Err(millis(1)));
        assert_eq!(buckets.take(1, start + millis(100)), Ok(()));
        assert_eq!(buckets.take(1, start + millis(100)), Err(millis(100)));
        assert_eq!(buckets.take(2, start), Ok(()), "others have buckets of their own");
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let mut buckets = buckets("1/m");
        assert_eq!(buckets.take(1, Duration::ZERO), Ok(()));
        for _ in 0..100 {
            assert_eq!(buckets.take(1, millis(1_000)), Err(millis(59_000)));
        }
        assert_eq!(buckets.take(1, millis(60_000)), Ok(()));
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let mut buckets = buckets("1/s");
        for key in 0..100_000 {
            assert_eq!(buckets.take(key, millis(u64::from(key))), Ok(()));
        }
        assert!(buckets.full_at.len() <= 2 * MIN_PRUNED, "{}", buckets.full_at.len());
    }

    proptest! {
        #[test]
        fn no_more_pass_than_the_bucket_and_the_time_allow(
            count in 1u32..20, steps in proptest::collection::vec(0u64..300, 1..200)
        ) {
            let mut buckets = Buckets::new(Rate { count, period: Duration::from_secs(1) });
            let (mut now, mut passed) = (0, 0u64);
            for step in steps {
                now += step;
                if let Err(wait) = buckets.take(0, millis(now)) {
                    prop_assert!(wait <= buckets.rate.each());
                    prop_assert!(buckets.full_at[&0] + buckets.rate.each() == millis(now) + wait + buckets.rate.period);
                } else {
                    passed += 1;
                }
                // One more than the time allows, because a division drops a fraction of a nanosecond.
                prop_assert!(passed <= u64::from(count) + now * u64::from(count) / 1_000 + 1);
            }
            prop_assert!(passed >= 1);
        }
    }
}
