//! Checks whether events can be written to disk now. Only a write can show this: a transaction that changes nothing
//! succeeds even if the disk accepts nothing.

use std::time::Instant;

use crate::error::Result;
use crate::store::error::disk_low;
use crate::store::file::schema::VERSION;
use crate::store::handle::Store;

impl Store {
    /// Checks whether the write thread could commit an event now: the disk has space beyond the reserve, and a page can
    /// be written. The check goes through the same queue as all other write requests. A write that succeeded recently
    /// is not repeated, since anybody may ask.
    ///
    /// # Errors
    /// Unavailable, with the reason.
    pub async fn probe(&self) -> Result<()> {
        self.held.check()?;
        let failed = self.write_metrics().failed_commits;
        let proven = self.memory.last_probe.is_valid(Instant::now(), failed);
        self.writer
            .submit(move |tx| {
                if !tx.accepts_events() {
                    return Err(disk_low());
                }
                if !proven {
                    // Writes the first page of the file without changing its content.
                    tx.run(&format!("PRAGMA user_version = {}", VERSION), [])?;
                }
                Ok(())
            })
            .await?;
        if !proven {
            self.memory.last_probe.record(Instant::now(), failed);
        }
        Ok(())
    }
}
