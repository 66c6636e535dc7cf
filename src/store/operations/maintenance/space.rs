//! Returns free pages of the file to the file system. New rows use free pages again, so only pages that stayed free for
//! some seconds are returned. Pages that were needed again after a return are kept for some minutes. Without this a
//! file under full load would shrink page by page and then grow again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::pace::{IDLE, STEP_TIME, after};
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::operations::rows;

/// Pages that one statement returns. Between two statements the write request checks its time.
const AT_ONCE: usize = 64;

/// Free pages that are always kept, since a few are soon used again. Fewer than this above what is kept are not
/// returned either.
const KEPT: usize = 256;

/// Reads at which a page must have been free before it is returned. There is one read in each [`IDLE`], so this is
/// about 6 s.
const LOOKS: usize = 4;

/// At each read 1/512 of the pages that were returned, and of those needed again, is forgotten. Half is forgotten after
/// about 355 reads, which take 12 minutes.
const FORGET: usize = 512;

/// What is known of the free pages.
#[derive(Debug, Default)]
pub struct Space {
    /// Free pages at each of the last reads, oldest first.
    free: VecDeque<usize>,
    /// Pages of the file at the last read, less those that were returned since.
    pages: usize,
    /// Pages that were returned and have not been needed again so far.
    given: usize,
    /// Pages to keep in addition to [`KEPT`], since that many were returned and then needed again.
    needed: usize,
}

impl Store {
    /// Runs one turn: finds free pages that are not needed, and returns them in small write requests. Returns the time
    /// until the next turn.
    ///
    /// # Errors
    /// Unavailable if the store cannot be read or written; a later turn tries again.
    pub async fn vacuum(&self, space: &mut Space) -> Result<Duration> {
        let (free, pages) = self
            .readers
            .read(|connection| {
                let figures = "SELECT freelist_count, page_count FROM pragma_freelist_count, pragma_page_count";
                rows::first(connection, figures, [], |row| Ok((row.get(0)?, row.get(1)?)))
            })
            .await?
            .unwrap_or_default();
        let mut surplus = space.look(free, pages);
        while surplus > 0 {
            let kept = space.kept();
            let (given, took) = self.writer.submit_with_savepoint(move |tx| shorten(tx, surplus, kept)).await?;
            space.gave(given);
            if given == 0 {
                break;
            }
            surplus = surplus.saturating_sub(given);
            tokio::time::sleep(after(took)).await;
        }
        Ok(IDLE)
    }
}

/// Returns about `surplus` pages to the file system, until [`STEP_TIME`] is over or only `kept` are free. The result is
/// the number of pages returned, and the time taken.
fn shorten(tx: &mut Transaction<'_>, surplus: usize, kept: usize) -> Result<(usize, Duration)> {
    let began = Instant::now();
    let pages = |tx: &Transaction<'_>| tx.row("PRAGMA page_count", [], |row| row.get::<_, usize>(0));
    let before = pages(tx)?.unwrap_or(0);
    let mut given = 0;
    while given < surplus && began.elapsed() < STEP_TIME {
        let free = tx.row("PRAGMA freelist_count", [], |row| row.get::<_, usize>(0))?.unwrap_or(0);
        if free <= kept {
            break;
        }
        rows::all(tx.connection(), &format!("PRAGMA incremental_vacuum({AT_ONCE})"), [], |_| Ok(()))?;
        given += AT_ONCE;
    }
    Ok((before.saturating_sub(pages(tx)?.unwrap_or(before)), began.elapsed()))
}

impl Space {
    /// Notes that `free` of the file's `pages` are free. Returns how many of them can be returned.
    fn look(&mut self, free: usize, pages: usize) -> usize {
        let again = pages.saturating_sub(self.pages).min(self.given);
        self.given -= again;
        self.needed += again;
        self.given -= self.given.div_ceil(FORGET);
        self.needed -= self.needed.div_ceil(FORGET);
        self.pages = pages;
        if self.free.len() == LOOKS {
            self.free.pop_front();
        }
        self.free.push_back(free);
        if self.free.len() < LOOKS {
            return 0;
        }
        let stayed = self.free.iter().copied().min().unwrap_or(0);
        match stayed.saturating_sub(self.kept()) {
            few if few < KEPT => 0,
            surplus => surplus,
        }
    }

    fn kept(&self) -> usize {
        KEPT + self.needed
    }

    fn gave(&mut self, pages: usize) {
        self.given += pages;
        self.pages = self.pages.saturating_sub(pages);
        for free in &mut self.free {
            *free = free.saturating_sub(pages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_stay_free_are_given_back_but_a_few() {
        let mut space = Space::default();
        for _ in 1..LOOKS {
            assert_eq!(space.look(10_000, 20_000), 0, "not yet for a while");
        }
        assert_eq!(space.look(10_000, 20_000), 10_000 - KEPT);
        space.gave(10_000 - KEPT);
        assert_eq!(space.look(KEPT, 10_000 + KEPT), 0);
    }

    #[test]
    fn pages_that_are_used_between_two_looks_stay() {
        let mut space = Space::default();
        for turn in 0..20 {
            assert_eq!(space.look(if turn % 3 == 0 { 100 } else { 50_000 }, 100_000), 0);
        }
    }

    #[test]
    fn what_was_given_back_and_needed_again_is_kept_for_a_time() {
        let (mut space, mut pages) = (Space::default(), 100_000);
        // Every 20 reads all free pages are used, and later they are free again.
        let mut given = Vec::new();
        for turn in 0..2_000 {
            let free = if turn % 20 == 0 { 0 } else { pages - 50_000 };
            let surplus = space.look(free, pages);
            space.gave(surplus);
            pages -= surplus;
            given.push(surplus);
            if turn % 20 == 19 {
                pages = 100_000;
            }
        }
        let sum = |turns: &[usize]| turns.iter().sum::<usize>();
        assert!(sum(&given[..20]) > 40_000);
        // In each such period a part of what is kept is forgotten, and returned again.
        assert!(sum(&given[40..]) / 98 < sum(&given[..20]) / 20, "{}", sum(&given[40..]) / 98);
    }
}
