use proptest::prelude::*;

use super::*;

const START: i64 = 1_700_000_000_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(START + i64::try_from(millis).unwrap())
}

fn pacer(rate: &str) -> Pacer {
    Pacer::empty(Rate::parse(rate).unwrap(), at(0))
}

/// Takes all tokens that are there.
fn drain(pacer: &mut Pacer, now: Timestamp) -> u64 {
    std::iter::from_fn(|| pacer.take(now).then_some(())).count() as u64
}

#[test]
fn a_bucket_is_empty_at_first_and_holds_a_tenth_of_a_second_and_at_least_one() {
    for (rate, first, held) in [("1/h", 3_600_000, 1), ("1/s", 1_000, 1), ("10/s", 100, 1), ("100/s", 10, 10)] {
        let mut pacer = pacer(rate);
        assert!(!pacer.take(at(first - 1)), "{rate}");
        assert_eq!(pacer.holds_more_than(0, at(0)), at(first), "{rate}");
        assert!(pacer.take(at(first)), "{rate}");
        assert_eq!(drain(&mut pacer, at(first + 100 * 3_600_000)), held, "{rate}");
    }
}

#[test]
fn a_debt_is_paid_before_anything_else_goes() {
    let mut pacer = pacer("10/s");
    (0..3).for_each(|_| pacer.owe(at(0)));
    assert_eq!((pacer.tokens(at(399)), pacer.holds_more_than(0, at(0))), (0, at(400)));
    assert!(!pacer.take(at(399)) && pacer.take(at(400)) && !pacer.take(at(499)));
}

#[test]
fn a_high_rate_loses_nothing_to_the_clock_s_whole_milliseconds() {
    for (rate, count) in [("1000000/s", 1_000_000), ("12345/s", 12_345), ("3000/s", 3_000)] {
        let mut pacer = pacer(rate);
        let taken: u64 = (1..=1_000).map(|millis| drain(&mut pacer, at(millis))).sum();
        // Time per token is rounded up to a nanosecond.
        assert!((count - count / 10_000 - 1..=count).contains(&taken), "{rate}: {taken}");
    }
    // Whoever comes every 90 ms finds all that was refilled meanwhile.
    let mut pacer = pacer("1000000/s");
    assert_eq!((1..=10).map(|step| drain(&mut pacer, at(90 * step))).sum::<u64>(), 900_000);
}

/// Rates from slow to fast, as text.
fn rates() -> impl Strategy<Value = (u32, &'static str, u64)> {
    (1u32..3_000, prop_oneof![Just(("s", 1_000)), Just(("m", 60_000)), Just(("h", 3_600_000))])
        .prop_map(|(count, (unit, millis))| (count, unit, millis))
}

proptest! {
    #[test]
    fn over_any_second_at_most_the_rate_and_a_tenth_begins(
        (count, unit, period) in rates(), asks in proptest::collection::vec((0u64..400, 0u32..2_000), 1..120)
    ) {
        let mut pacer = pacer(&format!("{count}/{unit}"));
        let (mut now, mut begun) = (0, Vec::new());
        for (step, wanted) in asks {
            now += step;
            let there = pacer.tokens(at(now));
            let taken = (0..wanted).take_while(|_| pacer.take(at(now))).count() as u64;
            prop_assert_eq!(taken, there.min(u64::from(wanted)));
            begun.extend(std::iter::repeat_n(now, taken as usize));
        }
        let per_second = f64::from(count) * 1_000.0 / period as f64;
        // A bucket holds one token at least.
        let most = per_second * 1.1 + if per_second < 10.0 { 1.0 } else { 0.0 };
        let mut first = 0;
        for (place, last) in begun.iter().enumerate() {
            // Both ends count: a window of whole milliseconds is at least as long as the second that it stands for.
            while last - begun[first] > 1_000 {
                first += 1;
            }
            prop_assert!((place - first + 1) as f64 <= most, "{} in a second of {count}/{unit}", place - first + 1);
        }
    }

    #[test]
    fn whoever_asks_when_the_bucket_says_gets_all_of_the_rate((count, unit, period) in rates()) {
        let mut pacer = pacer(&format!("{count}/{unit}"));
        let (mut now, mut taken, end) = (at(0), 0, at(10 * period.max(1_000)));
        loop {
            let next = pacer.holds_more_than(0, now);
            prop_assert!(next > now && pacer.tokens(now) == 0);
            if next > end {
                break;
            }
            // A millisecond earlier there is none.
            prop_assert_eq!(pacer.tokens(next.minus(std::time::Duration::from_millis(1))), 0);
            now = next;
            taken += drain(&mut pacer, now);
        }
        let allowed = u64::from(count) * 10 * period.max(1_000) / period;
        prop_assert!(taken <= allowed && taken + allowed / 100_000 + 1 >= allowed, "{taken} of {allowed}");
    }
}
