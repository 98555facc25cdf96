//! The network interfaces of this namespace, as getifaddrs(3) tells them: from rtnetlink, and so true for the
//! namespace of the process even where /sys belongs to another.
#![expect(unsafe_code, reason = "getifaddrs(3) hands out a linked list of raw pointers")]

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index in this namespace (IPFIX 10).
    pub index: u32,
    /// ARPHRD_ type of its link layer.
    pub hardware_type: u16,
    /// Its MAC address; zero where it has none.
    pub mac_address: [u8; 6],
    /// Administratively up.
    pub up: bool,
    /// Its addresses, link-local ones too.
    pub addresses: Vec<IpAddr>,
}

/// Lists them in the kernel's order.
///
/// # Errors
/// The kernel's: out of memory or descriptors.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let list = List::get()?;
    let mut found: Vec<Interface> = list.entries().filter_map(link).collect();
    for entry in list.entries() {
        if let (Some(name), Some(address)) = (name(entry), address(entry))
            && let Some(interface) = found.iter_mut().find(|interface| interface.name == name)
        {
            interface.addresses.push(address);
        }
    }
    Ok(found)
}

/// Owns the list.
struct List(*mut libc::ifaddrs);

impl List {
    fn get() -> io::Result<Self> {
        let mut first = std::ptr::null_mut();
        // SAFETY: the argument points to a live pointer, which the call fills on success only.
        match unsafe { libc::getifaddrs(&mut first) } {
            0 => Ok(Self(first)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn entries(&self) -> impl Iterator<Item = &libc::ifaddrs> {
        // SAFETY: the list is well-formed and lives until freeifaddrs, which only Drop calls; the references that are
        // handed out borrow self.
        std::iter::successors(unsafe { self.0.as_ref() }, |entry| unsafe { entry.ifa_next.as_ref() })
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the pointer came from getifaddrs and is freed once.
        unsafe { libc::freeifaddrs(self.0) }
    }
}

fn name(entry: &libc::ifaddrs) -> Option<String> {
    if entry.ifa_name.is_null() {
        return None;
    }
    // SAFETY: not null, and getifaddrs(3) gives a NUL-terminated string that lives as long as the entry.
    unsafe { CStr::from_ptr(entry.ifa_name) }.to_str().ok().map(str::to_string)
}

fn family(entry: &libc::ifaddrs) -> Option<i32> {
    // SAFETY: null, or a sockaddr that lives as long as the entry; every sockaddr begins with its family.
    unsafe { entry.ifa_addr.as_ref() }.map(|address| i32::from(address.sa_family))
}

fn link(entry: &libc::ifaddrs) -> Option<Interface> {
    if family(entry)? != libc::AF_PACKET {
        return None;
    }
    // SAFETY: of family AF_PACKET getifaddrs gives a whole sockaddr_ll; it is copied out unaligned.
    let link = unsafe { entry.ifa_addr.cast::<libc::sockaddr_ll>().read_unaligned() };
    let mut mac_address = [0; 6];
    if link.sll_halen == 6 {
        mac_address.copy_from_slice(&link.sll_addr[..6]);
    }
    Some(Interface {
        name: name(entry)?,
        index: u32::try_from(link.sll_ifindex).ok()?,
        hardware_type: link.sll_hatype,
        mac_address,
        up: entry.ifa_flags & libc::IFF_UP as u32 != 0,
        addresses: Vec::new(),
    })
}

fn address(entry: &libc::ifaddrs) -> Option<IpAddr> {
    match family(entry)? {
        libc::AF_INET => {
            // SAFETY: of family AF_INET getifaddrs gives a whole sockaddr_in; it is copied out unaligned.
            let address = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: of family AF_INET6 getifaddrs gives a whole sockaddr_in6; it is copied out unaligned.
            let address = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_there_with_its_index_and_type() {
        let all = interfaces().unwrap();
        let lo = all.iter().find(|interface| interface.name == "lo").unwrap();
        assert_eq!((lo.index, lo.hardware_type), (1, libc::ARPHRD_LOOPBACK));
    }
}
