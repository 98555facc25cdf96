//! A filter in front of the ring: a classic BPF program whose "no" is counted.
//!
//! A program that answers 0 drops the packet before the socket counts it: nobody would know how many there were. So a packet that is not
//! selected is captured by one octet: its header in the ring has its length, it takes 96 octets of a block instead of a copy of the whole
//! frame, and [`super::Packet::is_left_out`] says what it is.
//!
//! ```text
//! shorter than any load can reach ─► whole      (a load beyond the packet would end the program with 0)
//! with a VLAN tag that was taken off ─► whole   (the program is written for the frame as it was on the wire)
//! selected ─► whole                             not selected ─► one octet
//! ```
//! Who reads the packets judges what comes whole.

use libc::sock_filter;

/// What is captured of a packet that is not selected.
pub(super) const LEFT_OUT_OCTETS: u32 = 1;

/// BPF_MAXINSNS.
const INSTRUCTIONS_MAX: usize = 4096;
/// An IPv4 header's length is the only index register's content that has a bound.
const INDEX_OCTETS_MAX: u32 = 60;
/// linux/filter.h: SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT.
const VLAN_TAG_PRESENT: u32 = 0xffff_f000 + 48;

mod code {
    pub(super) const LOAD_WORD: u16 = 0x20;
    pub(super) const LOAD_LENGTH: u16 = 0x80;
    pub(super) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
    pub(super) const JUMP_EQUAL: u16 = 0x15;
    pub(super) const RETURN: u16 = 0x06;
    pub(super) const RETURN_A: u16 = 0x16;
    pub(super) const INDEX_IPV4_HEADER: u16 = 0xb1;
    pub(super) const CLASS_MASK: u16 = 0x07;
    pub(super) const LD: u16 = 0;
    pub(super) const LDX: u16 = 1;
    pub(super) const ALU: u16 = 4;
    pub(super) const MISC: u16 = 7;
    pub(super) const MODE_MASK: u16 = 0xe0;
    pub(super) const ABSOLUTE: u16 = 0x20;
    pub(super) const INDIRECT: u16 = 0x40;
    pub(super) const SIZE_MASK: u16 = 0x18;
    pub(super) const HALF: u16 = 0x08;
    pub(super) const BYTE: u16 = 0x10;
    /// ALU: the operand is the index register.
    pub(super) const OF_INDEX: u16 = 0x08;
    pub(super) const OPERATION_MASK: u16 = 0xf0;
    pub(super) const DIVIDE: u16 = 0x30;
    pub(super) const MODULO: u16 = 0x90;
    pub(super) const TXA: u16 = 0x80;
}

/// A program that the kernel can run for a socket.
#[derive(Debug, Clone)]
pub struct Filter {
    program: Vec<sock_filter>,
    /// Every load of it ends below.
    reach_octets: u32,
}

impl Filter {
    /// Of a program for frames as they are on the wire, Ethernet header first; `None` where the kernel could not run it with the same
    /// answers: it reads at an index that has no bound, divides by one, computes its answer, or is too long.
    #[must_use]
    pub fn new(program: &[sock_filter]) -> Option<Self> {
        const GUARDS: usize = 6;
        let mut reach_octets = 0;
        for instruction in program {
            reach_octets = reach_octets.max(reach(instruction)?);
        }
        (program.len() + GUARDS <= INSTRUCTIONS_MAX).then(|| Self { program: program.to_vec(), reach_octets })
    }

    /// The whole of it, capturing so many octets of what is selected.
    pub(super) fn guarded(&self, octets: u32) -> Vec<sock_filter> {
        let statement = |code, k| sock_filter { code, jt: 0, jf: 0, k };
        let jump = |code, jt, jf, k| sock_filter { code, jt, jf, k };
        let mut whole = vec![
            statement(code::LOAD_LENGTH, 0),
            jump(code::JUMP_GREATER_OR_EQUAL, 1, 0, self.reach_octets),
            statement(code::RETURN, octets),
            statement(code::LOAD_WORD, VLAN_TAG_PRESENT),
            jump(code::JUMP_EQUAL, 1, 0, 0),
            statement(code::RETURN, octets),
        ];
        whole.extend(self.program.iter().map(|instruction| match instruction.code {
            code::RETURN => {
                statement(code::RETURN, if instruction.k == 0 { LEFT_OUT_OCTETS } else { octets })
            }
            _ => *instruction,
        }));
        whole
    }
}

/// How many octets a packet needs for the instruction not to fail; `None` where that is not known.
fn reach(instruction: &sock_filter) -> Option<u32> {
    let sock_filter { code, k, .. } = *instruction;
    let octets = match code & code::SIZE_MASK {
        code::HALF => 2,
        code::BYTE => 1,
        _ => 4,
    };
    match (code & code::CLASS_MASK, code & code::MODE_MASK) {
        // Beyond it are the kernel's ancillary words, which a program for the wire does not mean.
        (code::LD, code::ABSOLUTE) => k.checked_add(octets).filter(|end| i32::try_from(*end).is_ok()),
        (code::LD, code::INDIRECT) => {
            k.checked_add(octets)?.checked_add(INDEX_OCTETS_MAX).filter(|end| i32::try_from(*end).is_ok())
        }
        _ if code == code::INDEX_IPV4_HEADER => k.checked_add(1),
        // The index register has nothing but that.
        (code::LDX, _) => None,
        (code::MISC, _) if code & code::TXA == 0 => None,
        (code::ALU, _)
            if code & code::OF_INDEX != 0
                && matches!(code & code::OPERATION_MASK, code::DIVIDE | code::MODULO) =>
        {
            None
        }
        _ if code == code::RETURN_A => None,
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(code: u16, k: u32) -> sock_filter {
        sock_filter { code, jt: 0, jf: 0, k }
    }

    #[test]
    fn every_answer_captures_something_and_short_packets_come_whole() {
        // `udp`, as libpcap writes its last part.
        let program = [
            instruction(0x30, 23),
            sock_filter { code: 0x15, jt: 0, jf: 1, k: 17 },
            instruction(code::RETURN, 262_144),
            instruction(code::RETURN, 0),
        ];
        let guarded = Filter::new(&program).expect("a program of four").guarded(96);
        let answers: Vec<u32> =
            guarded.iter().filter(|one| one.code == code::RETURN).map(|one| one.k).collect();
        assert_eq!(answers, [96, 96, 96, LEFT_OUT_OCTETS]);
        assert_eq!((guarded[1].code, guarded[1].k), (code::JUMP_GREATER_OR_EQUAL, 24));
    }

    #[test]
    fn what_the_kernel_might_end_with_nothing_is_not_given_to_it() {
        let header = instruction(code::INDEX_IPV4_HEADER, 14);
        assert!(Filter::new(&[header, instruction(0x48, 16)]).is_some());
        // tax; ld [x + 0]: an index without a bound. ldx #5. div x. ret a. ld [SKF_AD_OFF].
        for (code, k) in [(0x07, 0), (0x01, 5), (0x3c, 0), (code::RETURN_A, 0), (0x20, VLAN_TAG_PRESENT)] {
            assert!(Filter::new(&[instruction(code, k)]).is_none(), "{code:#x}");
        }
    }
}
