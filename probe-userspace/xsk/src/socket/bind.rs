//! From options to a bound socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::queue::{Queue, thing};
use super::rings::Mapper;
use super::{Mode, Options, Socket, busy_poll, holder};
use crate::refill::{self, Refill};
use crate::ring::{Completion, Fill};
use crate::umem::Umem;
use crate::{Error, syscall};

/// Pause between two tries at a busy queue.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

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
        (None, Some(other)) => opened.join(&other)?,
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
    /// The flags and the mode they ask for, in the order to try them; no mode where it is inherited.
    attempts: Vec<(Option<Mode>, u16)>,
    /// The socket whose UMEM is shared.
    shared_with: Option<Arc<Queue>>,
}

impl Opened<'_> {
    /// The first socket of its UMEM registers it and asks for modes.
    fn register(&self) -> Result<Founding, Error> {
        let registration = self.umem.registration();
        self.set("setsockopt(XDP_UMEM_REG)", libc::XDP_UMEM_REG, &registration)?;
        let mut flags = 0;
        if self.options.need_wakeup {
            flags |= libc::XDP_USE_NEED_WAKEUP;
        }
        if self.options.multi_buffer {
            flags |= libc::XDP_USE_SG;
        }
        let attempts = self.options.modes.iter().map(|mode| (Some(*mode), flags | mode.flag())).collect();
        Ok(Founding { attempts, shared_with: None })
    }

    /// The first socket of a further queue takes UMEM, mode and flags from another.
    fn join(&self, other: &Arc<Queue>) -> Result<Founding, Error> {
        Ok(Founding { attempts: vec![(None, libc::XDP_SHARED_UMEM)], shared_with: Some(Arc::clone(other)) })
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
        let bound = self.try_modes(&founding);
        let (mode, refused_modes) = match bound {
            Ok(bound) => bound,
            Err(error) => {
                // Never bound, so the kernel has touched none of them.
                self.umem.free(lent.into_iter().filter_map(|address| self.umem.take_back(address).ok()));
                return Err(error);
            }
        };
        let queue = Arc::new(self.queue(founding, mode, refused_modes, fill, completion));
        let socket = self.finish(Arc::clone(&queue), busy)?;
        Ok((socket, queue))
    }

    /// A further socket of a queue: its own RX and TX ring, all else is the queue's.
    fn share(self, queue: Arc<Queue>, busy: Option<io::Error>) -> Result<Socket, Error> {
        self.set_own_rings()?;
        self.bind_retrying(libc::XDP_SHARED_UMEM, Some(&queue))
            .map_err(|source| self.refused(libc::XDP_SHARED_UMEM, source))?;
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

    /// The first attempt that the kernel takes: the mode it reports, and those that it refused before.
    fn try_modes(&self, founding: &Founding) -> Result<(Mode, Vec<(Mode, io::Error)>), Error> {
        let mut refused = Vec::new();
        let mut last = None;
        for (mode, flags) in &founding.attempts {
            match self.bind_retrying(*flags, founding.shared_with.as_ref()) {
                Ok(()) => return Ok((self.mode_got()?, refused)),
                Err(source) => {
                    let final_answer = !is_about_the_mode(&source);
                    if let Some((mode, source)) = mode.zip(clone_error(&source)) {
                        refused.push((mode, source));
                    }
                    last = Some(self.refused(*flags, source));
                    if final_answer {
                        break;
                    }
                }
            }
        }
        // `Options::check` has refused an empty list, so there was a last one.
        Err(last.unwrap_or_else(|| self.refused(0, io::Error::from_raw_os_error(libc::EINVAL))))
    }

    /// bind(2), again and again while the queue is busy, for `busy_retry` at most.
    fn bind_retrying(&self, flags: u16, shared_with: Option<&Arc<Queue>>) -> io::Result<()> {
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: flags,
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
        mode: Mode,
        refused_modes: Vec<(Mode, io::Error)>,
        fill: Fill,
        completion: Completion,
    ) -> Queue {
        let inherited = founding.shared_with;
        Queue {
            interface: self.options.interface.clone(),
            queue: self.options.queue,
            mode,
            refused_modes,
            need_wakeup: inherited.as_ref().map_or(self.options.need_wakeup, |queue| queue.need_wakeup),
            multi_buffer: inherited.as_ref().map_or(self.options.multi_buffer, |queue| queue.multi_buffer),
            fill: refill::Shared::new(fill),
            completion: Mutex::new(completion),
            owner: Arc::clone(&self.descriptor),
        }
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

    fn refused(&self, flags: u16, source: io::Error) -> Error {
        let busy = source.raw_os_error() == Some(libc::EBUSY);
        let mut error =
            Error::kernel("bind(AF_XDP)", format!("{} ({})", self.thing, flag_names(flags)), source);
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

/// Bind flags as the kernel's header names them.
fn flag_names(flags: u16) -> String {
    let named = [
        (libc::XDP_SHARED_UMEM, "XDP_SHARED_UMEM"),
        (libc::XDP_COPY, "XDP_COPY"),
        (libc::XDP_ZEROCOPY, "XDP_ZEROCOPY"),
        (libc::XDP_USE_NEED_WAKEUP, "XDP_USE_NEED_WAKEUP"),
        (libc::XDP_USE_SG, "XDP_USE_SG"),
    ];
    let set: Vec<_> = named.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name).collect();
    set.join("|")
}
