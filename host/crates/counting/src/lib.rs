//! What code holds in memory at most, counted by the allocator, for tests that
//! hold a limit.
//!
//! In: something to do. Out: the most bytes that it held at a time. Only what its
//! own thread allocates counts, so that tests beside it do not disturb. The
//! binary says that this is its allocator:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: livehost_counting::Counting = livehost_counting::Counting;
//!
//! let (peak, text) = livehost_counting::peak_of(|| "a".repeat(1000));
//! assert_eq!((peak, text.len()), (1000, 1000));
//! ```

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, and a count.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    /// What this thread has allocated and not freed, and the most that was.
    static HELD: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn count(change: impl Fn(usize) -> usize) {
    // It is not there any more while a thread ends.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        let now = change(now);
        held.set((now, most.max(now)));
    });
}

// SAFETY: all of it is the system's allocator. The default `realloc`, which is
// kept, allocates the new before it frees the old: the dearest way to do it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|now| now.saturating_add(layout.size()));
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(|now| now.saturating_add(layout.size()));
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(|now| now.saturating_sub(layout.size()));
        // SAFETY: the caller keeps the same promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Bytes that this thread has allocated and not freed.
pub fn held() -> usize {
    HELD.get().0
}

/// The most bytes that `act` held at a time beyond what was held before, and what
/// it returns.
pub fn peak_of<T>(act: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.get().0;
    HELD.set((before, before));
    let result = act();
    (HELD.get().1.saturating_sub(before), result)
}
