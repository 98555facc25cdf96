//! A program of classic BPF, verified and made ready once, then run on every frame: no allocation, no unsafe, no loop.
//!
//! libpcap's own interpreter takes raw pointers for each packet; this one takes slices, and is the same machine (pcap/bpf.h,
//! bpf_filter(3)): a load beyond what was captured, or a division by zero, leaves the packet out.

use super::Instruction;
use super::instruction::code::{self, *};

/// Words of scratch memory (BPF_MEMWORDS).
const MEMORY_WORDS: usize = 16;
/// A program is made of an expression that somebody wrote; BPF_MAXINSNS of the kernel.
const INSTRUCTIONS_MAX: usize = 4096;

/// Why a program is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// See the message.
    #[error("the program for it has {0} instructions; 1 to {INSTRUCTIONS_MAX} are run")]
    Length(usize),
    /// See the message.
    #[error(
        "the program for it loops (instruction {0}), as protochain does: a packet could hold a worker up"
    )]
    Loops(usize),
    /// See the message.
    #[error(
        "the program for it has an instruction {0} that classic BPF does not have, or that leads nowhere"
    )]
    Instruction(usize),
}

/// What an operation takes: a constant, or the index register.
#[derive(Clone, Copy, Debug)]
enum Operand {
    K(u32),
    X,
}

#[derive(Clone, Copy, Debug)]
enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

#[derive(Clone, Copy, Debug)]
enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    AnyBit,
}

/// One step; places to go on at are indexes of steps, and lie behind it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Word(u32),
    Half(u32),
    Byte(u32),
    WordAt(u32),
    HalfAt(u32),
    ByteAt(u32),
    Length,
    Constant(u32),
    Memory(u8),
    IndexLength,
    IndexConstant(u32),
    IndexMemory(u8),
    IndexHeader(u32),
    Store(u8),
    StoreIndex(u8),
    Compute(Arithmetic, Operand),
    Negate,
    Jump(u16),
    /// The place where the test holds, and where it does not.
    Branch(Test, Operand, u16, u16),
    ToIndex,
    FromIndex,
    Return(u32),
    ReturnAccumulator,
}

/// The octets of a frame, as far as they were captured.
pub trait Octets {
    /// One octet.
    fn octet(&self, at: usize) -> Option<u8>;
    /// Two, in network order.
    fn half(&self, at: usize) -> Option<u16> {
        Some(u16::from_be_bytes([self.octet(at)?, self.octet(at.checked_add(1)?)?]))
    }
    /// Four, in network order.
    fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from(self.half(at)?) << 16 | u32::from(self.half(at.checked_add(2)?)?))
    }
}

impl Octets for [u8] {
    #[inline(always)]
    fn octet(&self, at: usize) -> Option<u8> {
        self.get(at).copied()
    }
    #[inline(always)]
    fn half(&self, at: usize) -> Option<u16> {
        Some(u16::from_be_bytes(*self.get(at..)?.first_chunk()?))
    }
    #[inline(always)]
    fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from_be_bytes(*self.get(at..)?.first_chunk()?))
    }
}

/// A verified program.
#[derive(Clone, Debug)]
pub struct Program {
    steps: Box<[Step]>,
    instructions: Box<[Instruction]>,
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.instructions == other.instructions
    }
}

impl Eq for Program {}

impl Program {
    /// Verifies it: every instruction is known, every jump leads forwards and to one, every way ends with an answer.
    ///
    /// # Errors
    /// What it is that cannot be run.
    pub fn new(instructions: &[Instruction]) -> Result<Self, Refused> {
        let count = instructions.len();
        if !(1..=INSTRUCTIONS_MAX).contains(&count) {
            return Err(Refused::Length(count));
        }
        let steps = instructions.iter().enumerate().map(|(at, instruction)| step(at, *instruction, count));
        let steps: Box<[Step]> = steps.collect::<Result<_, _>>()?;
        // Jumps end within; who does not jump or answer goes on to the next, so that the last has to answer.
        match steps.last() {
            Some(Step::Return(_) | Step::ReturnAccumulator) => {}
            _ => return Err(Refused::Instruction(count - 1)),
        }
        Ok(Self { steps, instructions: instructions.into() })
    }

    /// The instructions that it was made of.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Whether it selects the frame of which these octets were captured, and which had so many.
    #[inline]
    pub fn selects<O: Octets + ?Sized>(&self, frame: &O, original_octets: u32) -> bool {
        self.run(frame, original_octets).is_some_and(|answer| answer != 0)
    }

    /// `None` = a load or a division failed.
    fn run<O: Octets + ?Sized>(&self, frame: &O, length: u32) -> Option<u32> {
        let (mut a, mut x) = (0u32, 0u32);
        let mut memory = [0u32; MEMORY_WORDS];
        let mut at = 0usize;
        // Places only grow, and end: `new` has seen to both.
        while let Some(step) = self.steps.get(at) {
            at += 1;
            match *step {
                Step::Word(k) => a = frame.word(k as usize)?,
                Step::Half(k) => a = frame.half(k as usize)?.into(),
                Step::Byte(k) => a = frame.octet(k as usize)?.into(),
                Step::WordAt(k) => a = frame.word((x as usize).checked_add(k as usize)?)?,
                Step::HalfAt(k) => a = frame.half((x as usize).checked_add(k as usize)?)?.into(),
                Step::ByteAt(k) => a = frame.octet((x as usize).checked_add(k as usize)?)?.into(),
                Step::Length => a = length,
                Step::Constant(k) => a = k,
                Step::Memory(word) => a = memory[usize::from(word) % MEMORY_WORDS],
                Step::IndexLength => x = length,
                Step::IndexConstant(k) => x = k,
                Step::IndexMemory(word) => x = memory[usize::from(word) % MEMORY_WORDS],
                Step::IndexHeader(k) => x = u32::from(frame.octet(k as usize)? & 0x0f) << 2,
                Step::Store(word) => memory[usize::from(word) % MEMORY_WORDS] = a,
                Step::StoreIndex(word) => memory[usize::from(word) % MEMORY_WORDS] = x,
                Step::Compute(how, operand) => a = compute(how, a, value(operand, x))?,
                Step::Negate => a = a.wrapping_neg(),
                Step::Jump(to) => at = to.into(),
                Step::Branch(test, operand, then, otherwise) => {
                    at = if holds(test, a, value(operand, x)) { then } else { otherwise }.into();
                }
                Step::ToIndex => x = a,
                Step::FromIndex => a = x,
                Step::Return(k) => return Some(k),
                Step::ReturnAccumulator => return Some(a),
            }
        }
        None
    }
}

#[inline(always)]
fn value(operand: Operand, x: u32) -> u32 {
    match operand {
        Operand::K(k) => k,
        Operand::X => x,
    }
}

#[inline(always)]
fn holds(test: Test, a: u32, b: u32) -> bool {
    match test {
        Test::Equal => a == b,
        Test::Greater => a > b,
        Test::GreaterOrEqual => a >= b,
        Test::AnyBit => a & b != 0,
    }
}

#[inline(always)]
fn compute(how: Arithmetic, a: u32, b: u32) -> Option<u32> {
    Some(match how {
        Arithmetic::Add => a.wrapping_add(b),
        Arithmetic::Sub => a.wrapping_sub(b),
        Arithmetic::Mul => a.wrapping_mul(b),
        Arithmetic::Div => a.checked_div(b)?,
        Arithmetic::Mod => a.checked_rem(b)?,
        Arithmetic::And => a & b,
        Arithmetic::Or => a | b,
        Arithmetic::Xor => a ^ b,
        Arithmetic::ShiftLeft => a.checked_shl(b).unwrap_or(0),
        Arithmetic::ShiftRight => a.checked_shr(b).unwrap_or(0),
    })
}

/// One instruction of so many, ready to run.
fn step(at: usize, instruction: Instruction, count: usize) -> Result<Step, Refused> {
    let Instruction { code, k, .. } = instruction;
    let unknown = Refused::Instruction(at);
    let word = || u8::try_from(k).ok().filter(|word| usize::from(*word) < MEMORY_WORDS).ok_or(unknown);
    const LD_W_ABS: u16 = LD | W | ABS;
    const LD_H_ABS: u16 = LD | H | ABS;
    const LD_B_ABS: u16 = LD | B | ABS;
    const LD_W_IND: u16 = LD | W | IND;
    const LD_H_IND: u16 = LD | H | IND;
    const LD_B_IND: u16 = LD | B | IND;
    const LD_LEN: u16 = LD | W | LEN;
    const LD_IMM: u16 = LD | IMM;
    const LD_MEM: u16 = LD | MEM;
    const LDX_LEN: u16 = LDX | W | LEN;
    const LDX_IMM: u16 = LDX | IMM;
    const LDX_MEM: u16 = LDX | MEM;
    const LDX_MSH: u16 = LDX | B | MSH;
    const RET_A: u16 = RET | code::A;
    const MISC_TXA: u16 = MISC | TXA;
    Ok(match code {
        LD_W_ABS => Step::Word(k),
        LD_H_ABS => Step::Half(k),
        LD_B_ABS => Step::Byte(k),
        LD_W_IND => Step::WordAt(k),
        LD_H_IND => Step::HalfAt(k),
        LD_B_IND => Step::ByteAt(k),
        LD_LEN => Step::Length,
        LD_IMM => Step::Constant(k),
        LD_MEM => Step::Memory(word()?),
        LDX_LEN => Step::IndexLength,
        LDX_IMM => Step::IndexConstant(k),
        LDX_MEM => Step::IndexMemory(word()?),
        LDX_MSH => Step::IndexHeader(k),
        ST => Step::Store(word()?),
        STX => Step::StoreIndex(word()?),
        RET => Step::Return(k),
        RET_A => Step::ReturnAccumulator,
        MISC => Step::ToIndex,
        MISC_TXA => Step::FromIndex,
        _ if code & CLASS_MASK == ALU => arithmetic(code, k).ok_or(unknown)?,
        _ if code & CLASS_MASK == JMP => jump(at, instruction, count)?,
        _ => return Err(unknown),
    })
}

fn operand(code: u16, k: u32) -> Operand {
    if code & code::X != 0 { Operand::X } else { Operand::K(k) }
}

fn arithmetic(code: u16, k: u32) -> Option<Step> {
    let how = match code & OPERATION_MASK {
        NEG => return Some(Step::Negate),
        ADD => Arithmetic::Add,
        SUB => Arithmetic::Sub,
        MUL => Arithmetic::Mul,
        DIV => Arithmetic::Div,
        MOD => Arithmetic::Mod,
        AND => Arithmetic::And,
        OR => Arithmetic::Or,
        XOR => Arithmetic::Xor,
        LSH => Arithmetic::ShiftLeft,
        RSH => Arithmetic::ShiftRight,
        _ => return None,
    };
    Some(Step::Compute(how, operand(code, k)))
}

fn jump(at: usize, instruction: Instruction, count: usize) -> Result<Step, Refused> {
    let Instruction { code, jt, jf, k } = instruction;
    let to = |distance: usize| {
        let place = (at + 1).checked_add(distance).filter(|place| *place < count);
        place.and_then(|place| u16::try_from(place).ok()).ok_or(Refused::Instruction(at))
    };
    let test = match code & OPERATION_MASK {
        // A distance is signed there: libpcap writes loops so.
        JA if k.cast_signed() < 0 => return Err(Refused::Loops(at)),
        JA => return Ok(Step::Jump(to(k as usize)?)),
        JEQ => Test::Equal,
        JGT => Test::Greater,
        JGE => Test::GreaterOrEqual,
        JSET => Test::AnyBit,
        _ => return Err(Refused::Instruction(at)),
    };
    Ok(Step::Branch(test, operand(code, k), to(jt.into())?, to(jf.into())?))
}
