use super::*;
use crate::domain::delivery::{Next as After, Outcome, Transition};
use crate::domain::ids::{DeliveryId, DestinationKey};
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::store::commit::limits::{MAX_OUTCOMES, MIN_OUTCOMES};
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
        retry_step: 0,
        transition: Transition { next: After::Succeeded, hold_until: None },
        ended_at: Timestamp::EPOCH,
        ended_at_wall: Timestamp::EPOCH,
        pause_after: Duration::ZERO,
        failed_before: false,
    }
}

fn push(queue: &CommitQueue) {
    assert!(queue.push(Box::new(Nothing)).is_ok());
}

/// How many write requests and outcomes the thread is given; `None` if nothing arrives before `deadline`.
fn look(receiver: &mut QueueReceiver, deadline: Instant, outcomes_too: bool) -> Option<(usize, usize)> {
    let (mut requests, mut outcomes) = (Vec::new(), VecDeque::new());
    match receiver.next_work(Some(deadline), outcomes_too, &mut requests, &mut outcomes) {
        Work::Idle => None,
        Work::Run | Work::Stop(_) => Some((requests.len(), outcomes.len())),
    }
}

#[test]
fn however_many_outcomes_wait_a_write_request_goes_with_the_next_transaction() {
    let (queue, mut receiver) = queue();
    receiver.budget().observe(1, Duration::from_secs(8));
    queue.push_outcomes((0..3 * MAX_OUTCOMES).map(|_| outcome()), false);
    push(&queue);
    let now = Instant::now();
    assert_eq!(look(&mut receiver, now, true), Some((1, MIN_OUTCOMES)));
    // As after some time without a write request.
    *receiver.budget() = OutcomeBudget::default();
    assert_eq!([look(&mut receiver, now, true), look(&mut receiver, now, true)], [Some((0, MAX_OUTCOMES)); 2]);
    assert_eq!(look(&mut receiver, now, true), Some((0, MAX_OUTCOMES - MIN_OUTCOMES)));
    assert_eq!(look(&mut receiver, now, true), None);
}

#[test]
fn outcomes_alone_are_written_soon_but_not_while_the_disk_takes_none() {
    let (queue, mut receiver) = queue();
    queue.push_outcomes([outcome()], false);
    assert_eq!(look(&mut receiver, Instant::now(), false), None);
    push(&queue);
    assert_eq!(look(&mut receiver, Instant::now(), false), Some((1, 1)), "with a write request they are");
    queue.push_outcomes([outcome()], false);
    assert_eq!(look(&mut receiver, Instant::now() + Duration::from_secs(60), true), Some((0, 1)));
}

#[test]
fn what_is_too_much_or_too_late_is_refused() {
    let (queue, mut receiver) = queue();
    (0..MAX_QUEUED).for_each(|_| push(&queue));
    assert!(matches!(queue.push(Box::new(Nothing)), Err(QueueError::Full)));
    let (done, _) = oneshot::channel();
    queue.stop(done);
    assert_eq!(look(&mut receiver, Instant::now(), true), Some((MAX_QUEUED, 0)), "all that was queued is written");
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
fn a_thread_that_waits_is_woken_by_what_it_waits_for() {
    let (queue, mut receiver) = queue();
    let thread = std::thread::spawn(move || look(&mut receiver, Instant::now() + Duration::from_secs(600), true));
    push(&queue);
    assert_eq!(thread.join().unwrap(), Some((1, 0)));
}

#[test]
fn a_transaction_takes_what_arrives_while_it_waits_and_none_waits_at_a_stop() {
    let (queue, mut receiver) = queue();
    let (mut requests, mut outcomes) = (Vec::new(), VecDeque::new());
    push(&queue);
    assert!(matches!(receiver.next_work(None, true, &mut requests, &mut outcomes), Work::Run));
    assert!(!receiver.wait_for_group(&mut requests, &mut outcomes), "nobody is expected");
    queue.stop(oneshot::channel().0);
    assert!(!receiver.wait_for_group(&mut requests, &mut outcomes));
    assert_eq!((requests.len(), outcomes.len()), (1, 0));
}
