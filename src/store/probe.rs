//! Whether events can be written to disk now. Only a write tells: a transaction that changes nothing also succeeds on a
//! disk that takes nothing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Store, file, space};
use crate::error::Result;

/// A write proves so much time that the disk takes writes, unless a commit fails: anybody may ask, and must not wear it
/// out.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// The last write that was made to find out.
#[derive(Default)]
pub struct Proof(Mutex<Option<Written>>);

#[derive(Clone, Copy)]
struct Written {
    at: Instant,
    /// Commits that had failed by then.
    failed: u64,
}

impl Store {
    /// Whether the write thread can commit what an event would be: it has room, and a page reaches the disk. Goes
    /// through the same queue as everything else.
    ///
    /// # Errors
    /// Unavailable, with the reason.
    pub async fn probe(&self) -> Result<()> {
        self.held.check()?;
        let failed = self.figures().failed_commits;
        let last = *self.shared.proof.0.lock().unwrap_or_else(PoisonError::into_inner);
        let proven = last.is_some_and(|last| last.failed == failed && last.at.elapsed() < GOOD_FOR);
        self.writer
            .step(move |batch| {
                if !batch.has_room() {
                    return Err(space::low());
                }
                if !proven {
                    // The first page, as it is.
                    batch.run(&format!("PRAGMA user_version = {}", file::VERSION), [])?;
                }
                Ok(())
            })
            .await?;
        if !proven {
            let written = Written { at: Instant::now(), failed };
            *self.shared.proof.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
        }
        Ok(())
    }
}
