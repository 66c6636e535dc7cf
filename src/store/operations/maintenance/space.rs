//! Pages that deleted rows leave are used again by new ones. What is not needed any more is given back to the file system:
//! what has stayed free for a while, and is not likely to be used again soon. Else a file at full load would be made
//! shorter page by page only to grow again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::pace::{IDLE, STEP_TIME, after};
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::operations::rows;

/// Pages given back at once; between two times a step looks at its time.
const AT_ONCE: usize = 64;

/// A few free pages are soon used again.
const KEPT: usize = 256;

/// Pages that were free at each of so many looks, of the last one each [`IDLE`], have stayed free for a while.
const LOOKS: usize = 4;

/// What was needed again is forgotten by half in about so many looks (ten minutes).
const FORGET: usize = 512;

/// How the free pages go.
#[derive(Debug, Default)]
pub struct Space {
    /// Free pages at the last looks.
    free: VecDeque<usize>,
    /// Pages of the file at the last look.
    pages: usize,
    /// Pages that were given back and not needed again so far.
    given: usize,
    /// Pages to be kept besides, since as many were given back and needed again.
    needed: usize,
}

impl Store {
    /// One turn: looks for free pages that are not needed, and gives them back in small steps. Gives the time until the next
    /// turn.
    ///
    /// # Errors
    /// Unavailable; it is done later.
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

/// Gives back about `surplus` pages, as far as time goes and while more than `kept` are free; gives how many, and how long it
/// took.
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
    /// Notes that `free` of the file's `pages` are free; gives how many can be given back.
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
        // Each 20 looks all that is free is used, and later free again.
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
        // In each such time a part of what is kept is forgotten, and tried again.
        assert!(sum(&given[40..]) / 98 < sum(&given[..20]) / 20, "{}", sum(&given[40..]) / 98);
    }
}
