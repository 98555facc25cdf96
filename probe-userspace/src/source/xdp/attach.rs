//! Attaching by bpf_link: native, else generic.

use aya::programs::links::FdLink;
use aya::programs::xdp::XdpLink;
use aya::programs::{Xdp, XdpMode};

use super::error::{Error, chain, system};

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel makes a socket buffer.
    Native,
    /// In the stack, on socket buffers: slower, and what it cannot deliver has no counter.
    Generic,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// Which modes to try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Native, else generic.
    #[default]
    Best,
    /// Native or nothing.
    Native,
    /// Generic.
    Generic,
}

/// What attaching came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Where the program runs.
    pub mode: Mode,
    /// Why not native, where that was tried first.
    pub native_refused: Option<String>,
}

impl Wanted {
    /// Whether attaching anew would come to this mode. What would try native first does so, though an earlier one had to be generic.
    pub(super) fn would_come_to(self, mode: Mode) -> bool {
        mode == if self == Self::Generic { Mode::Generic } else { Mode::Native }
    }
}

/// Puts the program into a link in place of the one there.
pub(super) fn replace(program: &mut Xdp, link: FdLink) -> Result<FdLink, Error> {
    let link = XdpLink::try_from(link).map_err(not_succeeded)?;
    let id = program.attach_to_link(link).map_err(not_succeeded)?;
    let owned = program.take_link(id).map_err(not_succeeded)?;
    FdLink::try_from(owned).map_err(not_succeeded)
}

fn not_succeeded(error: impl std::error::Error + 'static) -> Error {
    Error::NotSucceeded { reason: chain(&error) }
}

/// Tries the modes in their order. The link lives as long as its descriptor, and its pins: when the process dies, however, the
/// kernel detaches a program that is not pinned.
pub(super) fn attach(
    program: &mut Xdp,
    interface: &str,
    index: u32,
    wanted: Wanted,
) -> Result<(FdLink, Attached), Error> {
    let native = match wanted {
        Wanted::Generic => "not tried".to_owned(),
        Wanted::Best | Wanted::Native => match link(program, interface, index, XdpMode::Driver)? {
            Ok(link) => return Ok((link, Attached { mode: Mode::Native, native_refused: None })),
            Err(reason) => reason,
        },
    };
    let generic = match wanted {
        Wanted::Native => "not tried".to_owned(),
        Wanted::Best | Wanted::Generic => match link(program, interface, index, XdpMode::Skb)? {
            Ok(link) => {
                let native_refused = (wanted == Wanted::Best).then_some(native);
                return Ok((link, Attached { mode: Mode::Generic, native_refused }));
            }
            Err(reason) => reason,
        },
    };
    Err(Error::Refused { interface: interface.to_owned(), native, generic })
}

/// `Ok(Err)` = this mode is refused, another may do.
fn link(
    program: &mut Xdp,
    interface: &str,
    index: u32,
    mode: XdpMode,
) -> Result<Result<FdLink, String>, Error> {
    let id = match program.attach_to_if_index(index, mode) {
        Ok(id) => id,
        Err(error) => {
            return match system(&error) {
                Some(libc::EBUSY | libc::EEXIST) => Err(Error::Busy { interface: interface.to_owned() }),
                Some(libc::EPERM | libc::EACCES) => {
                    Err(Error::NotPermitted { operation: "attaching the XDP program" })
                }
                _ => Ok(Err(chain(&error))),
            };
        }
    };
    let owned = program.take_link(id).map_err(|error| Error::NotLoaded { reason: chain(&error) })?;
    match FdLink::try_from(owned) {
        Ok(link) => Ok(Ok(link)),
        Err(_) => {
            // aya falls back to netlink where the kernel answers EINVAL to a link. Attached once more, it can be
            // detached by its id; left alone it would outlive the process.
            if let Ok(id) = program.attach_to_if_index(index, mode) {
                let _ = program.detach(id);
            }
            Err(Error::NoLink { interface: interface.to_owned() })
        }
    }
}
