//! Classic BPF (the kernel's Documentation/networking/filter.rst): what a socket shall not even
//! see.
//!
//! Owns the instructions that the sockets' filters are made of. Never decides what to keep.

use std::io;
use std::os::fd::BorrowedFd;

use crate::raw;

pub(crate) type Instruction = libc::sock_filter;

pub(crate) const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
pub(crate) const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
pub(crate) const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
/// Loads how long the packet is; the operand counts for nothing.
pub(crate) const LOAD_LENGTH: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_LEN) as u16;
pub(crate) const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
pub(crate) const JUMP_GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
pub(crate) const JUMP_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
pub(crate) const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
/// What [`RETURN`] gives for 'keep all of it'; 0 is 'drop it'.
pub(crate) const KEEP: u32 = 0x4_0000;

/// An instruction that does not jump.
pub(crate) const fn step(code: u16, operand: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k: operand }
}

/// Skips `unequal` instructions unless what was loaded equals the operand.
pub(crate) const fn unless_equal(operand: u32, unequal: u8) -> Instruction {
    Instruction { code: JUMP_EQUAL, jt: 0, jf: unequal, k: operand }
}

/// From now on the socket receives only what the filter keeps.
pub(crate) fn attach(fd: BorrowedFd<'_>, filter: &[Instruction]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        // The kernel only reads it.
        filter: filter.as_ptr().cast_mut(),
    };
    raw::set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Runs a filter as the kernel would, for the tests of those who write filters.
#[cfg(test)]
pub(crate) fn accepts(
    filter: &[Instruction],
    packet: &[u8],
    special: impl Fn(u32) -> Option<u32>,
) -> bool {
    let (mut at, mut value) = (0, 0u32);
    loop {
        let Instruction { code, jt, jf, k } = filter[at];
        at += 1;
        let offset = k as usize;
        let jump = |taken| usize::from(if taken { jt } else { jf });
        match code {
            LOAD_BYTE => match special(k).or(packet.get(offset).map(|&byte| u32::from(byte))) {
                Some(loaded) => value = loaded,
                None => return false,
            },
            LOAD_HALF => match packet.get(offset..offset + 2) {
                Some(half) => value = u32::from(u16::from_be_bytes([half[0], half[1]])),
                None => return false,
            },
            LOAD_WORD => match packet.get(offset..).and_then(|rest| rest.first_chunk()) {
                Some(word) => value = u32::from_be_bytes(*word),
                None => return false,
            },
            LOAD_LENGTH => value = packet.len() as u32,
            JUMP_EQUAL => at += jump(value == k),
            JUMP_GREATER => at += jump(value > k),
            JUMP_AT_LEAST => at += jump(value >= k),
            RETURN => return k != 0,
            code => panic!("unknown instruction {code}"),
        }
    }
}
