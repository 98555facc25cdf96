use proptest::prelude::*;

use super::program::Octets;
use super::*;

fn program(expression: &str) -> Program {
    Expression::new(expression).compile(LinkLayer::Ethernet).unwrap()
}

/// UDP from 10.0.0.1:1000 to 10.0.0.2:53.
fn frame() -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([3, 232, 0, 53, 0, 8, 0, 0]);
    frame
}

fn selects(expression: &str, frame: &[u8]) -> bool {
    program(expression).selects(frame, frame.len() as u32)
}

#[test]
fn what_was_not_captured_is_not_selected_and_the_length_is_that_of_the_wire() {
    let frame = frame();
    assert!(selects("udp port 53", &frame));
    assert!(!selects("udp port 53", &frame[..30]));
    assert!(program("greater 1000").selects(&frame[..20], 1500));
    assert!(!program("not udp").selects(&frame[..5], 42), "a load beyond the capture ends it");
}

#[test]
fn an_expression_that_is_wrong_is_named_with_the_words_of_libpcap_and_the_mend() {
    let said = Expression::new("udp prot 53").compile(LinkLayer::Ethernet).unwrap_err().to_string();
    assert!(said.contains("-f 'udp prot 53': can't parse filter expression: syntax error"), "{said}");
    assert!(said.contains("mend: see `man 7 pcap-filter`"), "{said}");
    let said = Expression::new("vlan").compile(LinkLayer::Ip).unwrap_err().to_string();
    assert!(said.contains("IP packets without a link layer"), "{said}");
    let said = Expression::new("ip protochain 6").compile(LinkLayer::Ethernet).unwrap_err().to_string();
    assert!(said.contains("loops"), "{said}");
}

#[test]
fn a_tag_that_was_taken_off_is_where_it_was_on_the_wire() {
    let selector = |text| Selector::new(&Expression::new(text), &[LinkLayer::Ethernet]).unwrap();
    let tag = (0x8100, 7);
    for (expression, selected) in
        [("vlan 7 and udp port 53", true), ("vlan 8", false), ("udp port 53", false)]
    {
        assert_eq!(selector(expression).selects_tagged(&frame(), tag, 46), selected, "{expression}");
    }
    assert!(!selector("vlan").selects_tagged(&frame()[..8], tag, 46));
}

#[test]
fn a_program_that_could_go_astray_is_refused() {
    let of = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let answer = of(0x06, 0, 0, 1);
    for (program, refused) in [
        (vec![], Refused::Length(0)),
        (vec![of(0x28, 0, 0, 12)], Refused::Instruction(0)),
        (vec![of(0x15, 0, 9, 1), answer], Refused::Instruction(0)),
        (vec![of(0x05, 0, 0, u32::MAX), answer], Refused::Loops(0)),
        (vec![of(0x02, 0, 0, 16), answer], Refused::Instruction(0)),
        (vec![of(0xffff, 0, 0, 0), answer], Refused::Instruction(0)),
    ] {
        assert_eq!(Program::new(&program).unwrap_err(), refused, "{program:?}");
    }
    let divided = [of(0x01, 0, 0, 0), of(0x3c, 0, 0, 0), answer];
    assert!(!Program::new(&divided).unwrap().selects(&frame()[..], 42), "a division by zero leaves out");
}

/// Octets one by one, as a view with a tag reads them.
struct OneByOne<'a>(&'a [u8]);

impl Octets for OneByOne<'_> {
    fn octet(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }
}

proptest! {
    /// Whatever instructions there are: refused, or run to an answer, and the same however the octets are read.
    #[test]
    fn any_program_that_is_taken_ends(
        code in proptest::collection::vec((any::<u16>(), 0u8..4, 0u8..4, any::<u32>()), 1..40),
        frame in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        const CODES: [u16; 16] = [0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xb1, 0x80, 0x15, 0x25, 0x45, 0x54, 0x07, 0x87, 0x02, 0x60];
        let instruction = |(code, jt, jf, k): (u16, u8, u8, u32)| Instruction {
            code: CODES[usize::from(code) % CODES.len()],
            jt,
            jf,
            k: k % 64,
        };
        let mut program: Vec<_> = code.into_iter().map(instruction).collect();
        program.extend([Instruction { code: 0x06, jt: 0, jf: 0, k: 1 }; 4]);
        if let Ok(program) = Program::new(&program) {
            let answer = program.selects(frame.as_slice(), 100);
            prop_assert_eq!(answer, program.selects(&OneByOne(&frame), 100));
        }
    }
}
