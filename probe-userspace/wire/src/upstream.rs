//! What a store and a probe say to each other over ZMQ, so that nothing is lost between them. The probe's XPUB socket reads
//! what an XSUB socket sends; the way back is a topic that only this store subscribes.
//!
//! ```text
//! store ─► probe   HELLO  once a second: who I am, how much I take             [ message ]
//! probe ─► store   ANSWER to each: welcome, and the session; or why not        [ @gannet.STORE ] [ answer ]
//! probe ─► store   batches, numbered from 0 in the session                     [ @gannet.STORE ] [ delivery ] [ header ] [ body ]
//! store ─► probe   ACK    how far they arrived in order, and were committed    [ message ]
//!
//!        0     4       6    7 8            24             40       44    48         56          64
//! HELLO  ├─────┼───────┼────┼─┼────────────┼──────────────┼────────┼─────┤
//!        │"GNU1"│version│ 1  │0│ store UUID │ instance UUID│ credit │  0  │
//! ACK    ├─────┼───────┼────┼─┼────────────┼──────────────┼────────┼─────┼──────────┼───────────┤
//!        │"GNU1"│version│ 2  │0│ store UUID │ session UUID │ credit │  0  │ received │ committed │
//! ANSWER ├─────┼───────┼────┼─┼────────────┼──────────────┼────────┴─────┴──────────┤
//!        │"GND1"│version│ 1  │r│ probe UUID │ instance UUID│      session UUID       │          r: 0 welcome, else why not
//! DELIVERY─────┼───────┼────┼─┼────────────┼────────┬─────┴─────────────────────────┘
//!        │"GND1"│version│ 2  │0│session UUID│ number │
//!        └─────┴───────┴────┴─┴────────────┴────────┘
//! ```
//!
//! Numbers in network order. The first eight octets, and the UUID behind them, are the same in every version: a probe can
//! always answer that it does not know one. `received` and `committed` are the numbers of the next batch, so an ACK stands for
//! all before it, and a lost one costs nothing. `credit` is how many batches may be on the way without being committed: it
//! stands in both messages and is absolute, so there is no message that must not be lost.

use uuid::Uuid;

/// Grows when a reader of the former version would be misled.
pub const VERSION: u16 = 1;

/// Begins what a store sends; the first octet is neither 0 nor 1, which libzmq reads as a subscription.
pub const MAGIC_UP: [u8; 4] = *b"GNU1";

/// Begins what a probe puts behind the private topic.
pub const MAGIC_DOWN: [u8; 4] = *b"GND1";

/// Credit that is of use: a probe's socket holds 512 messages for each subscriber before it drops.
pub const CREDIT_MAX: u32 = 256;

/// Octets of each message.
pub const HELLO_OCTETS: usize = 48;
/// See [`HELLO_OCTETS`].
pub const ACK_OCTETS: usize = 64;
/// See [`HELLO_OCTETS`].
pub const ANSWER_OCTETS: usize = 56;
/// See [`HELLO_OCTETS`].
pub const DELIVERY_OCTETS: usize = 32;

/// Octets before the part that versions may change: magic, version, kind, reason, UUID.
const FIXED_OCTETS: usize = 24;

/// The topic of one store. It does not begin like the public ones: who subscribes all of those by their prefix must not get
/// what is meant for a store.
pub fn private_topic(prefix: &str, store: Uuid) -> String {
    format!("@{prefix}.{store}")
}

/// A store that wants its batches for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Of the store, made with it.
    pub store: Uuid,
    /// Of this run of its collector: another one knows nothing of what was on the way to the former.
    pub instance: Uuid,
    /// Batches on the way at once.
    pub credit: u32,
}

/// How far a session got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Of the store.
    pub store: Uuid,
    /// Which session.
    pub session: Uuid,
    /// As in [`Hello::credit`].
    pub credit: u32,
    /// The number that is awaited: all before it have arrived.
    pub received: u64,
    /// All before this number are committed; never above `received`.
    pub committed: u64,
}

/// What a store sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// See [`Hello`].
    Hello(Hello),
    /// See [`Ack`].
    Ack(Ack),
}

/// Why a probe keeps nothing for a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum No {
    /// `--zmq-acknowledge off`
    Off = 1,
    /// Neither encrypted nor from the probe's own host.
    NotPermitted = 2,
    /// It keeps batches for as many stores as it can.
    TooManyStores = 3,
    /// Another collector has a store of this UUID, and is alive.
    Taken = 4,
    /// Another version of this protocol.
    Version = 5,
}

/// A probe's answer to a HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which probe.
    pub probe: Uuid,
    /// As in the HELLO.
    pub instance: Uuid,
    /// The session, or why there is none.
    pub session: Result<Uuid, No>,
}

/// Stands before the header of each batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which session.
    pub session: Uuid,
    /// From 0, without gaps; a batch that is sent again has the number that it had.
    pub number: u64,
}

/// What a probe puts behind the private topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downstream {
    /// See [`Answer`].
    Answer(Answer),
    /// See [`Delivery`].
    Delivery(Delivery),
}

/// A message that is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It begins otherwise, or is shorter than what every version has.
    #[error("it does not begin as a message of this protocol")]
    Foreign,
    /// Another version. The UUID behind it is that of the store, or of the probe.
    #[error("it has version {version} of the protocol, this release speaks {VERSION}")]
    Version {
        /// Which.
        version: u16,
        /// Who sent it.
        sender: Uuid,
    },
    /// A kind, length or value that the version does not have.
    #[error("it has {octets} octets and the kind {kind}, or a value that this kind does not have")]
    Malformed {
        /// The kind.
        kind: u8,
        /// The length.
        octets: usize,
    },
}

impl Hello {
    /// As it is sent.
    pub fn to_octets(&self) -> [u8; HELLO_OCTETS] {
        let mut octets = begun(MAGIC_UP, 1, 0, self.store);
        octets[24..40].copy_from_slice(self.instance.as_bytes());
        octets[40..44].copy_from_slice(&self.credit.to_be_bytes());
        octets
    }
}

impl Ack {
    /// As it is sent.
    pub fn to_octets(&self) -> [u8; ACK_OCTETS] {
        let mut octets = begun(MAGIC_UP, 2, 0, self.store);
        octets[24..40].copy_from_slice(self.session.as_bytes());
        octets[40..44].copy_from_slice(&self.credit.to_be_bytes());
        octets[48..56].copy_from_slice(&self.received.to_be_bytes());
        octets[56..64].copy_from_slice(&self.committed.to_be_bytes());
        octets
    }
}

impl Answer {
    /// As it is sent.
    pub fn to_octets(&self) -> [u8; ANSWER_OCTETS] {
        let reason = self.session.err().map_or(0, |no| no as u8);
        let mut octets = begun(MAGIC_DOWN, 1, reason, self.probe);
        octets[24..40].copy_from_slice(self.instance.as_bytes());
        octets[40..56].copy_from_slice(self.session.unwrap_or_default().as_bytes());
        octets
    }
}

impl Delivery {
    /// As it is sent.
    pub fn to_octets(&self) -> [u8; DELIVERY_OCTETS] {
        let mut octets = begun(MAGIC_DOWN, 2, 0, self.session);
        octets[24..32].copy_from_slice(&self.number.to_be_bytes());
        octets
    }
}

impl Upstream {
    /// Reads what came; nothing in it is believed before it is checked.
    ///
    /// # Errors
    /// It is no message of this version.
    pub fn read(octets: &[u8]) -> Result<Self, Error> {
        let (kind, reason, store) = begins(octets, MAGIC_UP)?;
        let malformed = Error::Malformed { kind, octets: octets.len() };
        let sound = reason == 0 && octets.get(44..48).is_some_and(|reserved| reserved == [0; 4]);
        let credit = part(octets, 40).map(u32::from_be_bytes);
        let (Some(credit), Some(second), true) = (credit, uuid(octets, 24), sound) else {
            return Err(malformed);
        };
        match (kind, octets.len()) {
            (1, HELLO_OCTETS) => Ok(Self::Hello(Hello { store, instance: second, credit })),
            (2, ACK_OCTETS) => {
                let number = |at| part(octets, at).map_or(0, u64::from_be_bytes);
                let (received, committed) = (number(48), number(56));
                match committed <= received {
                    true => Ok(Self::Ack(Ack { store, session: second, credit, received, committed })),
                    false => Err(malformed),
                }
            }
            _ => Err(malformed),
        }
    }
}

impl Downstream {
    /// Reads the frame behind the topic.
    ///
    /// # Errors
    /// It is no message of this version.
    pub fn read(octets: &[u8]) -> Result<Self, Error> {
        let (kind, reason, first) = begins(octets, MAGIC_DOWN)?;
        let malformed = Error::Malformed { kind, octets: octets.len() };
        match (kind, octets.len()) {
            (1, ANSWER_OCTETS) => {
                let (Some(instance), Some(session)) = (uuid(octets, 24), uuid(octets, 40)) else {
                    return Err(malformed);
                };
                let session = match reason {
                    0 => Ok(session),
                    _ => Err(No::ALL.into_iter().find(|no| *no as u8 == reason).ok_or(malformed)?),
                };
                Ok(Self::Answer(Answer { probe: first, instance, session }))
            }
            (2, DELIVERY_OCTETS) if reason == 0 => {
                let number = part(octets, 24).map(u64::from_be_bytes).ok_or(malformed)?;
                Ok(Self::Delivery(Delivery { session: first, number }))
            }
            _ => Err(malformed),
        }
    }
}

impl No {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Off, Self::NotPermitted, Self::TooManyStores, Self::Taken, Self::Version];

    /// For the operator of the collector: why, and what mends it.
    pub const fn mend(self) -> &'static str {
        match self {
            Self::Off => "the probe runs with --zmq-acknowledge off",
            Self::NotPermitted => {
                "the probe keeps batches for collectors of its own host, or encrypted ones: turn on --zmq-encryption on \
                 both, or start the probe with --zmq-acknowledge require"
            }
            Self::TooManyStores => {
                "the probe keeps batches for as many stores as it can: end another collector"
            }
            Self::Taken => {
                "another collector has a store of this UUID: a store was copied, and only one of both can be served"
            }
            Self::Version => {
                "probe and collector are of releases that speak different versions: upgrade both"
            }
        }
    }
}

fn begun<const N: usize>(magic: [u8; 4], kind: u8, reason: u8, uuid: Uuid) -> [u8; N] {
    let mut octets = [0; N];
    octets[0..4].copy_from_slice(&magic);
    octets[4..6].copy_from_slice(&VERSION.to_be_bytes());
    (octets[6], octets[7]) = (kind, reason);
    octets[8..24].copy_from_slice(uuid.as_bytes());
    octets
}

/// Kind, reason and first UUID.
fn begins(octets: &[u8], magic: [u8; 4]) -> Result<(u8, u8, Uuid), Error> {
    if octets.len() < FIXED_OCTETS || octets[0..4] != magic {
        return Err(Error::Foreign);
    }
    let sender = uuid(octets, 8).ok_or(Error::Foreign)?;
    match part(octets, 4).map(u16::from_be_bytes) {
        Some(VERSION) => Ok((octets[6], octets[7], sender)),
        Some(version) => Err(Error::Version { version, sender }),
        None => Err(Error::Foreign),
    }
}

fn uuid(octets: &[u8], at: usize) -> Option<Uuid> {
    part(octets, at).map(Uuid::from_bytes)
}

fn part<const N: usize>(octets: &[u8], at: usize) -> Option<[u8; N]> {
    octets.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    const TWO: Uuid = Uuid::from_u128(0xa1a2_a3a4_a5a6_a7a8_a9aa_abac_adae_afb0);
    const THREE: Uuid = Uuid::from_u128(0x1112_1314_1516_1718_191a_1b1c_1d1e_1f20);

    fn ack() -> Ack {
        Ack { store: ONE, session: TWO, credit: 0x0a0b, received: 0x0123_4567_89ab_cdef, committed: 0x99 }
    }

    fn hexadecimal(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    #[test]
    fn messages_have_the_documented_octets() {
        let (one, two) = ("0102030405060708090a0b0c0d0e0f10", "a1a2a3a4a5a6a7a8a9aaabacadaeafb0");
        let hello = Hello { store: ONE, instance: TWO, credit: 256 };
        assert_eq!(hexadecimal(&hello.to_octets()), format!("474e553100010100{one}{two}0000010000000000"));
        assert_eq!(Upstream::read(&hello.to_octets()), Ok(Upstream::Hello(hello)));

        let octets = ack().to_octets();
        let numbers = "00000a0b000000000123456789abcdef0000000000000099";
        assert_eq!(hexadecimal(&octets), format!("474e553100010200{one}{two}{numbers}"));
        assert_eq!(Upstream::read(&octets), Ok(Upstream::Ack(ack())));

        let delivery = Delivery { session: ONE, number: 0x0102 };
        assert_eq!(hexadecimal(&delivery.to_octets()), format!("474e443100010200{one}0000000000000102"));
        assert_eq!(Downstream::read(&delivery.to_octets()), Ok(Downstream::Delivery(delivery)));
    }

    #[test]
    fn answers_have_the_documented_octets() {
        let (one, two) = ("0102030405060708090a0b0c0d0e0f10", "a1a2a3a4a5a6a7a8a9aaabacadaeafb0");
        let welcome = Answer { probe: ONE, instance: TWO, session: Ok(THREE) };
        let three = "1112131415161718191a1b1c1d1e1f20";
        assert_eq!(hexadecimal(&welcome.to_octets()), format!("474e443100010100{one}{two}{three}"));
        assert_eq!(Downstream::read(&welcome.to_octets()), Ok(Downstream::Answer(welcome)));
        for no in No::ALL {
            let answer = Answer { session: Err(no), ..welcome };
            let reason = no as u8;
            let nothing = "0".repeat(32);
            assert_eq!(
                hexadecimal(&answer.to_octets()),
                format!("474e4431000101{reason:02x}{one}{two}{nothing}")
            );
            assert_eq!(Downstream::read(&answer.to_octets()), Ok(Downstream::Answer(answer)));
        }
    }

    #[test]
    fn a_later_version_is_known_by_its_sender() {
        let mut octets = ack().to_octets();
        octets[5] = 2;
        assert_eq!(Upstream::read(&octets), Err(Error::Version { version: 2, sender: ONE }));
        assert_eq!(Upstream::read(&octets[..24]), Err(Error::Version { version: 2, sender: ONE }));
        assert_eq!(Upstream::read(&octets[..23]), Err(Error::Foreign));
    }

    #[test]
    fn what_no_store_says_is_refused() {
        let octets = ack().to_octets();
        let changed = |at: usize, to: u8| {
            let mut octets = octets;
            octets[at] = to;
            Upstream::read(&octets)
        };
        assert_eq!(changed(0, 1), Err(Error::Foreign));
        for (at, to) in [(6, 3), (6, 1), (7, 1), (45, 1), (56, 0xff)] {
            assert!(matches!(changed(at, to), Err(Error::Malformed { .. })), "octet {at} = {to}");
        }
        assert!(matches!(Upstream::read(&octets[..63]), Err(Error::Malformed { .. })));
        assert!(matches!(Upstream::read(&[octets.as_slice(), &[0]].concat()), Err(Error::Malformed { .. })));
    }

    #[test]
    fn the_private_topic_is_none_of_the_public_prefix() {
        let topic = private_topic("gannet", ONE);
        assert_eq!(topic, "@gannet.01020304-0506-0708-090a-0b0c0d0e0f10");
        for kind in crate::bus::Kind::ALL {
            let public = kind.topic("gannet");
            assert!((1..=public.len()).all(|octets| !topic.starts_with(&public[..octets])));
        }
    }

    proptest! {
        #[test]
        fn hostile_messages_never_panic(mut octets in proptest::collection::vec(any::<u8>(), 0..80), ours: bool) {
            if ours && octets.len() >= 8 {
                octets[..4].copy_from_slice(&MAGIC_UP);
                octets[4..6].copy_from_slice(&VERSION.to_be_bytes());
                octets[6] &= 3;
            }
            if let Ok(Upstream::Ack(ack)) = Upstream::read(&octets) {
                prop_assert!(ack.committed <= ack.received);
            }
            let _ = Downstream::read(&octets);
        }
    }
}
