//! Runs what was taken from the queue in one transaction, up to its commit.

use std::collections::VecDeque;
use std::time::Instant;

use crate::error::{Kind, Result, Unavailable};
use crate::store::commit::queue::QueueReceiver;
use crate::store::commit::transaction::Transaction;
use crate::store::commit::write_request::WriteRequest;
use crate::store::operations::{outcomes, tally};
use crate::store::outcome::FinishedAttempt;

/// Runs all requests and outcomes, then `COMMIT`. What else arrives for this transaction is appended to `requests` and
/// `outcomes`.
pub fn commit_group(
    tx: &mut Transaction<'_>,
    requests: &mut Vec<Box<dyn WriteRequest>>,
    outcomes: &mut VecDeque<FinishedAttempt>,
    receiver: &mut QueueReceiver,
) -> Result<()> {
    let (mut settled, mut done) = (0, 0);
    loop {
        let began = Instant::now();
        for finished in outcomes.range_mut(settled..) {
            outcomes::record(tx, finished)?;
        }
        receiver.budget().observe(outcomes.len() - settled, began.elapsed());
        for request in &mut requests[done..] {
            run_request(tx, request.as_mut())?;
        }
        (settled, done) = (outcomes.len(), requests.len());
        if !receiver.wait_for_group(requests, outcomes) {
            break;
        }
    }
    let counts = tx.take_counts();
    tally::write(tx, counts)?;
    tx.run("COMMIT", [])?;
    Ok(())
}

/// Runs one request. An error returned here fails the whole transaction.
fn run_request(tx: &mut Transaction<'_>, request: &mut dyn WriteRequest) -> Result<()> {
    if request.wants_savepoint() {
        return tx.with_savepoint(|tx| request.run(tx));
    }
    match request.run(tx) {
        Err(error)
            if matches!(error.kind(), Kind::Unavailable(_) | Kind::Internal)
                && !error.is_unavailable(Unavailable::DiskLow) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}
