//! A caller's part of a transaction.

use super::transaction::Transaction;
use crate::error::{Error, Result};

/// One caller's work inside a shared transaction, and its answer.
pub trait WriteRequest: Send {
    /// Runs inside the transaction. An error of kind unavailable or internal fails the whole transaction unless the step is
    /// guarded.
    fn run(&mut self, tx: &mut Transaction<'_>) -> Result<()>;
    /// Answers the caller, after the commit or its failure.
    fn answer(self: Box<Self>, failure: Option<&Error>);
    /// Whether it may fail halfway, and so runs in a savepoint.
    fn wants_savepoint(&self) -> bool;
}
