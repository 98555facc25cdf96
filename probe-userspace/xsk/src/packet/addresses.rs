//! A classic BPF program that spreads packets over a fanout group by their addresses, both directions alike.
//!
//! All fragments of a packet, and all packets between two hosts, go to one member: unlike the kernel's own flow hash,
//! which sees ports in whole packets and none in fragments, so that a flow with both would be in two members.
//!
//! ```text
//!   type ─► IPv4 ─────────────► source ^ destination ─┐
//!        ├► IPv6 ─────────────► source ^ destination ─┼─► mixed ─► modulo the members (by the kernel)
//!        ├► tag ─► IPv4, IPv6, behind four octets ────┤
//!        └► else ─► MAC addresses ────────────────────┘
//! ```

use libc::sock_filter;

// linux/bpf_common.h
const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
const COPY_TO_X: u16 = 0x07; // BPF_MISC | BPF_TAX
const XOR_X: u16 = 0xac; // BPF_ALU | BPF_XOR | BPF_X
const SHIFT_RIGHT: u16 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const MULTIPLY: u16 = 0x24; // BPF_ALU | BPF_MUL | BPF_K
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const RETURN_A: u16 = 0x16; // BPF_RET | BPF_A

// linux/filter.h: offsets that mean a place of the packet rather than its first octet.
const PROTOCOL: u32 = (-0x1000_i32) as u32; // SKF_AD_OFF + SKF_AD_PROTOCOL
const NETWORK: u32 = (-0x0010_0000_i32) as u32; // SKF_NET_OFF
const LINK: u32 = (-0x0020_0000_i32) as u32; // SKF_LL_OFF

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const TAGS: [u32; 2] = [0x8100, 0x88a8];
/// Octets of a tag that was left in the packet: control information and the next type.
const TAG_OCTETS: u32 = 4;
/// 2^32 divided by the golden ratio: every bit of the sum reaches the upper half of the product.
const MULTIPLIER: u32 = 0x9e37_79b9;

/// The program. Its result is even over 16 bits; the kernel takes it modulo the members.
pub(super) fn program() -> Vec<sock_filter> {
    let plain = [xor(&ipv4(0)), xor(&ipv6(0))];
    let tagged = [xor(&ipv4(TAG_OCTETS)), xor(&ipv6(TAG_OCTETS))];
    // The last four octets of each MAC address: the first two are the vendor's, or nobody's.
    let others = xor(&[LINK + 2, LINK + 8]);
    let mix = [
        op(COPY_TO_X, 0),
        op(SHIFT_RIGHT, 16),
        op(XOR_X, 0),
        op(MULTIPLY, MULTIPLIER),
        op(SHIFT_RIGHT, 16),
        op(RETURN_A, 0),
    ];
    let choose_tagged = [op(LOAD_HALF, NETWORK + 2), equal(IPV4), equal(IPV6), op(JUMP, 0)];
    let choose =
        [op(LOAD_HALF, PROTOCOL), equal(IPV4), equal(IPV6), equal(TAGS[0]), equal(TAGS[1]), op(JUMP, 0)];
    let blocks: [&[sock_filter]; 8] =
        [&choose, &choose_tagged, &plain[0], &plain[1], &tagged[0], &tagged[1], &others, &mix];
    link(&blocks)
}

/// Lays the blocks out one after the other and sets the jumps: which block each goes to when it is taken.
fn link(blocks: &[&[sock_filter]; 8]) -> Vec<sock_filter> {
    const OTHERS: usize = 6;
    const MIX: usize = 7;
    /// (block, instruction, target block)
    const JUMPS: [(usize, usize, usize); 8] =
        [(0, 1, 2), (0, 2, 3), (0, 3, 1), (0, 4, 1), (0, 5, OTHERS), (1, 1, 4), (1, 2, 5), (1, 3, OTHERS)];
    let mut program = Vec::new();
    let mut starts = [0; 8];
    for (block, start) in blocks.iter().zip(&mut starts) {
        *start = program.len();
        program.extend_from_slice(block);
        if *start >= starts_of_sums(blocks) && !std::ptr::eq(*block, blocks[MIX]) {
            program.push(op(JUMP, 0));
        }
    }
    for (block, instruction, target) in JUMPS {
        set_jump(&mut program, starts[block] + instruction, starts[target]);
    }
    for block in 2..MIX {
        set_jump(&mut program, starts[block] + blocks[block].len(), starts[MIX]);
    }
    program
}

/// Where the first sum begins: behind the two blocks that choose.
fn starts_of_sums(blocks: &[&[sock_filter]; 8]) -> usize {
    blocks[0].len() + blocks[1].len()
}

/// Jumps go forwards, counted from the next instruction.
fn set_jump(program: &mut [sock_filter], at: usize, target: usize) {
    let distance = target - at - 1;
    match program[at].code {
        JUMP => program[at].k = distance as u32,
        _ => program[at].jt = u8::try_from(distance).unwrap_or(u8::MAX),
    }
}

fn ipv4(behind: u32) -> [u32; 2] {
    [12, 16].map(|offset| NETWORK + behind + offset)
}

fn ipv6(behind: u32) -> [u32; 8] {
    [8, 12, 16, 20, 24, 28, 32, 36].map(|offset| NETWORK + behind + offset)
}

/// Loads words and combines them.
fn xor(offsets: &[u32]) -> Vec<sock_filter> {
    let mut block = vec![op(LOAD_WORD, offsets[0])];
    for &offset in &offsets[1..] {
        block.extend([op(COPY_TO_X, 0), op(LOAD_WORD, offset), op(XOR_X, 0)]);
    }
    block
}

fn op(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn equal(value: u32) -> sock_filter {
    op(JUMP_EQUAL, value)
}

// Safe code only, and long loops: nothing for Miri.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    /// Runs the program as the kernel does, over a frame whose network header begins at `network`.
    fn run(frame: &[u8], network: usize, protocol: u32) -> u32 {
        let program = program();
        let (mut a, mut x, mut at) = (0_u32, 0_u32, 0);
        let load = |k: u32, octets: usize| -> Option<u32> {
            let base = match k as i32 {
                -0x1000 => return Some(protocol),
                k if k >= -0x0010_0000 => network as i64 + i64::from(k + 0x0010_0000),
                k => i64::from(k + 0x0020_0000),
            };
            let bytes = frame.get(base as usize..base as usize + octets)?;
            Some(bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
        };
        loop {
            let op = program[at];
            at += 1;
            match op.code {
                LOAD_WORD | LOAD_HALF => match load(op.k, if op.code == LOAD_WORD { 4 } else { 2 }) {
                    Some(word) => a = word,
                    None => return 0,
                },
                COPY_TO_X => x = a,
                XOR_X => a ^= x,
                SHIFT_RIGHT => a >>= op.k,
                MULTIPLY => a = a.wrapping_mul(op.k),
                JUMP_EQUAL => at += usize::from(if a == op.k { op.jt } else { op.jf }),
                JUMP => at += op.k as usize,
                RETURN_A => return a,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        frame.extend(ethertype.to_be_bytes());
        frame.extend(payload);
        frame
    }

    fn ipv4_packet(source: u8, destination: u8) -> Vec<u8> {
        let mut packet = vec![0x45; 12];
        packet.extend([10, 0, 0, source, 10, 0, 0, destination]);
        packet
    }

    #[test]
    fn both_directions_go_one_way_and_hosts_spread() {
        let way =
            |source, destination| run(&ethernet(0x0800, &ipv4_packet(source, destination)), 14, IPV4) % 2;
        assert!((1..100).all(|host| way(host, 200) == way(200, host)));
        let second = (1..=100).filter(|&host| way(host, 200) == 1).count();
        assert!((30..=70).contains(&second), "{second} of 100");
    }

    #[test]
    fn a_tag_in_the_packet_changes_nothing() {
        let mut tagged = vec![0, 7, 0x08, 0x00];
        tagged.extend(ipv4_packet(1, 2));
        let plain = run(&ethernet(0x0800, &ipv4_packet(1, 2)), 14, IPV4);
        assert_eq!(run(&ethernet(0x8100, &tagged), 14, 0x8100), plain);
        assert_eq!(run(&ethernet(0x88a8, &tagged), 14, 0x88a8), plain);
    }

    #[test]
    fn ipv6_is_spread_by_all_of_its_addresses() {
        let way = |last: u8, swapped: bool| {
            let (mut one, mut other) = (vec![0xfd; 16], vec![0xfd; 16]);
            one[15] = last;
            other[0] = 0x20;
            let mut packet = vec![0x60; 8];
            packet.extend(if swapped { [other, one] } else { [one, other] }.concat());
            run(&ethernet(0x86dd, &packet), 14, IPV6)
        };
        assert!((0..50).all(|last| way(last, false) == way(last, true)));
        assert_ne!(way(1, false), way(2, false));
    }

    #[test]
    fn frames_that_are_not_ip_go_by_their_mac_addresses_and_short_ones_to_the_first() {
        let arp = ethernet(0x0806, &[0; 28]);
        let mut answer = arp.clone();
        answer[..12].rotate_left(6);
        assert_eq!(run(&arp, 14, 0x0806), run(&answer, 14, 0x0806));
        assert_eq!(run(&ethernet(0x0800, &[0x45]), 14, IPV4), 0);
    }
}
