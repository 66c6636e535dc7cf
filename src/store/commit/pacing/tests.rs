use super::*;
use crate::store::commit::limits::{GROUP_CHUNKS, GROUP_MIN, RECENT};

const MINUTE: Duration = Duration::from_secs(60);

fn requests(requests: usize) -> Waiting {
    Waiting { requests, ..Waiting::default() }
}

fn outcomes(normal: usize, since: Instant) -> Waiting {
    Waiting { normal, outcomes_since: Some(since), ..Waiting::default() }
}

/// Begins a transaction that must run at once, and returns what it takes.
fn run(pacing: &mut Pacing, waiting: Waiting, now: Instant) -> Share {
    pacing.begin(waiting, now);
    assert_eq!(pacing.next(waiting, true, None, now), Next::Run);
    pacing.take(waiting, now)
}

/// As after a transaction of `size` write requests that took `took` and ended at `now`.
fn after_a_group(size: usize, took: Duration, now: Instant) -> Pacing {
    let mut pacing = Pacing { last_group_size: size, had_requests: true, ..Pacing::default() };
    pacing.began_at = now.checked_sub(took);
    pacing.had_outcomes = true;
    pacing
}

#[test]
fn whoever_comes_alone_waits_for_nobody() {
    let (mut pacing, now) = (Pacing::default(), Instant::now());
    assert_eq!(run(&mut pacing, requests(1), now), Share { requests: 1, normal: 0, low_priority: 0 });
    assert_eq!(pacing.then(0, false, now), Then::Commit);
}

#[test]
fn those_who_were_answered_together_are_waited_for_but_not_for_long() {
    let now = Instant::now();
    let mut pacing = after_a_group(100, Duration::from_millis(10), now);
    pacing.begin(requests(0), now);
    let next = pacing.next(requests(0), true, None, now);
    assert_eq!(next, Next::Wait(None, Wakeup { requests: 1, outcomes: 1 }), "the first of them wakes the thread");
    let due = now + Duration::from_millis(3);
    let next = pacing.next(requests(1), true, None, now);
    assert_eq!(next, Next::Wait(Some(due), Wakeup { requests: 25, outcomes: 1 }), "a chunk, or 0.3 of 10 ms");
    assert_eq!(pacing.next(requests(1), true, None, due), Next::Run);
    assert_eq!(pacing.take(requests(1), due).requests, 1);
    assert_eq!(pacing.then(0, false, due), Then::Commit);

    let mut long = after_a_group(100, MINUTE, now);
    long.begin(requests(1), now);
    let Next::Wait(Some(until), _) = long.next(requests(1), true, None, now) else { panic!("it does not wait") };
    assert_eq!(until, now + MAX_LINGER);
}

#[test]
fn the_time_that_a_transaction_waited_is_not_counted_as_its_own() {
    let now = Instant::now();
    let mut pacing = after_a_group(100, Duration::from_millis(10), now);
    pacing.waited(Duration::from_millis(9));
    pacing.begin(requests(1), now);
    let Next::Wait(Some(until), _) = pacing.next(requests(1), true, None, now) else { panic!("it does not wait") };
    assert!(until <= now + Duration::from_micros(301));
}

#[test]
fn a_group_runs_in_chunks_while_it_arrives() {
    let now = Instant::now();
    let mut pacing = after_a_group(100, Duration::from_millis(10), now);
    assert_eq!(run(&mut pacing, requests(40), now).requests, 40, "a quarter of 140 is there");
    let mut taken = 40;
    while let Then::Wait(_, wanted) = pacing.then(0, false, now) {
        assert!(wanted <= 140_usize.div_ceil(GROUP_CHUNKS));
        assert_eq!(pacing.then(wanted, false, now), Then::Run);
        taken += pacing.take(requests(wanted), now).requests;
    }
    assert_eq!(taken, 140, "those who return, and those who waited already");
}

#[test]
fn a_transaction_ends_where_the_thread_is_to_stop() {
    let now = Instant::now();
    let mut pacing = after_a_group(100, Duration::from_millis(10), now);
    pacing.begin(requests(1), now);
    assert!(matches!(pacing.then(1, false, now), Then::Wait(..)));
    assert_eq!(pacing.then(1, true, now), Then::Commit);
}

#[test]
fn without_outcomes_a_part_of_the_group_is_committed() {
    let (mut pacing, now) = (Pacing { last_group_size: 100, ..Pacing::default() }, Instant::now());
    let mut target = |waiting: Waiting| {
        (pacing.last_group_size, pacing.had_requests) = (100, false);
        pacing.begin(waiting, now);
        pacing.take(waiting, now);
        pacing.group.target
    };
    let with = Waiting { requests: 1, ..outcomes(1, now) };
    assert_eq!([requests(1), with, requests(1), requests(1)].map(&mut target), [60, 100, 100, 60], "not over at once");
}

#[test]
fn outcomes_wait_for_a_commit_that_they_can_share() {
    let (mut pacing, since) = (Pacing::default(), Instant::now());
    for (count, linger) in [(1, OUTCOMES_LINGER), (MANY_OUTCOMES, MANY_OUTCOMES_LINGER), (MAX_OUTCOMES, Duration::ZERO)]
    {
        let waiting = outcomes(count, since);
        pacing.begin(waiting, since);
        assert_eq!(pacing.next(waiting, true, None, since + linger), Next::Run, "{count}");
        if let Some(before) = linger.checked_sub(Duration::from_micros(1)) {
            let wait = Next::Wait(Some(since + linger), Wakeup { requests: 1, outcomes: MAX_OUTCOMES });
            assert_eq!(pacing.next(waiting, true, None, since + before), wait, "{count}");
        }
    }
    let shared = Waiting { requests: 1, ..outcomes(1, since) };
    assert_eq!(run(&mut pacing, shared, since), Share { requests: 1, normal: 1, low_priority: 0 });
}

#[test]
fn while_the_disk_takes_nothing_outcomes_alone_begin_no_transaction() {
    let (mut pacing, since) = (Pacing::default(), Instant::now());
    let (waiting, late) = (outcomes(MAX_OUTCOMES, since), since + MINUTE);
    pacing.begin(waiting, since);
    let never = Wakeup { requests: 1, outcomes: usize::MAX };
    assert_eq!(pacing.next(waiting, false, Some(late), since), Next::Wait(Some(late), never));
    assert_eq!(pacing.next(waiting, false, Some(late), late), Next::Idle);
    let shared = Waiting { requests: 1, ..waiting };
    assert_eq!(pacing.next(shared, false, None, late), Next::Run, "with a write request they are recorded");
}

#[test]
fn while_a_group_returns_outcomes_run_and_the_commit_waits_for_the_group() {
    let (mut pacing, now) = (Pacing { last_group_size: GROUP_MIN, ..Pacing::default() }, Instant::now());
    pacing.budget.requests_begin(now, GROUP_MIN);
    pacing.budget.observe(1, MINUTE);
    let share = run(&mut pacing, outcomes(100, now), now);
    assert_eq!(share, Share { requests: 0, normal: MIN_OUTCOMES, low_priority: 0 }, "no more than the group notices");
    assert!(matches!(pacing.then(0, false, now), Then::Wait(..)));
    assert_eq!(pacing.then(0, false, now + OUTCOMES_LINGER), Then::Commit, "but not for long");
    let later = now + RECENT;
    assert_eq!(run(&mut pacing, outcomes(100, now), later).normal, 100, "nobody is expected any more");
}

#[test]
fn beside_write_requests_a_backlog_has_the_time_that_other_outcomes_leave() {
    let (mut pacing, now) = (Pacing::default(), Instant::now());
    // There is time for few, and the last transaction created many deliveries.
    pacing.budget.observe(1, MINUTE);
    pacing.budget.deliveries_created(60);
    let waiting = Waiting { requests: 1, normal: 100, low_priority: 500, outcomes_since: Some(now) };
    let share = run(&mut pacing, waiting, now);
    assert_eq!(
        share,
        Share { requests: 1, normal: 60 + MIN_OUTCOMES, low_priority: 0 },
        "as many as were created, and more"
    );
    let waiting = Waiting { normal: 40 - MIN_OUTCOMES, ..waiting };
    let share = run(&mut pacing, waiting, now);
    let some = Share { requests: 1, normal: 40 - MIN_OUTCOMES, low_priority: MIN_OUTCOMES };
    assert_eq!(share, some, "some of the backlog, though there is no time");
    pacing.budget = OutcomeBudget::default();
    let waiting = Waiting { requests: 0, normal: 0, low_priority: 500 - MIN_OUTCOMES, outcomes_since: Some(now) };
    pacing.begin(waiting, now);
    assert_eq!(pacing.take(waiting, now).low_priority, 500 - MIN_OUTCOMES, "all of it where nobody waits");
}

#[test]
fn no_transaction_takes_more_than_it_may() {
    let (mut pacing, now) = (Pacing::default(), Instant::now());
    let much = Waiting { requests: 10_000, normal: 10_000, low_priority: 10_000, outcomes_since: Some(now) };
    pacing.begin(much, now);
    let (first, second) = (pacing.take(much, now), pacing.take(much, now));
    assert_eq!(first.requests, MAX_GROUP);
    assert!(first.normal + first.low_priority <= MAX_OUTCOMES);
    assert_eq!(
        (second.requests, second.normal + second.low_priority),
        (0, MAX_OUTCOMES - first.normal - first.low_priority)
    );
}
