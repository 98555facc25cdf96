//! Addresses of other devices that an interface receives for. A macvlan moved into a container's namespace shows nowhere in
//! /sys of this one, but its address is in the list that the device filters by, and rtnetlink shows that list as
//! `bridge fdb show dev IF` does (net/core/rtnetlink.c, `ndo_dflt_fdb_dump`).
#![expect(unsafe_code, reason = "an AF_NETLINK socket has no safe constructor in the standard library")]

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};

/// Octets of one answer: the kernel fills at most 32 KiB a read (net/netlink/af_netlink.c).
const ANSWER_OCTETS: usize = 1 << 15;
/// Reads of one dump: a bridge of a million addresses is not what is asked about, and its dump ends here.
const READS_MOST: usize = 1 << 10;

const HEADER_OCTETS: usize = 16;
const NDMSG_OCTETS: usize = 12;
const ATTRIBUTE_OCTETS: usize = 4;

// linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h
const DONE: u16 = 3;
const ERROR: u16 = 2;
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const REQUEST_DUMP: u16 = 0x301;
const NDA_LLADDR: u16 = 2;
const NTF_SELF: u8 = 0x02;

/// The first address that the interface with this index receives for somebody else; `None` where it has none.
///
/// # Errors
/// No netlink socket, or the kernel refuses the question.
pub(super) fn of_others(index: u32) -> io::Result<Option<[u8; 6]>> {
    let mut socket = open()?;
    socket.write_all(&question())?;
    let mut answer = vec![0; ANSWER_OCTETS];
    for _ in 0..READS_MOST {
        let length = socket.read(&mut answer)?;
        match find(&answer[..length], index)? {
            Found::Address(address) => return Ok(Some(address)),
            Found::More => {}
            Found::End => return Ok(None),
        }
    }
    Ok(None)
}

fn open() -> io::Result<File> {
    // SAFETY: socket(2) takes three integers.
    let fd =
        unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just answered with this descriptor, nobody else has it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// A dump of all forwarding entries: struct nlmsghdr, then a struct ndmsg that names no interface.
fn question() -> Vec<u8> {
    let mut message = vec![0; HEADER_OCTETS + NDMSG_OCTETS];
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_GETNEIGH.to_ne_bytes());
    message[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    message[HEADER_OCTETS] = libc::AF_BRIDGE as u8;
    message
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Address([u8; 6]),
    More,
    End,
}

fn find(mut answer: &[u8], index: u32) -> io::Result<Found> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    while !answer.is_empty() {
        let length = u32::from_ne_bytes(at(answer, 0).ok_or_else(malformed)?) as usize;
        let kind = u16::from_ne_bytes(at(answer, 4).ok_or_else(malformed)?);
        let body = answer.get(HEADER_OCTETS..length).ok_or_else(malformed)?;
        match kind {
            DONE => return Ok(Found::End),
            ERROR => {
                let number = i32::from_ne_bytes(at(body, 0).ok_or_else(malformed)?);
                return Err(io::Error::from_raw_os_error(number.saturating_neg()));
            }
            RTM_NEWNEIGH => {
                if let Some(address) = of_other(body, index) {
                    return Ok(Found::Address(address));
                }
            }
            _ => {}
        }
        // NLMSG_ALIGN; the last one may end without its padding.
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(Found::More)
}

/// The address of one entry, if it is the device's own list's, of this device, and unicast.
fn of_other(entry: &[u8], index: u32) -> Option<[u8; 6]> {
    // struct ndmsg: family, padding to 4, ifindex, state (16 bits), flags, type.
    let (device, flags) = (u32::from_ne_bytes(at(entry, 4)?), entry.get(10)?);
    if device != index || flags & NTF_SELF == 0 {
        return None;
    }
    let mut attributes = entry.get(NDMSG_OCTETS..)?;
    while let (Some(length), Some(kind)) = (at(attributes, 0), at(attributes, 2)) {
        let length = usize::from(u16::from_ne_bytes(length));
        let value = attributes.get(ATTRIBUTE_OCTETS..length)?;
        if u16::from_ne_bytes(kind) == NDA_LLADDR {
            // Group addresses are of the stack itself: every interface has some.
            return <[u8; 6]>::try_from(value).ok().filter(|address| address[0] & 1 == 0);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn at<const N: usize>(octets: &[u8], offset: usize) -> Option<[u8; N]> {
    octets.get(offset..offset + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u32, flags: u8, address: [u8; 6]) -> Vec<u8> {
        let mut message = vec![0; HEADER_OCTETS + NDMSG_OCTETS];
        message[4..6].copy_from_slice(&RTM_NEWNEIGH.to_ne_bytes());
        message[HEADER_OCTETS + 4..][..4].copy_from_slice(&index.to_ne_bytes());
        message[HEADER_OCTETS + 10] = flags;
        message.extend(10_u16.to_ne_bytes());
        message.extend(NDA_LLADDR.to_ne_bytes());
        message.extend(address);
        let length = message.len() as u32;
        message[..4].copy_from_slice(&length.to_ne_bytes());
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    #[test]
    fn only_a_unicast_address_of_this_device_is_somebody_elses() {
        let mine = entry(7, NTF_SELF, [2, 0, 0, 0, 0, 9]);
        assert_eq!(find(&mine, 7).unwrap(), Found::Address([2, 0, 0, 0, 0, 9]));
        assert_eq!(find(&mine, 8).unwrap(), Found::More);
        assert_eq!(find(&entry(7, 0, [2, 0, 0, 0, 0, 9]), 7).unwrap(), Found::More);
        assert_eq!(find(&entry(7, NTF_SELF, [0x33, 0x33, 0, 0, 0, 1]), 7).unwrap(), Found::More);
        let both = [entry(8, NTF_SELF, [2, 0, 0, 0, 0, 1]), mine].concat();
        assert_eq!(find(&both, 7).unwrap(), Found::Address([2, 0, 0, 0, 0, 9]));
    }

    #[test]
    fn an_answer_cut_off_anywhere_never_panics() {
        let answer = entry(7, NTF_SELF, [2, 0, 0, 0, 0, 9]);
        for length in 0..answer.len() {
            let _either_is_an_answer = find(&answer[..length], 7);
        }
    }

    #[test]
    fn the_loopback_receives_for_nobody() {
        assert_eq!(of_others(1).unwrap(), None);
    }
}
