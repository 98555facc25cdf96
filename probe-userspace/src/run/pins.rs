//! What the kernel keeps of this run, and what it kept of killed ones.
//!
//! ```text
//! killed:  link ─► taken over by the door of its interface, or taken off      counters ─► once they stand still: terms
//!                                                                                ─► closing message ─► removed
//! own:     places, for programs that the next start is to find ─► emptied behind the closed books
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use flow_wire::stamp::{Epoch, ProbeId};

use super::host::User;
use super::mode::Mode;
use super::plan::Plan;
use crate::config::Config;
use crate::export::{Identity, KernelSide};
use crate::source::xdp::have_ended;
use crate::source::xdp::pins::{self, Estate, Namespace, Orphan, Pinned, Place};
use crate::spool::Spool;

/// Both; of a run that reads files neither.
#[derive(Default)]
pub(super) struct Pins {
    own: Option<Pinned>,
    estates: Vec<Left>,
    live: Option<Live>,
}

/// Where to look for what is in the way.
struct Live {
    base: PathBuf,
    probe: ProbeId,
    namespace: Namespace,
    /// This run closes the books of those before it.
    closes: bool,
}

struct Left {
    estate: Estate,
    /// The spool waits for its last books.
    is_open: bool,
}

impl Pins {
    /// `is_lasting`: this run is to survive a kill.
    ///
    /// A worker that reads packet sockets too counts what it took from them with the rest: then nobody could say what the program's
    /// rings held.
    pub(super) fn open(
        config: &Config,
        plan: &Plan,
        identity: &Identity,
        (is_lasting, user): (bool, Option<User>),
        spool: Option<&Spool>,
    ) -> Self {
        if plan.ports.is_empty() {
            return Self::default();
        }
        let namespace = match Namespace::current() {
            Ok(namespace) => namespace,
            Err(error) => {
                say(&error);
                return Self::default();
            }
        };
        let user = user.map(User::ids);
        let (base, probe) = (config.bpf_dir.clone(), identity.probe);
        let estates: Vec<_> = pins::estates(&base, probe)
            .into_iter()
            .map(|estate| {
                let given: io::Result<()> = estate.give_to(user);
                given.unwrap_or_else(|error| tracing::warn!("{}: {error}", base.display()));
                // Without a spool nobody knows more than the files of the run, if they are there.
                let is_open = spool.is_some_and(|spool| spool.is_open(estate.epoch));
                Left { estate, is_open }
            })
            .collect();
        let is_all_xdp = plan.ports.iter().all(|port| port.mode == Mode::Xdp);
        let makes = is_lasting && is_all_xdp;
        let own = makes
            .then(|| Pinned::make(&base, probe, identity.epoch, user).inspect_err(|refusal| say(refusal)));
        let live = Live { base, probe, namespace, closes: is_lasting };
        Self { own: own.and_then(Result::ok), estates, live: Some(live) }
    }

    /// Where the program of an interface is kept; `None` = nowhere. All of them are kept, or none.
    pub(super) fn place(&mut self, interface: &str) -> Option<Place> {
        let place = self.own.as_mut()?.place(interface, self.live.as_ref()?.namespace);
        if let Err(refusal) = &place {
            say(refusal);
            self.keep_nothing();
        }
        place.ok()
    }

    /// What a killed probe, this or another, left attached to this interface.
    pub(super) fn orphan(&mut self, interface_index: u32) -> Option<Orphan> {
        let live = self.live.as_ref()?;
        let mut own = self.estates.iter_mut();
        own.find_map(|left| left.estate.take_orphan(live.namespace, interface_index))
            .or_else(|| pins::in_the_way(&live.base, live.probe, live.namespace, interface_index))
    }

    /// Nothing of this run outlives a kill.
    pub(super) fn keep_nothing(&mut self) {
        self.own = None;
    }

    /// The doors are about to be opened.
    pub(super) fn begin(&mut self) {
        self.own.iter_mut().for_each(Pinned::begin);
    }

    /// The terms of killed epochs, once this run's programs are in the place of theirs. What is of none of `remains`, and was accounted
    /// for, is removed.
    pub(super) fn settle(&mut self, remains: &[Epoch]) -> BTreeMap<Epoch, KernelSide> {
        let mut left = std::mem::take(&mut self.estates);
        if left.is_empty() {
            return BTreeMap::new();
        }
        // Nobody on this host captures by them any more.
        left.iter_mut().for_each(|left| left.estate.detach());
        have_ended();
        let mut sides = BTreeMap::new();
        let closes = self.live.as_ref().is_some_and(|live| live.closes);
        for Left { estate, is_open } in left.into_iter().filter(|_| closes) {
            match (remains.contains(&estate.epoch), is_open && !estate.is_empty()) {
                (true, _) => drop(sides.insert(estate.epoch, side(estate))),
                (false, false) => estate.remove(),
                (false, true) => tracing::warn!(
                    "of the run {} only the kernel's counters are left: they stay until its books are closed",
                    estate.epoch.0
                ),
            }
        }
        sides
    }

    /// The books are closed.
    pub(super) fn end(self) {
        self.own.into_iter().for_each(Pinned::end);
    }
}

fn say(refusal: &dyn std::fmt::Display) {
    tracing::warn!("what the kernel does between a kill and the next start will not be counted: {refusal}");
}

fn side(mut estate: Estate) -> KernelSide {
    let queues = estate.terms().inspect_err(|error| {
        tracing::error!("{error}: the books of the run {} close without the kernel's side", estate.epoch.0);
    });
    let counted = estate.counted();
    KernelSide { queues: queues.ok(), counted, remove: Box::new(move || estate.remove()) }
}
