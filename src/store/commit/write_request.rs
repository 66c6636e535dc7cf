//! A caller's part of a transaction, as the write thread sees it. What the parts do is in `operations`.

use super::transaction::Transaction;
use crate::error::{Error, Result};

/// One caller's work inside a shared transaction, and its answer.
pub trait WriteRequest: Send {
    /// Runs inside the transaction. An error of kind unavailable or internal fails the whole transaction, except
    /// `DiskLow`, and except if the request runs in a savepoint.
    fn run(&mut self, tx: &mut Transaction<'_>) -> Result<()>;
    /// Answers the caller, after the commit or its failure.
    fn answer(self: Box<Self>, failure: Option<&Error>);
    /// Whether the request may fail after it has written, and so runs in a savepoint.
    fn wants_savepoint(&self) -> bool;
}
