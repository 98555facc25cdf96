//! The order of stores, and a place to be killed between any two of them.
//!
//! A process that is killed has executed a prefix of each thread's program, and memory holds what that prefix stored,
//! wherever the processor kept it: nothing of a kill is visible to memory order. Only the compiler may have reordered the
//! program, and [`step`] forbids it that. So a `step` is exactly a point at which a kill can find the memory, and in tests it
//! is one at which a kill can be made to happen.

use std::sync::atomic::{Ordering, compiler_fence};

/// All stores before are executed before all stores behind.
#[inline(always)]
pub(crate) fn step() {
    compiler_fence(Ordering::SeqCst);
    #[cfg(test)]
    kill::point();
}

/// A kill point inside of what one journal entry covers: the order of the stores around it does not matter, any of them may
/// be missing.
#[inline(always)]
pub(crate) fn torn() {
    #[cfg(test)]
    kill::point();
}

#[cfg(test)]
pub(crate) mod kill {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    thread_local!(static LEFT: Cell<Option<u64>> = const { Cell::new(None) });

    struct Killed;

    /// Ends the thread's work here if its time has come. It unwinds, which stores nothing: no part of this room has a
    /// destructor that writes.
    pub(crate) fn point() {
        LEFT.with(|left| match left.get() {
            None => {}
            Some(0) => {
                left.set(None);
                resume_unwind(Box::new(Killed));
            }
            Some(more) => left.set(Some(more - 1)),
        });
    }

    /// Runs until the `after`th point; `false` = it was killed there.
    pub(crate) fn after(after: u64, run: impl FnOnce()) -> bool {
        LEFT.with(|left| left.set(Some(after)));
        let ended = catch_unwind(AssertUnwindSafe(run));
        LEFT.with(|left| left.set(None));
        match ended {
            Ok(()) => true,
            Err(cause) if cause.is::<Killed>() => false,
            Err(cause) => resume_unwind(cause),
        }
    }
}
