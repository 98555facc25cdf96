//! What a device is and what it counted: by ioctl(2), for the network namespace that the caller is in.
#![expect(unsafe_code, reason = "ioctl(2) has no safe wrapper in the standard library")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::Error;

// include/uapi/linux/ethtool.h
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETH_SS_STATS: u32 = 1;
const DRIVER_INFO_BYTES: usize = 196;
const DRIVER_INFO_COUNT_OFFSET: usize = 180;
const NAME_BYTES: usize = 32;

/// More counters than any driver has: what a driver answers is held against it before memory is taken.
const COUNTERS_MAX: usize = 65_536;

/// A device, with a socket to ask it by.
#[derive(Debug)]
pub struct Device {
    name: CString,
    socket: OwnedFd,
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
        let mut device = Self { name: c_name, socket: datagram_socket()?, index, mtu: 0 };
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
        let names = self.driver_counter_names()?;
        let values = self.driver_counter_values(names.len())?;
        Ok(names.into_iter().zip(values).collect())
    }

    /// Names of the driver's counters, in the order of [`Device::driver_counter_values`].
    ///
    /// # Errors
    /// When the device is gone.
    pub fn driver_counter_names(&self) -> Result<Vec<String>, Error> {
        let mut info = vec![0; DRIVER_INFO_BYTES];
        self.ethtool(ETHTOOL_GDRVINFO, &mut info)?;
        let count = (word(&info, DRIVER_INFO_COUNT_OFFSET) as usize).min(COUNTERS_MAX);
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut strings = vec![0; 12 + count * NAME_BYTES];
        strings[4..8].copy_from_slice(&ETH_SS_STATS.to_ne_bytes());
        strings[8..12].copy_from_slice(&(count as u32).to_ne_bytes());
        self.ethtool(ETHTOOL_GSTRINGS, &mut strings)?;
        Ok(strings[12..].chunks(NAME_BYTES).map(text).collect())
    }

    /// Values of the driver's counters, as many as it has names.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn driver_counter_values(&self, count: usize) -> Result<Vec<u64>, Error> {
        let count = count.min(COUNTERS_MAX);
        let mut statistics = vec![0; 8 + count * 8];
        statistics[4..8].copy_from_slice(&(count as u32).to_ne_bytes());
        self.ethtool(ETHTOOL_GSTATS, &mut statistics)?;
        let value = |octets: &[u8]| octets.try_into().map_or(0, u64::from_ne_bytes);
        Ok(statistics[8..].chunks(8).map(value).collect())
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

    fn ethtool(&self, command: u32, buffer: &mut [u8]) -> Result<(), Error> {
        buffer[..4].copy_from_slice(&command.to_ne_bytes());
        let mut request = self.request();
        request.ifr_ifru.ifru_data = buffer.as_mut_ptr().cast();
        // The kernel writes into `buffer` as much as the command's struct and the count inside it say; each caller
        // above has made it that long.
        self.ioctl(libc::SIOCETHTOOL, &mut request, "SIOCETHTOOL")
    }

    fn ioctl(&self, command: libc::c_ulong, request: &mut libc::ifreq, name: &str) -> Result<(), Error> {
        // SAFETY: an ifreq with a C string in its name; a pointer inside it is to a buffer of the command's size.
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

fn word(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..offset + 4).and_then(|octets| octets.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

/// The text before the first zero octet.
fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name.split(|octet| *octet == 0).next().unwrap_or_default()).into_owned()
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
