//! Whether events can be written to disk now. Only a write tells: a transaction that changes nothing also succeeds on a
//! disk that takes nothing.

use std::time::Instant;

use crate::error::Result;
use crate::store::error::disk_low;
use crate::store::file::schema::VERSION;
use crate::store::handle::Store;

impl Store {
    /// Whether the write thread can commit what an event would be: it has room, and a page reaches the disk. Goes
    /// through the same queue as everything else.
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
                    // The first page, as it is.
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
