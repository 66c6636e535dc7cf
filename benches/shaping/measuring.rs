//! Processor time and memory of a piece of work.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes that are allocated now, and the most there were since [`measured`] began.
static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: all memory is the system allocator's; only sizes are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(used, Relaxed);
        // SAFETY: the caller's layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the memory came from the same allocator with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a piece of work cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Milliseconds of this thread's processor time, so that other processes do not count.
    pub ms: f64,
    /// The most bytes it had allocated at one time.
    pub bytes: usize,
}

/// Does the work and says what it cost.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let before = USED.load(Relaxed);
    MOST.store(before, Relaxed);
    let start = processor_ms();
    let done = work();
    let ms = processor_ms() - start;
    (done, Cost { ms, bytes: MOST.load(Relaxed) - before })
}

/// Milliseconds that this thread has run.
fn processor_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1e6
}
