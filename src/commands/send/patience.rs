//! How long a run waits for a server that takes nothing, when it says so, and when it gives up. It knows no clock, so
//! that every case can be tested.

use std::time::{Duration, Instant};

/// Pause after a request without an answer. It doubles with each, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause between two tries, unless the server asks for more.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Least time between two messages that the run waits. A rate limit makes it wait again and again.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// The patience of a run.
pub struct Patience {
    give_up_after: Duration,
    /// When the server was well for the last time, or the run began.
    well_at: Instant,
    trouble: Option<Trouble>,
    /// When the last message said that the run waits.
    said: Option<Instant>,
}

/// The server does not answer, or asks to come again.
struct Trouble {
    since: Instant,
    pause: Duration,
    /// Whether a message said so.
    said: bool,
}

/// A request that came to nothing.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// From when on an answer could be expected.
    pub began: Instant,
    /// How long the server asks to wait.
    pub asked: Option<Duration>,
    /// All requests wait already, so this one failed together with others.
    pub is_held: bool,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// All requests wait this long. `says` asks for a message.
    Wait { pause: Duration, says: bool },
    /// The run ends: nothing was taken for too long.
    GiveUp,
    /// The run ends: the server asks for a wait of this length, which is beyond the time that is left. To come earlier
    /// would be in vain, and to wait until the time is over too.
    GiveUpNow { asked: Duration },
}

impl Patience {
    /// The patience of a run that begins now.
    pub fn new(give_up_after: Duration, now: Instant) -> Self {
        Self { give_up_after, well_at: now, trouble: None, said: None }
    }

    /// The server took or refused a document. Returns whether a message should say so.
    pub fn well(&mut self, now: Instant) -> bool {
        self.well_at = now;
        self.trouble.take().is_some_and(|trouble| trouble.said)
    }

    /// A request failed. Whatever the server asks for, the pause is not shorter than one of its own: a wait of 0 would
    /// make a loop without pauses.
    pub fn failed(&mut self, failure: Failure, now: Instant) -> Next {
        let asked = failure.asked.unwrap_or_default();
        let is_long = asked >= SAY_AGAIN && !failure.is_held;
        let says = (self.trouble.is_none() || is_long)
            && self.said.is_none_or(|at| now.saturating_duration_since(at) >= SAY_AGAIN);
        let since = failure.began.min(now).max(self.well_at);
        let trouble = self.trouble.get_or_insert(Trouble { since, pause: FIRST_PAUSE, said: false });
        let left = self.give_up_after.saturating_sub(now.saturating_duration_since(trouble.since));
        if left.is_zero() {
            return Next::GiveUp;
        }
        if asked > left {
            return Next::GiveUpNow { asked };
        }
        // The last try comes when the time is over.
        let pause = asked.max(trouble.pause).min(left);
        if !failure.is_held {
            trouble.pause = (trouble.pause * 2).min(MAX_PAUSE);
        }
        if says {
            trouble.said = true;
            self.said = Some(now);
        }
        Next::Wait { pause, says }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    /// A run, and the time of its beginning.
    fn begin(give_up_after: Duration) -> (Patience, Instant) {
        let now = Instant::now();
        (Patience::new(give_up_after, now), now)
    }

    fn asks(began: Instant, seconds: u64) -> Failure {
        Failure { began, asked: Some(Duration::from_secs(seconds)), is_held: false }
    }

    fn no_answer(began: Instant) -> Failure {
        Failure { began, asked: None, is_held: false }
    }

    fn pause(next: Next) -> Duration {
        match next {
            Next::Wait { pause, .. } => pause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_wait_of_zero_is_no_less_than_the_runs_own_pause() {
        for failure in [|now| asks(now, 0), no_answer] {
            let (mut patience, mut now) = begin(LONG);
            let mut pauses = Vec::new();
            for _ in 0..8 {
                pauses.push(pause(patience.failed(failure(now), now)).as_millis());
                now += Duration::from_millis(1);
            }
            assert_eq!(pauses, [100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000]);
        }
        let (mut patience, now) = begin(LONG);
        assert_eq!(pause(patience.failed(asks(now, 12), now)), Duration::from_secs(12));
    }

    #[test]
    fn requests_that_fail_together_are_one_failure() {
        let (mut patience, now) = begin(LONG);
        patience.failed(no_answer(now), now);
        let together = Failure { is_held: true, ..no_answer(now) };
        assert!((0..9).all(|_| pause(patience.failed(together, now)) == FIRST_PAUSE * 2));
    }

    #[test]
    fn a_wait_beyond_the_time_that_is_left_ends_the_run_at_once() {
        let (mut patience, now) = begin(Duration::from_secs(10));
        assert_eq!(pause(patience.failed(asks(now, 10), now)), Duration::from_secs(10));
        let later = now + Duration::from_secs(4);
        assert_eq!(patience.failed(asks(later, 7), later), Next::GiveUpNow { asked: Duration::from_secs(7) });
        let over = now + Duration::from_secs(10);
        assert_eq!(patience.failed(asks(over, 7), over), Next::GiveUp);
    }

    #[test]
    fn the_last_try_comes_when_the_time_is_over() {
        let (mut patience, now) = begin(Duration::from_millis(150));
        assert_eq!(pause(patience.failed(no_answer(now), now)), FIRST_PAUSE);
        let second = now + FIRST_PAUSE;
        assert_eq!(pause(patience.failed(no_answer(second), second)), Duration::from_millis(50));
        let last = now + Duration::from_millis(150);
        assert_eq!(patience.failed(no_answer(last), last), Next::GiveUp);
    }

    #[test]
    fn the_time_counts_from_the_request_that_has_no_answer_or_from_the_last_success() {
        let (mut patience, now) = begin(Duration::from_secs(2));
        let later = now + Duration::from_secs(2);
        assert_eq!(patience.failed(no_answer(now), later), Next::GiveUp);
        let (mut patience, now) = begin(Duration::from_secs(2));
        patience.well(now + Duration::from_secs(1));
        assert!(matches!(patience.failed(no_answer(now), later), Next::Wait { .. }));
        // With a wait that was asked for, an answer could not be expected yet.
        let (mut patience, now) = begin(Duration::from_secs(2));
        assert_eq!(pause(patience.failed(no_answer(now + LONG), now)), FIRST_PAUSE);
    }

    #[test]
    fn a_message_says_that_the_run_waits_and_goes_on_but_not_again_and_again() {
        let (mut patience, now) = begin(LONG * 2);
        let says = |patience: &mut Patience, failure: Failure, now| match patience.failed(failure, now) {
            Next::Wait { says, .. } => says,
            other => panic!("{other:?}"),
        };
        assert!(says(&mut patience, no_answer(now), now) && !says(&mut patience, asks(now, 0), now));
        assert!(patience.well(now) && !patience.well(now));
        assert!(!says(&mut patience, no_answer(now), now) && !patience.well(now));
        // A long wait is said also where shorter ones came before.
        let later = now + SAY_AGAIN;
        assert!(says(&mut patience, no_answer(later), later) && !says(&mut patience, asks(later, 60), later));
        let later = later + SAY_AGAIN;
        assert!(!says(&mut patience, no_answer(later), later) && says(&mut patience, asks(later, 60), later));
    }
}
