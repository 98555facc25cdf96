//! The few things that only SIOCETHTOOL tells: queues and how packets spread over them, offloads, the driver's own counters.
//!
//! Layouts are those of linux/ethtool.h. A driver that does not know a command answers EOPNOTSUPP, and that is an
//! answer: the caller does without.
#![expect(unsafe_code, reason = "ioctl(2) has no safe form")]

mod rss;
mod toeplitz;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

pub use rss::{Asymmetric, Rss, Symmetric};

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

const ETH_FLAG_RXVLAN: u32 = 1 << 8;
const ETH_FLAG_LRO: u32 = 1 << 15;
const ETH_SS_STATS: u32 = 1;
const ETH_GSTRING_LEN: usize = 32;

/// Counters of one device at most: a NIC of 128 queues has some ten thousand. More is an answer that makes no sense.
const COUNTERS_MOST: usize = 1 << 15;
/// Many kernels write as many counters as there are when they are asked, not as many as the caller has room for, and queues
/// may be added between two questions. So there is always room for this many: of zeroed memory only what is written costs.
const COUNTERS_ROOM: usize = 2 * COUNTERS_MOST;

/// Asks one device of this namespace.
#[derive(Debug)]
pub struct Ethtool {
    socket: UnixDatagram,
    name: [u8; libc::IFNAMSIZ],
}

/// The driver's counters: their names, and room for their values.
#[derive(Debug)]
pub struct DriverCounters {
    names: Vec<String>,
    answer: Vec<u32>,
    values: Vec<u64>,
}

impl DriverCounters {
    /// In the driver's order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The values now, in the order of the names.
    ///
    /// # Errors
    /// The device is gone, or has not got as many counters any more: the names are to be asked for anew.
    pub fn read(&mut self, ethtool: &Ethtool) -> io::Result<&[u64]> {
        // struct ethtool_stats: cmd, n_stats, then 64 bits each.
        self.answer[..2].copy_from_slice(&[ETHTOOL_GSTATS, self.names.len() as u32]);
        ethtool.ask(&mut self.answer)?;
        // Newer kernels answer 0 instead of writing more or less than was asked for.
        if self.answer[1] as usize != self.names.len() {
            return Err(io::Error::other("the driver's counters have changed in number"));
        }
        self.values.clear();
        self.values.extend((0..self.names.len()).map(|at| value_at(&self.answer, at)));
        Ok(&self.values)
    }
}

/// Offloads that change what a capture sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Received segments are merged by the stack.
    pub generic_receive: bool,
    /// Received segments are merged by the device.
    pub large_receive: bool,
    /// The outer VLAN tag is taken off before XDP sees the frame.
    pub vlan_strip: bool,
}

impl Ethtool {
    /// For the interface of this name.
    ///
    /// # Errors
    /// The name is longer than an interface's can be, or no socket can be made.
    pub fn of(name: &str) -> io::Result<Self> {
        if name.len() >= libc::IFNAMSIZ {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = [0; libc::IFNAMSIZ];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        // Any socket will do, and this one needs neither an address nor a protocol of the namespace.
        Ok(Self { socket: UnixDatagram::unbound()?, name: bytes })
    }

    /// Receive queues in use.
    ///
    /// # Errors
    /// EOPNOTSUPP where the driver does not say.
    pub fn receive_queues(&self) -> io::Result<u32> {
        // struct ethtool_channels: cmd, max_{rx,tx,other,combined}, {rx,tx,other,combined}_count.
        let mut words = [0_u32; 9];
        words[0] = ETHTOOL_GCHANNELS;
        self.ask(&mut words)?;
        Ok(words[5].saturating_add(words[8]))
    }

    /// Offloads as they are set.
    ///
    /// # Errors
    /// EOPNOTSUPP where the driver does not say.
    pub fn offloads(&self) -> io::Result<Offloads> {
        let flags = self.value(ETHTOOL_GFLAGS)?;
        Ok(Offloads {
            generic_receive: self.value(ETHTOOL_GGRO)? != 0,
            large_receive: flags & ETH_FLAG_LRO != 0,
            vlan_strip: flags & ETH_FLAG_RXVLAN != 0,
        })
    }

    /// The driver's counters by name (`ethtool -S`).
    ///
    /// # Errors
    /// EOPNOTSUPP where it has none.
    pub fn counters(&self) -> io::Result<BTreeMap<String, u64>> {
        let mut counters = self.driver_counters()?;
        let values = counters.read(self)?.to_vec();
        Ok(counters.names.into_iter().zip(values).collect())
    }

    /// The names of the driver's counters, to read the values again and again.
    ///
    /// # Errors
    /// EOPNOTSUPP where it has none.
    pub fn driver_counters(&self) -> io::Result<DriverCounters> {
        let count = self.counter_count()?;
        // struct ethtool_gstrings: cmd, string_set, len, then 32 octets each.
        let mut names = vec![0_u32; 3 + COUNTERS_ROOM * ETH_GSTRING_LEN / 4];
        names[..3].copy_from_slice(&[ETHTOOL_GSTRINGS, ETH_SS_STATS, count as u32]);
        self.ask(&mut names)?;
        let found = (names[2] as usize).min(COUNTERS_ROOM);
        let names = (0..found).map(|at| name_at(&names, at)).collect();
        Ok(DriverCounters {
            names,
            answer: vec![0; 2 + COUNTERS_ROOM * 2],
            values: Vec::with_capacity(found),
        })
    }

    fn counter_count(&self) -> io::Result<usize> {
        // struct ethtool_sset_info: cmd, reserved, 64-bit mask, then one word per set asked for.
        let mut words = [ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_STATS, 0, 0];
        self.ask(&mut words)?;
        match words[4] as usize {
            0 => Err(io::ErrorKind::Unsupported.into()),
            count if count > COUNTERS_MOST => Err(io::ErrorKind::InvalidData.into()),
            count => Ok(count),
        }
    }

    fn value(&self, command: u32) -> io::Result<u32> {
        let mut words = [command, 0];
        self.ask(&mut words)?;
        Ok(words[1])
    }

    /// `words` is the structure of the command in its first word, with room for all that the kernel answers.
    fn ask(&self, words: &mut [u32]) -> io::Result<()> {
        /// struct ifreq: the name, then a union of 24 octets of which this command reads a pointer.
        #[repr(C)]
        struct Request {
            name: [u8; libc::IFNAMSIZ],
            data: *mut u32,
            rest: [usize; 2],
        }
        let mut request = Request { name: self.name, data: words.as_mut_ptr(), rest: [0; 2] };
        // SAFETY: `request` has the size and layout of struct ifreq and lives through the call; `data` points to a
        // buffer that each command's caller (above, and in `rss`) made large enough for its answer. The length of two answers
        // is the kernel's choice: those have COUNTERS_ROOM, for a device that said a moment ago that it has half as many at most.
        match unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &mut request) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

fn name_at(names: &[u32], at: usize) -> String {
    let words = ETH_GSTRING_LEN / 4;
    let bytes: Vec<u8> = names[3 + at * words..][..words]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .take_while(|&b| b != 0)
        .collect();
    String::from_utf8_lossy(&bytes).trim().to_string()
}

fn value_at(values: &[u32], at: usize) -> u64 {
    let words = &values[2 + at * 2..][..2];
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&words[0].to_ne_bytes());
    bytes[4..].copy_from_slice(&words[1].to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel")]
    fn the_loopback_has_no_counters_and_says_so() {
        let lo = Ethtool::of("lo").expect("a socket");
        assert!(lo.counters().is_err());
        assert!(!lo.offloads().expect("an answer").large_receive);
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel")]
    fn a_device_that_is_not_there_is_an_error() {
        assert!(Ethtool::of("nosuchdevice0").expect("a socket").receive_queues().is_err());
        assert!(Ethtool::of("a-name-that-is-too-long").is_err());
    }

    #[test]
    fn names_and_values_are_read_where_the_kernel_puts_them() {
        let mut names = vec![0_u32; 3 + 16];
        for (word, text) in names[11..].iter_mut().zip([*b"rx_q", *b"ueue"]) {
            *word = u32::from_ne_bytes(text);
        }
        assert_eq!(name_at(&names, 1), "rx_queue");
        let halves = 0x1_0000_0002_u64.to_ne_bytes();
        let half =
            |at: usize| u32::from_ne_bytes([halves[at], halves[at + 1], halves[at + 2], halves[at + 3]]);
        assert_eq!(value_at(&[0, 1, half(0), half(4)], 0), 0x1_0000_0002);
    }
}
