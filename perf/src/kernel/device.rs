//! What a device is and what it counted: by ioctl(2), for the network namespace that the caller is in.
#![expect(unsafe_code, reason = "ioctl(2) has no safe wrapper in the standard library")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use xsk::Ethtool;
use xsk::ethtool::DriverCounters;

use super::Error;

/// A device, with a socket to ask it by.
#[derive(Debug)]
pub struct Device {
    name: CString,
    socket: OwnedFd,
    ethtool: Ethtool,
    /// Its index in the namespace that the caller was in.
    pub index: u32,
    /// Largest packet inside a frame, in octets.
    pub mtu: usize,
}

impl Device {
    /// Looks a device up by its name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn open(name: &str) -> Result<Self, Error> {
        let unknown = || Error {
            call: format!("interface {name:?}"),
            source: std::io::Error::from_raw_os_error(libc::ENODEV),
            mend: "; `ip link` lists the interfaces of this namespace",
        };
        let c_name = CString::new(name).map_err(|_| unknown())?;
        if name.is_empty() || name.len() >= libc::IFNAMSIZ {
            return Err(unknown());
        }
        // SAFETY: if_nametoindex(3) reads a C string.
        let index = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
        if index == 0 {
            return Err(unknown());
        }
        let ethtool = Ethtool::of(name).map_err(|_| unknown())?;
        let mut device = Self { name: c_name, socket: datagram_socket()?, ethtool, index, mtu: 0 };
        let mut request = device.request();
        device.ioctl(libc::SIOCGIFMTU, &mut request, "SIOCGIFMTU")?;
        // SAFETY: SIOCGIFMTU has just filled this member of the union.
        device.mtu = usize::try_from(unsafe { request.ifr_ifru.ifru_mtu }).unwrap_or(0);
        Ok(device)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// The driver's own counters by name, as `ethtool -S` shows them; empty where it has none.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn driver_counters(&self) -> Result<BTreeMap<String, u64>, Error> {
        match self.ethtool.counters() {
            Err(error) if is_without(&error) => Ok(BTreeMap::new()),
            counters => counters.map_err(|source| self.failed(source)),
        }
    }

    /// The driver's counters, to be read again and again; `None` where it has none.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn counters(&self) -> Result<Option<DriverCounters>, Error> {
        match self.ethtool.driver_counters() {
            Err(error) if is_without(&error) => Ok(None),
            counters => counters.map(Some).map_err(|source| self.failed(source)),
        }
    }

    /// The values of the driver's counters now.
    ///
    /// # Errors
    /// When the device is gone, or has other counters than before.
    pub fn read<'a>(&self, counters: &'a mut DriverCounters) -> Result<&'a [u64], Error> {
        counters.read(&self.ethtool).map_err(|source| self.failed(source))
    }

    /// Frames that the device was to send and dropped, by /proc/net/dev (proc_net(5)).
    ///
    /// # Errors
    /// When the device is gone.
    pub fn transmit_dropped(&self) -> Result<u64, Error> {
        /// After the name and eight columns of the receiving side: octets, packets, errors, dropped.
        const COLUMN: usize = 11;
        let path = "/proc/thread-self/net/dev";
        let failed = |source| Error { call: format!("{path}, line of {}", self.name()), source, mend: "" };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let name = self.name();
        let ours = |line: &str| line.trim_start().strip_prefix(&name)?.strip_prefix(':').map(str::to_owned);
        let column =
            text.lines().find_map(ours).and_then(|line| line.split_whitespace().nth(COLUMN)?.parse().ok());
        column.ok_or_else(|| failed(std::io::Error::from_raw_os_error(libc::ENODEV)))
    }

    fn request(&self) -> libc::ifreq {
        // SAFETY: an ifreq is integers, arrays of them and pointers: all zero is valid.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // `open` has checked that the name is shorter than the array, whose last octet stays 0.
        for (to, from) in request.ifr_name.iter_mut().zip(self.name.as_bytes()) {
            *to = from.cast_signed();
        }
        request
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error { call: format!("ioctl(SIOCETHTOOL) of {}", self.name()), source, mend: "" }
    }

    fn ioctl(&self, command: libc::c_ulong, request: &mut libc::ifreq, name: &str) -> Result<(), Error> {
        // SAFETY: an ifreq with a C string in its name, and a command that writes into that ifreq alone.
        let answer =
            unsafe { libc::ioctl(self.socket.as_raw_fd(), command as _, std::ptr::from_mut(request)) };
        if answer < 0 {
            return Err(Error::last(format!("ioctl({name}) of {}", self.name.to_string_lossy())));
        }
        Ok(())
    }
}

fn datagram_socket() -> Result<OwnedFd, Error> {
    // SAFETY: socket(2) takes three integers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(Error::last("socket(AF_INET, SOCK_DGRAM)"));
    }
    // SAFETY: the kernel has just answered with this descriptor, nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The driver has no counters, or no such command.
fn is_without(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::Unsupported || error.raw_os_error() == Some(libc::EOPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_index_one_and_no_counters_of_a_driver() {
        let device = Device::open("lo").unwrap();
        assert_eq!(device.index, 1);
        assert!(device.mtu >= 1500, "{device:?}");
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        for name in ["gn-none", "", "a name that is far too long", "nul\0"] {
            let error = Device::open(name).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}")) && error.contains("ip link"), "{error}");
        }
    }
}
