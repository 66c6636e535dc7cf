use super::*;
use crate::domain::delivery::{Attempt, DeliveryDetail, LoggedAttempt, Transition};
use crate::domain::destination::{DeliveryOrder, DestinationFields, OnExhausted};
use crate::domain::ids::DeliveryId;
use crate::error::Unavailable;
use crate::store::operations::fixture::Fixture;

const NOW: Timestamp = Timestamp::EPOCH;

impl Fixture {
    /// An attempt of `delivery` that was answered with `status` and `body` at `second`.
    fn answered(&self, delivery: DeliveryId, second: u64, status: u16, body: &[u8]) -> FinishedAttempt {
        let at = NOW.plus(Duration::from_secs(second));
        let outcome = Outcome::Answer { status, retry_after: None };
        let next = if outcome.is_success() { Next::Succeeded } else { Next::Retry { at, retry_step: 1 } };
        let (body, duration) = (body.to_vec(), Duration::from_millis(7));
        FinishedAttempt {
            delivery,
            destination: self.destination.key,
            attempt: Some(Attempt {
                at,
                duration,
                outcome,
                detail: None,
                body,
                body_truncated: false,
                made_body: None,
            }),
            outcome,
            held: None,
            retry_step: 0,
            transition: Transition { next, hold_until: None },
            ended_at: at,
            ended_at_wall: at,
            pause_after: Duration::from_secs(3_600),
            failed_before: false,
        }
    }

    async fn settle(&self, mut finished: FinishedAttempt) {
        self.step(move |tx| record(tx, &mut finished)).await.unwrap();
    }

    async fn is_sound(&self) -> bool {
        let key = self.destination.key;
        self.step(move |tx| Ok(tx.destinations().is_healthy(key))).await.unwrap()
    }

    /// Makes the destination healthy by the success of another delivery.
    async fn make_sound(&self) {
        let (_, other) = self.push(NOW).await;
        self.settle(self.answered(other, 0, 200, b"")).await;
        assert!(self.is_sound().await);
    }

    async fn attempts(&self, delivery: DeliveryId) -> Vec<LoggedAttempt> {
        self.store.delivery(delivery).await.unwrap().attempts
    }

    fn table(&self) -> u64 {
        self.value("SELECT count(*) FROM attempt")
    }

    /// All columns of a delivery's row except its own id and its event's.
    fn row(&self, delivery: DeliveryId) -> String {
        self.value(&format!(
            "SELECT concat_ws(' ', destination_key, state, step, attempt_count, next_attempt_at,
             coalesce(last_attempt_at, 'never'), coalesce(status_code, 'none'), coalesce(error, 'none'),
             coalesce(first_duration_ms, 'none'), coalesce(hex(first_body), 'none')) FROM delivery WHERE id = {}",
            delivery.0
        ))
    }

    fn is_failing(&self) -> bool {
        self.value("SELECT failing_since IS NOT NULL FROM destination")
    }
}

#[tokio::test]
async fn a_first_attempt_that_succeeded_is_kept_in_its_deliverys_row_and_reads_like_any() {
    let fixture = Fixture::new().await;
    for sound in [false, true] {
        assert_eq!(fixture.is_sound().await, sound);
        let (_, delivery) = fixture.push(NOW).await;
        fixture.settle(fixture.answered(delivery, 5, 202, b"got it")).await;
        assert_eq!(fixture.table(), 0);
        let DeliveryDetail { delivery: read, attempts, .. } = fixture.store.delivery(delivery).await.unwrap();
        assert_eq!((read.state, read.attempt_count, read.status_code), (DeliveryState::Succeeded, 1, Some(202)));
        let [only] = attempts.as_slice() else { panic!("{attempts:?}") };
        assert_eq!((only.number, only.at, only.duration.as_millis()), (1, NOW.plus(Duration::from_secs(5)), 7));
        assert_eq!((only.status_code, only.error, &only.detail), (Some(202), None, &None));
        assert_eq!((only.body.as_slice(), only.body_truncated), (b"got it".as_slice(), false));
    }
}

#[tokio::test]
async fn every_other_attempt_is_a_row_of_the_table() {
    let fixture = Fixture::new().await;
    fixture.make_sound().await;
    let long = |delivery| fixture.answered(delivery, 1, 200, &[b'x'; 257]);
    let cut = |delivery| {
        let mut finished = fixture.answered(delivery, 1, 200, b"x");
        finished.attempt.as_mut().unwrap().body_truncated = true;
        finished
    };
    let failed = |delivery| fixture.answered(delivery, 1, 500, b"x");
    let kinds: [&dyn Fn(DeliveryId) -> FinishedAttempt; 3] = [&long, &cut, &failed];
    for (before, kind) in kinds.into_iter().enumerate() {
        let (_, delivery) = fixture.push(NOW).await;
        fixture.settle(kind(delivery)).await;
        assert_eq!(fixture.table(), before as u64 + 1);
        let attempts = fixture.attempts(delivery).await;
        let expected = kind(delivery).attempt.unwrap();
        assert_eq!((attempts.len(), &attempts[0].body), (1, &expected.body));
        assert_eq!(attempts[0].body_truncated, expected.body_truncated);
    }
    let (_, delivery) = fixture.push(NOW).await;
    fixture.settle(fixture.answered(delivery, 1, 200, &[b'x'; 256])).await;
    assert_eq!(fixture.table(), kinds.len() as u64, "the longest that is kept in the row");
}

#[tokio::test]
async fn a_delivery_that_is_sent_again_keeps_its_first_attempt() {
    let fixture = Fixture::new().await;
    let (event, delivery) = fixture.push(NOW).await;
    fixture.settle(fixture.answered(delivery, 1, 201, b"first")).await;
    fixture.store.retry_delivery(delivery, false, NOW).await.unwrap();
    assert_eq!(fixture.attempts(delivery).await.len(), 1, "it is there while the next one is under way");
    fixture.settle(fixture.answered(delivery, 2, 200, b"second")).await;
    fixture.store.replay_event(event, NOW).await.unwrap();
    fixture.settle(fixture.answered(delivery, 3, 500, b"third")).await;
    let attempts = fixture.attempts(delivery).await;
    let read: Vec<_> =
        attempts.iter().map(|attempt| (attempt.number, attempt.status_code, &attempt.body[..])).collect();
    let (first, second, third) =
        ((1, Some(201), &b"first"[..]), (2, Some(200), &b"second"[..]), (3, Some(500), &b"third"[..]));
    assert_eq!(read, [first, second, third]);
    assert_eq!(attempts[0].at, NOW.plus(Duration::from_secs(1)));
    assert_eq!(fixture.value::<u64>("SELECT count(first_duration_ms) + count(first_body) FROM delivery"), 0);
}

#[tokio::test]
async fn an_outcome_without_an_attempt_leaves_the_first_one_as_it_was() {
    let fixture = Fixture::new().await;
    let (_, delivery) = fixture.push(NOW).await;
    fixture.settle(fixture.answered(delivery, 1, 200, b"first")).await;
    fixture.store.retry_delivery(delivery, false, NOW).await.unwrap();
    let mut unsent = fixture.answered(delivery, 2, 200, b"");
    (unsent.attempt, unsent.outcome) = (None, Outcome::NoAnswer(ErrorClass::UrlTooLong));
    unsent.transition.next = Next::Exhausted;
    fixture.settle(unsent).await;
    let DeliveryDetail { delivery: read, attempts, .. } = fixture.store.delivery(delivery).await.unwrap();
    assert_eq!((read.attempt_count, read.status_code, read.error), (1, None, Some(ErrorClass::UrlTooLong)));
    assert_eq!((attempts.len(), attempts[0].status_code, attempts[0].error), (1, Some(200), None));
    // The next attempt is the second one, though the destination has never failed.
    fixture.store.retry_delivery(delivery, false, NOW).await.unwrap();
    fixture.settle(fixture.answered(delivery, 3, 204, b"")).await;
    assert_eq!(fixture.attempts(delivery).await.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn one_statement_writes_what_the_general_way_does() {
    let fixture = Fixture::new().await;
    let mut written = Vec::new();
    for sound in [false, true] {
        let (_, plain) = fixture.push(NOW).await;
        // Its URL was too long until somebody changed the URL.
        let (_, reopened) = fixture.push(NOW).await;
        let mut unsent = fixture.answered(reopened, 0, 200, b"");
        (unsent.attempt, unsent.outcome) = (None, Outcome::NoAnswer(ErrorClass::UrlTooLong));
        unsent.transition.next = Next::Exhausted;
        fixture.settle(unsent).await;
        fixture.store.retry_delivery(reopened, false, NOW).await.unwrap();
        for delivery in [plain, reopened] {
            if sound {
                fixture.make_sound().await;
            } else {
                let forget = |tx: &mut Transaction<'_>| {
                    tx.destinations().clear();
                    Ok(())
                };
                fixture.step(forget).await.unwrap();
            }
            let (pending, done) = (fixture.store.write_metrics().pending, "SELECT sum(succeeded) FROM tally");
            let succeeded: i64 = fixture.value(&format!("SELECT coalesce(({done}), 0)"));
            fixture.settle(fixture.answered(delivery, 1, 200, b"ok")).await;
            let moved = (fixture.store.write_metrics().pending - pending, fixture.value::<i64>(done) - succeeded);
            written.push((fixture.row(delivery), moved));
        }
    }
    assert!(written.iter().all(|row| *row == written[0] && row.1 == (-1, 1)), "{written:#?}");
}

#[tokio::test]
async fn a_late_outcome_of_a_deleted_destination_is_dropped_though_it_was_sound() {
    for account_too in [false, true] {
        let fixture = Fixture::new().await;
        let (_, delivery) = fixture.push(NOW).await;
        fixture.make_sound().await;
        if account_too {
            fixture.store.delete_account(fixture.account.id.clone(), NOW).await.unwrap();
        } else {
            fixture.store.delete_destination(fixture.destination.id.clone(), NOW).await.unwrap();
        }
        let before = (fixture.row(delivery), fixture.store.write_metrics().pending);
        fixture.settle(fixture.answered(delivery, 1, 200, b"ok")).await;
        assert_eq!((fixture.row(delivery), fixture.store.write_metrics().pending), before);
        assert!(!fixture.is_sound().await);
    }
}

#[tokio::test]
async fn a_success_after_failures_ends_them_though_the_destination_was_sound_before() {
    let fixture = Fixture::new().await;
    fixture.make_sound().await;
    let [(_, fails), (_, succeeds)] = [fixture.push(NOW).await, fixture.push(NOW).await];
    fixture.settle(fixture.answered(fails, 1, 500, b"")).await;
    assert!(fixture.is_failing() && !fixture.is_sound().await);
    fixture.settle(fixture.answered(succeeds, 2, 200, b"")).await;
    assert!(!fixture.is_failing() && fixture.is_sound().await);
}

#[tokio::test]
async fn what_is_rolled_back_was_never_sound() {
    let fixture = Fixture::new().await;
    let [(_, fails), (_, undone), (_, last)] =
        [fixture.push(NOW).await, fixture.push(NOW).await, fixture.push(NOW).await];
    fixture.settle(fixture.answered(fails, 1, 500, b"")).await;
    for why in [Unavailable::TooManyStreams, Unavailable::Io] {
        let mut finished = fixture.answered(undone, 2, 200, b"");
        let step = move |tx: &mut Transaction<'_>| {
            record(tx, &mut finished)?;
            assert!(tx.destinations().is_healthy(finished.destination));
            Err::<(), _>(Error::unavailable(why, "undone"))
        };
        // The first error rolls back to a savepoint, the second one rolls back the whole transaction.
        let failed = if why == Unavailable::Io {
            fixture.step(step).await
        } else {
            fixture.store.writer.submit_with_savepoint(step).await
        };
        assert!(failed.is_err() && fixture.is_failing() && !fixture.is_sound().await, "{why:?}");
    }
    fixture.settle(fixture.answered(last, 3, 200, b"")).await;
    assert!(!fixture.is_failing());
}

/// When the destination's hold ends, in seconds.
fn held(fixture: &Fixture) -> Option<u64> {
    fixture.value::<Option<u64>>("SELECT held_until FROM destination").map(|millis| millis / 1_000)
}

#[tokio::test]
async fn a_hold_ends_with_the_success_of_an_attempt_that_knew_of_it() {
    let fixture = Fixture::new().await;
    let second = |seconds| NOW.plus(Duration::from_secs(seconds));
    let mut ends = Vec::new();
    for (knew_of, until) in [(None, 80), (None, 60), (Some(80), 70), (Some(60), 75)] {
        let (_, delivery) = fixture.push(NOW).await;
        let mut asks = fixture.answered(delivery, 1, 429, b"");
        asks.transition.hold_until = Some(second(until));
        asks.held = knew_of.map(second);
        fixture.settle(asks).await;
        ends.push(held(&fixture));
    }
    assert_eq!(ends, [Some(80), Some(80), Some(70), Some(75)]);
    for (knew_of, left) in [(None, Some(75)), (Some(80), Some(75)), (Some(75), None)] {
        let (_, delivery) = fixture.push(NOW).await;
        let went_well = FinishedAttempt { held: knew_of.map(second), ..fixture.answered(delivery, 2, 200, b"") };
        fixture.settle(went_well).await;
        assert_eq!(held(&fixture), left, "{knew_of:?}");
    }
    assert!(fixture.is_sound().await);
}

impl Fixture {
    /// Why the destination is paused.
    fn paused_reason(&self) -> Option<String> {
        self.value("SELECT paused_reason FROM destination")
    }

    async fn asks_for(&self, on_exhausted: OnExhausted, ordering: DeliveryOrder) {
        let fields = DestinationFields { on_exhausted, ordering, ..self.destination.fields.clone() };
        self.store.replace_destination(self.destination.id.clone(), fields, NOW).await.unwrap();
    }

    /// The outcome after which `delivery` is exhausted, without a request where `unsent`.
    fn exhausts(&self, delivery: DeliveryId, unsent: bool) -> FinishedAttempt {
        let mut last = self.answered(delivery, 1, 500, b"");
        last.transition.next = Next::Exhausted;
        if unsent {
            (last.attempt, last.outcome) = (None, Outcome::NoAnswer(ErrorClass::UrlTooLong));
        }
        last
    }
}

#[tokio::test]
async fn an_exhausted_delivery_pauses_a_destination_that_asks_for_it_and_loses_nothing() {
    for (ordering, reason) in [(DeliveryOrder::None, "exhausted"), (DeliveryOrder::Strict, "order_blocked")] {
        for unsent in [false, true] {
            let fixture = Fixture::new().await;
            fixture.asks_for(OnExhausted::Pause, ordering).await;
            let [(_, retried), (_, last), (_, waits)] =
                [fixture.push(NOW).await, fixture.push(NOW).await, fixture.push(NOW).await];
            fixture.settle(fixture.answered(retried, 1, 500, b"")).await;
            assert_eq!(fixture.paused_reason(), None, "it is tried again");
            fixture.settle(fixture.exhausts(last, unsent)).await;
            assert_eq!(fixture.paused_reason().as_deref(), Some(reason));
            for pending in [retried, waits] {
                assert_eq!(fixture.store.delivery(pending).await.unwrap().delivery.state, DeliveryState::Pending);
            }
            let resumed = fixture.store.resume_destination(fixture.destination.id.clone(), NOW).await.unwrap();
            assert_eq!(resumed.pause, None);
        }
    }
}

#[tokio::test]
async fn an_exhausted_delivery_pauses_nothing_else() {
    let fixture = Fixture::new().await;
    let (_, goes_on) = fixture.push(NOW).await;
    fixture.settle(fixture.exhausts(goes_on, false)).await;
    assert_eq!(fixture.paused_reason(), None, "the destination asks for no pause");
    fixture.asks_for(OnExhausted::Pause, DeliveryOrder::Strict).await;
    let (_, cancelled) = fixture.push(NOW).await;
    fixture.store.cancel_delivery(cancelled, NOW).await.unwrap();
    fixture.settle(fixture.exhausts(cancelled, false)).await;
    assert_eq!(fixture.paused_reason(), None, "it was cancelled meanwhile");
    let (_, by_hand) = fixture.push(NOW).await;
    fixture.store.pause_destination(fixture.destination.id.clone(), NOW).await.unwrap();
    fixture.settle(fixture.exhausts(by_hand, false)).await;
    assert_eq!(fixture.paused_reason().as_deref(), Some("manual"), "it was paused before");
}
