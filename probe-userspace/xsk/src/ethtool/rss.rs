//! How a device spreads packets over its queues (receive side scaling), and whether both directions of a flow meet in one.
//!
//! Toeplitz hashes two directions alike in two ways: its key repeats after 16 bits, so that source and destination can change
//! places (addresses and ports lie multiples of 16 bits apart), or the device XORs source with destination first. Either way the
//! fields must come in pairs.

use std::fmt;
use std::io;

use super::Ethtool;

const ETHTOOL_GRXFH: u32 = 0x29;
const ETHTOOL_GRSSH: u32 = 0x46;

/// Words of struct ethtool_rxfh before its table and key: cmd, rss_context, indir_size, key_size, four octets, rsvd32.
const HEAD_WORDS: usize = 6;
/// Words of struct ethtool_rxnfc, of which the kernel writes the first four for ETHTOOL_GRXFH.
const RXNFC_WORDS: usize = 48;

/// More entries or key octets than any driver of Linux 6.18 has. More is an answer that makes no sense.
const TABLE_MOST: u32 = 1 << 14;
const KEY_MOST: u32 = 1 << 10;

const ETH_RSS_HASH_TOP: u8 = 1 << 0;
pub(super) const RXH_XFRM_SYM_XOR: u8 = 1 << 0;
pub(super) const RXH_XFRM_SYM_OR_XOR: u8 = 1 << 1;
/// What older kernels, and drivers without it, answer: no transformation.
pub(super) const RXH_XFRM_NO_CHANGE: u8 = 0xff;

const RXH_VLAN: u64 = 1 << 2;
const RXH_L3_PROTO: u64 = 1 << 3;
pub(super) const RXH_IP_SRC: u64 = 1 << 4;
const RXH_IP_DST: u64 = 1 << 5;
pub(super) const RXH_L4_B_0_1: u64 = 1 << 6;
const RXH_L4_B_2_3: u64 = 1 << 7;
/// The tag and the protocol are the same in both directions.
const NEUTRAL: u64 = RXH_VLAN | RXH_L3_PROTO;

/// Flow types of linux/ethtool.h by the names that `ethtool -N DEVICE rx-flow-hash` takes.
const FLOW_TYPES: [(&str, u32); 4] = [("tcp4", 0x01), ("udp4", 0x02), ("tcp6", 0x05), ("udp6", 0x06)];

/// A device's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rss {
    /// Queue by the lower bits of the hash.
    pub table: Vec<u32>,
    /// Of the hash.
    pub key: Vec<u8>,
    function: u8,
    pub(super) transform: u8,
    /// RXH_* by [`FLOW_TYPES`].
    pub(super) fields: [u64; FLOW_TYPES.len()],
}

/// By what both directions are hashed alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetric {
    /// The key repeats.
    ByKey,
    /// Source and destination are combined before.
    ByTransform,
}

/// Why they are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asymmetric {
    /// The hash is not Toeplitz: what it does with two directions is the device's secret.
    Function,
    /// The key does not repeat, and nothing is combined.
    Key,
    /// Packets of this type are hashed by one direction's field alone.
    Fields(&'static str),
}

impl Ethtool {
    /// How the device spreads.
    ///
    /// # Errors
    /// EOPNOTSUPP where the driver does not say (veth), or has no key to say; InvalidData where the answer makes no sense.
    pub fn rss(&self) -> io::Result<Rss> {
        let mut words = [0_u32; HEAD_WORDS];
        words[0] = ETHTOOL_GRSSH;
        self.ask(&mut words)?;
        let (entries, key_octets) = (words[2], words[3]);
        if entries == 0 || key_octets == 0 {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        if entries > TABLE_MOST || key_octets > KEY_MOST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // The kernel answers EINVAL where the device's sizes are no longer these, and so never writes beyond them.
        let mut words = vec![0_u32; HEAD_WORDS + entries as usize + key_octets.div_ceil(4) as usize];
        words[..4].copy_from_slice(&[ETHTOOL_GRSSH, 0, entries, key_octets]);
        self.ask(&mut words)?;
        let mut rss = Rss::of_words(&words, entries as usize, key_octets as usize);
        for (fields, (_, flow_type)) in rss.fields.iter_mut().zip(FLOW_TYPES) {
            *fields = self.hashed_fields(flow_type)?;
        }
        Ok(rss)
    }

    fn hashed_fields(&self, flow_type: u32) -> io::Result<u64> {
        let mut words = [0_u32; RXNFC_WORDS];
        words[..2].copy_from_slice(&[ETHTOOL_GRXFH, flow_type]);
        self.ask(&mut words)?;
        // The third and fourth word are one number of 64 bits.
        let [low, high] = if cfg!(target_endian = "little") { [2, 3] } else { [3, 2] };
        Ok(u64::from(words[high]) << 32 | u64::from(words[low]))
    }
}

impl Rss {
    /// `words` is a struct ethtool_rxfh with so many entries and octets behind its head.
    fn of_words(words: &[u32], entries: usize, key_octets: usize) -> Self {
        let [function, transform, ..] = words[4].to_ne_bytes();
        let (table, key) = words[HEAD_WORDS..].split_at(entries);
        let key = key.iter().flat_map(|word| word.to_ne_bytes()).take(key_octets).collect();
        Self { table: table.to_vec(), key, function, transform, fields: [0; FLOW_TYPES.len()] }
    }

    /// Whether both directions of a flow come to one queue.
    ///
    /// # Errors
    /// Why they do not, or why nobody can say.
    pub fn symmetry(&self) -> Result<Symmetric, Asymmetric> {
        if self.function != ETH_RSS_HASH_TOP {
            return Err(Asymmetric::Function);
        }
        if let Some((name, _)) = FLOW_TYPES
            .iter()
            .zip(self.fields)
            .find_map(|((name, _), fields)| (!is_paired(fields)).then_some((*name, fields)))
        {
            return Err(Asymmetric::Fields(name));
        }
        let transforms = self.transform != RXH_XFRM_NO_CHANGE
            && self.transform & (RXH_XFRM_SYM_XOR | RXH_XFRM_SYM_OR_XOR) != 0;
        match (transforms, repeats(&self.key)) {
            (true, _) => Ok(Symmetric::ByTransform),
            (false, true) => Ok(Symmetric::ByKey),
            (false, false) => Err(Asymmetric::Key),
        }
    }
}

/// Each field of one side with its counterpart, and nothing else that the other direction has differently (a destination MAC
/// address, a tunnel's identifier, a flow label).
fn is_paired(fields: u64) -> bool {
    let both = |one: u64, other: u64| (fields & one != 0) == (fields & other != 0);
    let known = NEUTRAL | RXH_IP_SRC | RXH_IP_DST | RXH_L4_B_0_1 | RXH_L4_B_2_3;
    fields & !known == 0 && both(RXH_IP_SRC, RXH_IP_DST) && both(RXH_L4_B_0_1, RXH_L4_B_2_3)
}

/// After 16 bits, and not the one pattern that hashes everything to 0, into one queue.
fn repeats(key: &[u8]) -> bool {
    key.len() > 2 && key[..2] != [0, 0] && key.iter().zip(&key[2..]).all(|(one, next)| one == next)
}

impl fmt::Display for Symmetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByKey => "its hash key repeats every 16 bits",
            Self::ByTransform => "it hashes source and destination combined",
        })
    }
}

impl fmt::Display for Asymmetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function => f.write_str("its hash is not Toeplitz"),
            Self::Key => f.write_str("its hash key does not repeat every 16 bits"),
            Self::Fields(kind) => write!(f, "it hashes {kind} by fields of one direction alone"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const FOUR: u64 = RXH_IP_SRC | RXH_IP_DST | RXH_L4_B_0_1 | RXH_L4_B_2_3;

    /// A device with this key, and two queues.
    pub(in super::super) fn rss(key: &[u8]) -> Rss {
        Rss {
            table: vec![0, 1],
            key: key.to_vec(),
            function: ETH_RSS_HASH_TOP,
            transform: RXH_XFRM_NO_CHANGE,
            fields: [FOUR; 4],
        }
    }

    #[test]
    fn an_answer_is_read_where_the_kernel_puts_it() {
        let head = u32::from_ne_bytes([ETH_RSS_HASH_TOP, RXH_XFRM_SYM_XOR, 0, 0]);
        let key = [u32::from_ne_bytes([1, 2, 3, 4]), u32::from_ne_bytes([5, 6, 0, 0])];
        let found = Rss::of_words(&[0, 0, 3, 6, head, 0, 7, 8, 9, key[0], key[1]], 3, 6);
        assert_eq!((found.table, found.key), (vec![7, 8, 9], vec![1, 2, 3, 4, 5, 6]));
        assert_eq!((found.function, found.transform), (ETH_RSS_HASH_TOP, RXH_XFRM_SYM_XOR));
    }

    #[test]
    fn a_key_that_repeats_is_symmetric_and_another_is_not() {
        assert_eq!(rss(&[0x6d, 0x5a].repeat(20)).symmetry(), Ok(Symmetric::ByKey));
        let mut broken = [0x6d, 0x5a].repeat(20);
        broken[39] = 0;
        for key in [broken, vec![0; 40], vec![0x6d, 0x5a]] {
            assert_eq!(rss(&key).symmetry(), Err(Asymmetric::Key), "{key:?}");
        }
    }

    #[test]
    fn combined_ends_are_symmetric_whatever_the_key() {
        let mut combined = rss(&[1, 2, 3, 4]);
        for transform in [RXH_XFRM_SYM_XOR, RXH_XFRM_SYM_OR_XOR] {
            combined.transform = transform;
            assert_eq!(combined.symmetry(), Ok(Symmetric::ByTransform));
        }
        combined.transform = 0;
        assert_eq!(combined.symmetry(), Err(Asymmetric::Key));
    }

    #[test]
    fn fields_of_one_direction_and_another_hash_are_not() {
        let mut other = rss(&[0x6d, 0x5a].repeat(20));
        for fields in [RXH_IP_SRC, FOUR & !RXH_L4_B_2_3, FOUR | 1 << 1, FOUR | 1 << 31] {
            other.fields[1] = fields;
            assert_eq!(other.symmetry(), Err(Asymmetric::Fields("udp4")), "{fields:#x}");
        }
        for fields in [0, RXH_IP_SRC | RXH_IP_DST, FOUR | NEUTRAL] {
            other.fields[1] = fields;
            assert_eq!(other.symmetry(), Ok(Symmetric::ByKey), "{fields:#x}");
        }
        other.function = 1 << 1;
        assert_eq!(other.symmetry(), Err(Asymmetric::Function));
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel")]
    fn the_loopback_does_not_say_how_it_spreads() {
        assert!(Ethtool::of("lo").expect("a socket").rss().is_err());
    }
}
