//! From options to a bound socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::attempt::{self, Attempt};
use super::queue::{Queue, thing};
use super::rings::Mapper;
use super::{Mode, Options, Socket, busy_poll, holder};
use crate::refill::{self, Refill};
use crate::ring::{Completion, Fill};
use crate::umem::Umem;
use crate::{Error, syscall};

/// Pause between two tries at a busy queue.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// What a frame has beside the MTU: Ethernet header and two VLAN tags.
const LINK_OCTETS: u32 = 22;

/// See [`Socket::bind`].
pub(super) fn bind(umem: &Umem, options: &Options) -> Result<Socket, Error> {
    options.check()?;
    let thing = thing(&options.interface, options.queue);
    let descriptor = syscall::socket(libc::AF_XDP, 0)
        .map_err(|source| Error::kernel("socket(AF_XDP)", thing.as_str(), source))?;
    let opened = Opened { umem, options, thing, descriptor: Arc::new(descriptor) };
    let busy_poll_refused =
        options.busy_poll.and_then(|wanted| busy_poll::enable(opened.descriptor.as_fd(), wanted).err());
    let mut bound = umem.registry().lock();
    let queue = match (bound.find(&options.interface, options.queue), bound.any()) {
        (Some(queue), _) => return opened.share(queue, busy_poll_refused),
        (None, Some(other)) => Opened::join(&other),
        (None, None) => opened.register()?,
    };
    let (socket, queue) = opened.found(queue, busy_poll_refused)?;
    bound.add(&queue);
    Ok(socket)
}

/// A socket on its way to being bound.
struct Opened<'a> {
    umem: &'a Umem,
    options: &'a Options,
    thing: String,
    descriptor: Arc<OwnedFd>,
}

/// How the first socket of a queue is to be bound.
struct Founding {
    attempts: Vec<Attempt>,
    /// The socket whose UMEM is shared.
    shared_with: Option<Arc<Queue>>,
}

/// How it was bound.
struct Found {
    attempt: Attempt,
    /// The modes that were refused before.
    refused_modes: Vec<(Mode, io::Error)>,
}

impl Opened<'_> {
    /// The first socket of its UMEM registers it and asks for modes.
    fn register(&self) -> Result<Founding, Error> {
        let registration = self.umem.registration();
        self.set("setsockopt(XDP_UMEM_REG)", libc::XDP_UMEM_REG, &registration)?;
        let attempts = attempt::of_umem(self.options, self.fits_one_buffer());
        Ok(Founding { attempts, shared_with: None })
    }

    /// The first socket of a further queue takes UMEM, mode and flags from another.
    fn join(other: &Arc<Queue>) -> Founding {
        Founding { attempts: vec![attempt::INHERITED], shared_with: Some(Arc::clone(other)) }
    }

    /// Whether the largest frame of the interface fits in one buffer; where its MTU is not to be had, no.
    fn fits_one_buffer(&self) -> bool {
        let mtu = self.options.interface.mtu();
        mtu.is_ok_and(|mtu| mtu.saturating_add(LINK_OCTETS) <= self.umem.packet_room())
    }

    /// Makes the queue's rings, fills it, binds.
    fn found(self, founding: Founding, busy: Option<io::Error>) -> Result<(Socket, Arc<Queue>), Error> {
        let options = self.options;
        self.set("setsockopt(XDP_UMEM_FILL_RING)", libc::XDP_UMEM_FILL_RING, &options.fill_slots)?;
        let completion_slots = &options.completion_slots;
        self.set("setsockopt(XDP_UMEM_COMPLETION_RING)", libc::XDP_UMEM_COMPLETION_RING, completion_slots)?;
        self.set_own_rings()?;
        let (mut fill, completion) = self.map_queue_rings()?;
        let lent = self.fill(&mut fill)?;
        let found = self.try_attempts(&founding).inspect_err(|_| {
            // Never bound, so the kernel has touched none of them.
            self.umem.free(lent.into_iter().filter_map(|address| self.umem.take_back(address).ok()));
        })?;
        let queue = Arc::new(self.queue(founding, found, fill, completion)?);
        let socket = self.finish(Arc::clone(&queue), busy)?;
        Ok((socket, queue))
    }

    /// A further socket of a queue: its own RX and TX ring, all else is the queue's.
    fn share(self, queue: Arc<Queue>, busy: Option<io::Error>) -> Result<Socket, Error> {
        self.set_own_rings()?;
        self.bind_retrying(attempt::INHERITED, Some(&queue))
            .map_err(|source| self.refused(attempt::INHERITED, source))?;
        self.finish(queue, busy)
    }

    fn set_own_rings(&self) -> Result<(), Error> {
        self.set("setsockopt(XDP_RX_RING)", libc::XDP_RX_RING, &self.options.rx_slots)?;
        if self.options.tx_slots > 0 {
            self.set("setsockopt(XDP_TX_RING)", libc::XDP_TX_RING, &self.options.tx_slots)?;
        }
        Ok(())
    }

    fn map_queue_rings(&self) -> Result<(Fill, Completion), Error> {
        let mapper = Mapper::new(self.descriptor.as_fd(), self.umem, &self.thing)?;
        Ok((mapper.fill(self.options.fill_slots)?, mapper.completion(self.options.completion_slots)?))
    }

    /// Lends frames of the pool to the kernel, as many as there are up to a full ring; returns their addresses.
    fn fill(&self, fill: &mut Fill) -> Result<Vec<u64>, Error> {
        let mut frames = self.umem.allocate(self.options.fill_slots);
        if frames.is_empty() {
            return Err(Error::NoFrames { thing: self.thing.clone(), frames: self.umem.frames() });
        }
        let addresses = frames.iter().map(|frame| self.umem.address(frame)).collect();
        fill.give(&mut frames);
        self.umem.free(frames);
        Ok(addresses)
    }

    /// The first attempt that the kernel takes.
    fn try_attempts(&self, founding: &Founding) -> Result<Found, Error> {
        let mut refused_modes: Vec<(Mode, io::Error)> = Vec::new();
        let mut last = None;
        for attempt in &founding.attempts {
            let Err(source) = self.bind_retrying(*attempt, founding.shared_with.as_ref()) else {
                refused_modes.retain(|(mode, _)| Some(*mode) != attempt.mode);
                return Ok(Found { attempt: *attempt, refused_modes });
            };
            let is_final = !is_about_the_mode(&source);
            if let Some(mode) =
                attempt.mode.filter(|mode| refused_modes.iter().all(|(refused, _)| refused != mode))
            {
                refused_modes.extend(clone_error(&source).map(|source| (mode, source)));
            }
            last = Some(self.refused(*attempt, source));
            if is_final {
                break;
            }
        }
        // `Options::check` has refused an empty list, so there was a last one.
        Err(last
            .unwrap_or_else(|| self.refused(attempt::INHERITED, io::Error::from_raw_os_error(libc::EINVAL))))
    }

    /// bind(2), again and again while the queue is busy, for `busy_retry` at most.
    fn bind_retrying(&self, attempt: Attempt, shared_with: Option<&Arc<Queue>>) -> io::Result<()> {
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: attempt.flags,
            sxdp_ifindex: self.options.interface.index(),
            sxdp_queue_id: self.options.queue.0,
            sxdp_shared_umem_fd: shared_with.map_or(0, |queue| queue.owner.as_raw_fd() as u32),
        };
        let until = Instant::now() + self.options.busy_retry;
        loop {
            match syscall::bind(self.descriptor.as_fd(), &address) {
                Err(busy) if busy.raw_os_error() == Some(libc::EBUSY) && Instant::now() < until => {
                    thread::sleep(RETRY_PAUSE);
                }
                other => return other,
            }
        }
    }

    fn mode_got(&self) -> Result<Mode, Error> {
        let fd = self.descriptor.as_fd();
        let (options, _) = syscall::get_option::<libc::xdp_options>(fd, libc::SOL_XDP, libc::XDP_OPTIONS)
            .map_err(|source| Error::kernel("getsockopt(XDP_OPTIONS)", self.thing.as_str(), source))?;
        let zero_copy = options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0;
        Ok(if zero_copy { Mode::ZeroCopy } else { Mode::Copy })
    }

    fn queue(
        &self,
        founding: Founding,
        found: Found,
        fill: Fill,
        completion: Completion,
    ) -> Result<Queue, Error> {
        let inherited = founding.shared_with;
        Ok(Queue {
            interface: self.options.interface.clone(),
            queue: self.options.queue,
            mode: self.mode_got()?,
            refused_modes: found.refused_modes,
            need_wakeup: inherited.as_ref().map_or(self.options.need_wakeup, |queue| queue.need_wakeup),
            multi_buffer: inherited.map_or(found.attempt.is_multi_buffer(), |queue| queue.multi_buffer),
            fill: refill::Shared::new(fill),
            completion: Mutex::new(completion),
            owner: Arc::clone(&self.descriptor),
        })
    }

    /// The socket is bound: maps its own rings.
    fn finish(self, queue: Arc<Queue>, busy_poll_refused: Option<io::Error>) -> Result<Socket, Error> {
        let mapper = Mapper::new(self.descriptor.as_fd(), self.umem, &self.thing)?;
        let rx = mapper.rx(self.options.rx_slots)?;
        let tx = match self.options.tx_slots {
            0 => None,
            slots => Some(mapper.tx(slots)?),
        };
        Ok(Socket {
            umem: self.umem.clone(),
            refill: Refill::new(self.umem, &queue.fill),
            queue,
            descriptor: self.descriptor,
            rx,
            tx,
            sent: Vec::with_capacity(self.options.completion_slots as usize),
            busy_poll_refused,
        })
    }

    fn set<T: syscall::Plain>(&self, call: &'static str, name: i32, value: &T) -> Result<(), Error> {
        syscall::set_option(self.descriptor.as_fd(), libc::SOL_XDP, name, value)
            .map_err(|source| Error::kernel(call, self.thing.as_str(), source))
    }

    fn refused(&self, attempt: Attempt, source: io::Error) -> Error {
        let busy = source.raw_os_error() == Some(libc::EBUSY);
        let mut error =
            Error::kernel("bind(AF_XDP)", format!("{} ({})", self.thing, attempt.names()), source);
        let holders = if busy { holder::candidates() } else { Vec::new() };
        if !holders.is_empty() {
            error.set_mend(format!(
                "AF_XDP sockets are open in {}: stop it or take another queue",
                holders.join(", ")
            ));
        }
        error
    }
}

/// Whether another mode may be taken where this one was refused.
fn is_about_the_mode(error: &io::Error) -> bool {
    !matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENODEV | libc::ENETDOWN | libc::EBUSY))
}

/// The same error number once more.
fn clone_error(error: &io::Error) -> Option<io::Error> {
    error.raw_os_error().map(io::Error::from_raw_os_error)
}
