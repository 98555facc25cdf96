//! What the sockets of one queue share, and which queues a UMEM serves.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Mode;
use crate::refill;
use crate::ring::Completion;
use crate::{Interface, QueueId};

/// A queue of an interface, bound to a UMEM. Lives as long as one of its sockets.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) interface: Interface,
    pub(super) queue: QueueId,
    pub(super) mode: Mode,
    pub(super) refused_modes: Vec<(Mode, io::Error)>,
    pub(super) need_wakeup: bool,
    pub(super) multi_buffer: bool,
    pub(super) fill: refill::Shared,
    pub(super) completion: Mutex<Completion>,
    /// The socket that further ones name in XDP_SHARED_UMEM.
    pub(super) owner: Arc<OwnedFd>,
}

impl Queue {
    /// For messages.
    pub(super) fn thing(&self) -> String {
        thing(&self.interface, self.queue)
    }
}

/// Interface and queue, for messages.
pub(super) fn thing(interface: &Interface, queue: QueueId) -> String {
    format!("interface {interface} queue {queue}")
}

/// The queues that a UMEM serves.
#[derive(Debug, Default)]
pub struct Registry(Mutex<Vec<Weak<Queue>>>);

impl Registry {
    /// Locked while a socket binds, so that two threads do not both register the UMEM or make the same queue.
    pub(super) fn lock(&self) -> Bound<'_> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|queue| queue.strong_count() > 0);
        Bound(queues)
    }
}

/// The queues that are bound now.
pub(super) struct Bound<'a>(MutexGuard<'a, Vec<Weak<Queue>>>);

impl Bound<'_> {
    /// The queue, where it is bound already.
    pub(super) fn find(&self, interface: &Interface, queue: QueueId) -> Option<Arc<Queue>> {
        let same = |bound: &Arc<Queue>| bound.interface.index() == interface.index() && bound.queue == queue;
        self.0.iter().filter_map(Weak::upgrade).find(same)
    }

    /// Any queue.
    pub(super) fn any(&self) -> Option<Arc<Queue>> {
        self.0.iter().find_map(Weak::upgrade)
    }

    /// Adds a queue that has just been bound.
    pub(super) fn add(&mut self, queue: &Arc<Queue>) {
        self.0.push(Arc::downgrade(queue));
    }
}
