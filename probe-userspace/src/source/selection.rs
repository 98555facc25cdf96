//! What is captured: rules (`--capture-filter`) and an expression (`-f`), in force together, replaced together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::bpf::Selector;
use super::xdp::CaptureFilter;

/// A frame is metered when both select it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Applied before a frame is taken: in the XDP program, or in front of a source that has none.
    pub rules: CaptureFilter,
    /// Judged by the worker, when the frame was taken.
    pub selector: Option<Selector>,
}

impl Selection {
    /// What the XDP program leaves out by. Rules that somebody wrote are not mixed with those that come of an expression: what both
    /// together select could not be said in one set.
    pub fn of_program(&self) -> CaptureFilter {
        let of_expression = self.selector.as_ref().and_then(Selector::rules);
        match of_expression {
            Some((_, rules)) if self.rules.is_empty() => rules.clone(),
            _ => self.rules.clone(),
        }
    }
}

/// The selection in force, for sources of several threads; it may be replaced while they run.
#[derive(Debug, Default)]
pub struct InForce {
    selection: Mutex<Arc<Selection>>,
    /// Grows behind each replacement: a source looks at this once a burst, and at the lock only when it has grown.
    version: AtomicU64,
}

impl InForce {
    /// Begins with this one.
    pub fn new(selection: Selection) -> Self {
        Self { selection: Mutex::new(Arc::new(selection)), version: AtomicU64::new(0) }
    }

    /// The selection now.
    pub fn get(&self) -> Arc<Selection> {
        Arc::clone(&self.selection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sources take this one with their next burst.
    pub fn replace(&self, selection: Selection) {
        *self.selection.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(selection);
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// A source's own copy of what is in force.
#[derive(Debug)]
pub struct Follower {
    in_force: Arc<InForce>,
    selection: Arc<Selection>,
    version: u64,
}

impl Follower {
    /// Of what is in force, now and later.
    pub fn of(in_force: &Arc<InForce>) -> Self {
        // The version first: a selection that comes in between is taken once more.
        let version = in_force.version.load(Ordering::Acquire);
        Self { in_force: Arc::clone(in_force), selection: in_force.get(), version }
    }

    /// To be asked once a burst.
    #[inline]
    pub fn now(&mut self) -> &Selection {
        let version = self.in_force.version.load(Ordering::Acquire);
        if version != self.version {
            (self.selection, self.version) = (self.in_force.get(), version);
        }
        &self.selection
    }

    /// Whether there have never been rules.
    pub fn never_had_rules(&self) -> bool {
        self.version == 0 && self.selection.rules.is_empty()
    }
}
