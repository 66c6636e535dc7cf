//! Counts what the engine does inside of containers, and stops it.
//!
//! The engine's operators ask a container for its items without a way to fail. So the count is kept for the thread that
//! renders, and who goes beyond it is stopped by unwinding to [`limited`]. No code in between can swallow that.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Units of work for one visit of an item. One unit is about one byte that is copied.
pub(super) const VISIT: u64 = 64;

thread_local! {
    /// Units that are left to the rendering on this thread. Outside of a rendering nothing is counted.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    /// Texts of numbers that were printed and are no integers of 64 bits, for the warning that a number prints otherwise
    /// than it came.
    static PRINTED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Most texts of numbers that are kept.
const MAX_PRINTED: usize = 64;

/// Why [`limited`] stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// More units were spent than allowed.
    Spent,
    /// A list or map with something missing in it was to become a text.
    Missing,
    /// A panic, which is a fault of this program or of the engine.
    Panicked,
}

/// Gives the units of the thread back when a rendering ends, however it ends.
struct Restore(u64);

impl Drop for Restore {
    fn drop(&mut self) {
        LEFT.set(self.0);
    }
}

/// Runs `render`, which may spend `units`. Panics are caught.
///
/// # Errors
/// Why it did not come to its end.
pub(super) fn limited<T>(units: u64, render: impl FnOnce() -> T) -> Result<T, Stopped> {
    let _restore = Restore(LEFT.replace(units));
    // What a rendering changes is dropped with it. The index of a document, which stays, is replaced as a whole.
    catch_unwind(AssertUnwindSafe(render)).map_err(|reason: Box<dyn Any + Send>| {
        reason.downcast::<Stopped>().map_or(Stopped::Panicked, |stopped| *stopped)
    })
}

/// Counts `units` of work, and stops the rendering when none are left.
pub(super) fn spend(units: u64) {
    match LEFT.get().checked_sub(units) {
        Some(left) => LEFT.set(left),
        None => {
            LEFT.set(0);
            stop(Stopped::Spent);
        }
    }
}

/// Stops the rendering.
pub(super) fn stop(reason: Stopped) {
    // A second panic while one unwinds would end the process.
    if !std::thread::panicking() {
        // Unlike `panic!` this calls no hook, so nothing is printed.
        resume_unwind(Box::new(reason));
    }
}

/// Counts the visit of an item with a text of `bytes`.
pub(super) fn visit(bytes: usize) {
    spend(VISIT + bytes as u64);
}

/// Keeps the text of a number that was printed.
pub(super) fn note_printed(text: &str) {
    PRINTED.with_borrow_mut(|printed| {
        if printed.len() < MAX_PRINTED && !printed.iter().any(|known| known == text) {
            printed.push(text.to_owned());
        }
    });
}

/// The numbers that were printed on this thread since the last call.
pub(super) fn take_printed() -> Vec<String> {
    PRINTED.take()
}
