use super::*;
use crate::domain::delivery::{Next, Outcome, Transition};
use crate::domain::ids::{DeliveryId, DestinationKey};
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::store::commit::group::GROUP_CHUNKS;
use crate::store::commit::transaction::Transaction;

struct Nothing;

impl WriteRequest for Nothing {
    fn run(&mut self, _: &mut Transaction<'_>) -> crate::error::Result<()> {
        Ok(())
    }

    fn answer(self: Box<Self>, _: Option<&Error>) {}

    fn wants_savepoint(&self) -> bool {
        false
    }
}

fn outcome() -> FinishedAttempt {
    FinishedAttempt {
        delivery: DeliveryId(1),
        destination: DestinationKey(1),
        attempt: None,
        outcome: Outcome::Answer { status: 200, retry_after: None },
        held: None,
        step: 0,
        verdict: Transition { next: Next::Succeeded, hold_until: None },
        ended_at: Timestamp::EPOCH,
        wall: Timestamp::EPOCH,
        pause_after: Duration::ZERO,
        failed_before: false,
    }
}

/// What a look takes: steps and outcomes, or `None` where nothing came until `deadline`.
fn look(receiver: &mut QueueReceiver, deadline: Instant, outcomes_too: bool) -> Option<(usize, usize)> {
    let (mut requests, mut outcomes) = (Vec::new(), VecDeque::new());
    match receiver.next_work(Some(deadline), outcomes_too, &mut requests, &mut outcomes) {
        Work::Idle => None,
        Work::Run | Work::Stop(_) => Some((requests.len(), outcomes.len())),
    }
}

#[test]
fn however_many_outcomes_wait_a_step_goes_with_the_next_batch() {
    let (queue, mut receiver) = queue();
    receiver.budget().observe(1, Duration::from_secs(8));
    queue.push_outcomes((0..3 * pacing::MAX_OUTCOMES).map(|_| outcome()), false);
    assert!(queue.push(Box::new(Nothing)).is_ok());
    let now = Instant::now();
    assert_eq!(look(&mut receiver, now, true), Some((1, 16)));
    // As if a while had gone by without steps.
    receiver.budget = OutcomeBudget::default();
    assert_eq!([look(&mut receiver, now, true), look(&mut receiver, now, true)], [Some((0, pacing::MAX_OUTCOMES)); 2]);
    assert_eq!(look(&mut receiver, now, true), Some((0, pacing::MAX_OUTCOMES - 16)));
    assert_eq!(look(&mut receiver, now, true), None);
}

#[test]
fn outcomes_alone_are_written_soon_but_not_while_the_disk_takes_none() {
    let (queue, mut receiver) = queue();
    queue.push_outcomes([outcome()], false);
    assert_eq!(look(&mut receiver, Instant::now(), false), None);
    assert!(queue.push(Box::new(Nothing)).is_ok());
    assert_eq!(look(&mut receiver, Instant::now(), false), Some((1, 1)), "with a step they are");
    queue.push_outcomes([outcome()], false);
    assert_eq!(look(&mut receiver, Instant::now() + Duration::from_secs(60), true), Some((0, 1)));
}

#[test]
fn what_is_too_much_or_too_late_is_refused() {
    let (queue, mut receiver) = queue();
    assert!((0..MAX_QUEUED).all(|_| queue.push(Box::new(Nothing)).is_ok()));
    assert!(matches!(queue.push(Box::new(Nothing)), Err(QueueError::Full)));
    let (done, _) = oneshot::channel();
    queue.stop(done);
    assert_eq!(look(&mut receiver, Instant::now(), true), Some((MAX_QUEUED, 0)), "all that was taken is written");
    assert!(matches!(queue.push(Box::new(Nothing)), Err(QueueError::Closed)));
}

#[test]
fn whoever_waits_for_a_thread_that_is_gone_learns_so() {
    let (queue, receiver) = queue();
    let (done, mut stopped) = oneshot::channel();
    queue.stop(done);
    drop(receiver);
    assert!(stopped.try_recv().is_err());
    assert!(matches!(queue.push(Box::new(Nothing)), Err(QueueError::Closed)));
}

#[test]
fn a_crowds_steps_run_in_parts_as_they_come() {
    let (queue, mut receiver) = queue();
    let send = |count| (0..count).for_each(|_| assert!(queue.push(Box::new(Nothing)).is_ok()));
    let (mut requests, mut outcomes) = (Vec::new(), VecDeque::new());
    let minute = Duration::from_secs(60);
    let until = Some(Instant::now() + minute);
    receiver.group = CommitGroup { taken: 2, deadline: until, ..CommitGroup::of(2 * GROUP_CHUNKS, minute) };
    send(2);
    assert!(receiver.wait_for_group(&mut requests, &mut outcomes));
    assert_eq!(requests.len(), 2, "a part is enough to run it");
    send(2 * GROUP_CHUNKS);
    assert!(receiver.wait_for_group(&mut requests, &mut outcomes));
    assert_eq!((requests.len(), receiver.last_group_size), (2 + 2 * GROUP_CHUNKS, 4 + 2 * GROUP_CHUNKS));
    assert!(!receiver.wait_for_group(&mut requests, &mut outcomes), "all have come");
}

#[test]
fn a_transaction_whose_time_is_over_takes_what_waits_and_is_committed() {
    let (queue, mut receiver) = queue();
    let (mut requests, mut outcomes) = (Vec::new(), VecDeque::new());
    receiver.group = CommitGroup { deadline: Some(Instant::now()), ..CommitGroup::of(100, Duration::ZERO) };
    assert!(queue.push(Box::new(Nothing)).is_ok());
    assert!(receiver.wait_for_group(&mut requests, &mut outcomes));
    assert_eq!(requests.len(), 1);
    assert!(!receiver.wait_for_group(&mut requests, &mut outcomes));
    let minute = Duration::from_secs(60);
    receiver.group = CommitGroup { deadline: Some(Instant::now() + minute), ..CommitGroup::of(100, minute) };
    queue.stop(oneshot::channel().0);
    assert!(!receiver.wait_for_group(&mut requests, &mut outcomes), "nor does it wait where the thread is to end");
}

#[test]
fn beside_a_crowd_outcomes_run_while_it_comes() {
    let (queue, mut receiver) = queue();
    receiver.budget().requests_begin(Instant::now() + Duration::from_secs(60), 100);
    receiver.budget().observe(1, Duration::from_secs(8));
    receiver.last_group_size = GROUP_CHUNKS;
    queue.push_outcomes((0..20).map(|_| outcome()), false);
    let (mut requests, mut outcomes) = (Vec::new(), VecDeque::new());
    assert!(matches!(receiver.next_work(None, true, &mut requests, &mut outcomes), Work::Run));
    assert_eq!((requests.len(), outcomes.len()), (0, 16), "no longer than the group may notice");
    (0..GROUP_CHUNKS).for_each(|_| assert!(queue.push(Box::new(Nothing)).is_ok()));
    assert!(receiver.wait_for_group(&mut requests, &mut outcomes), "the commit waits for it");
    assert_eq!((requests.len(), outcomes.len()), (GROUP_CHUNKS, 16));
    assert!(!receiver.wait_for_group(&mut requests, &mut outcomes));
}

#[test]
fn where_no_outcomes_come_a_crowd_is_served_in_two() {
    let (queue, mut receiver) = queue();
    let mut enough = |outcomes: usize| {
        (receiver.last_group_size, receiver.had_requests) = (100, false);
        queue.push_outcomes((0..outcomes).map(|_| outcome()), false);
        assert!(queue.push(Box::new(Nothing)).is_ok());
        assert_eq!(look(&mut receiver, Instant::now(), true), Some((1, outcomes)));
        receiver.group.target
    };
    assert_eq!([0, 1, 0, 0].map(&mut enough), [60, 100, 100, 60], "they are not over at once");
}

#[test]
fn beside_steps_a_backlog_has_the_time_that_other_outcomes_leave() {
    let (queue, mut receiver) = queue();
    let of = |destination| FinishedAttempt { destination: DestinationKey(destination), ..outcome() };
    let took = |receiver: &mut QueueReceiver| {
        let (mut requests, mut outcomes) = (Vec::new(), VecDeque::new());
        assert!(queue.push(Box::new(Nothing)).is_ok());
        receiver.next_work(Some(Instant::now()), true, &mut requests, &mut outcomes);
        let low_priority = outcomes.iter().filter(|finished| finished.destination == DestinationKey(2)).count();
        (outcomes.len() - low_priority, low_priority)
    };
    queue.push_outcomes((0..500).map(|_| of(2)), true);
    queue.push_outcomes((0..100).map(|_| of(1)), false);
    // Time for few, and a step that made many.
    receiver.budget().observe(1, Duration::from_secs(8));
    receiver.budget().deliveries_created(60);
    assert_eq!(took(&mut receiver), (60 + pacing::MIN_OUTCOMES, 0), "as many as were made, and some more");
    assert_eq!(
        took(&mut receiver),
        (40 - pacing::MIN_OUTCOMES, pacing::MIN_OUTCOMES),
        "then some of the backlog, though there is no time"
    );
    receiver.budget = OutcomeBudget::default();
    assert_eq!(took(&mut receiver), (0, 500 - pacing::MIN_OUTCOMES), "and all of it where nobody waits");
}
