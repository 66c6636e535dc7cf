//! What `/metrics` shows of the file and its disk. What the write thread counts is in `memory/write_metrics.rs`.

use crate::error::{Error, Result};
use crate::store::file::disk_space::{self, DiskSpace};
use crate::store::handle::Store;

/// Sizes of the storage at one moment, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageFigures {
    /// The database file, wherever it is now.
    pub file: u64,
    /// The write-ahead log; 0 without one.
    pub log: u64,
    /// The file system. `None` if it gives no answer.
    pub space: Option<DiskSpace>,
    /// Whether the file or its log was moved, replaced, removed or written over, as of the last check.
    pub is_lost: bool,
}

impl Store {
    /// Measures the storage. It asks the file system, so it may take long where a disk hangs.
    ///
    /// # Errors
    /// Internal if the file's length cannot be read.
    pub async fn storage_figures(&self) -> Result<StorageFigures> {
        let store = self.clone();
        let look = move || {
            let file = store.held.raw().length().map_err(|error| Error::internal(error.to_string()))?;
            let log = store.held.log_path().metadata().map_or(0, |meta| meta.len());
            let is_lost = store.held.lost().is_some();
            Ok(StorageFigures { file, log, space: disk_space::measure(store.path()), is_lost })
        };
        tokio::task::spawn_blocking(look).await.map_err(|error| Error::internal(error.to_string()))?
    }
}

#[cfg(test)]
mod tests {
    use crate::store::operations::fixture::{Fixture, at};

    #[tokio::test]
    async fn the_file_its_log_and_its_disk_have_sizes() {
        let fixture = Fixture::new().await;
        fixture.push(at(0)).await;
        let figures = fixture.store.storage_figures().await.unwrap();
        let length = |path: std::path::PathBuf| path.metadata().unwrap().len();
        assert!(figures.file == length(fixture.path()) && figures.file > 0, "{figures:?}");
        assert!(figures.log > 0 && !figures.is_lost, "{figures:?}");
        assert!(figures.space.is_some_and(|space| space.free > 0 && space.reserve > 0), "{figures:?}");
        std::fs::rename(fixture.path(), fixture.path().with_extension("away")).unwrap();
        fixture.store.check_file().await;
        let lost = fixture.store.storage_figures().await.unwrap();
        assert!(lost.is_lost && lost.file == figures.file, "{lost:?}");
    }
}
