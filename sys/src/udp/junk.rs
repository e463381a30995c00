//! Which payloads are junk: a filter that the kernel runs before a datagram costs us anything.

use std::io;

use crate::filter::{
    Instruction, JUMP_AT_LEAST, JUMP_GREATER, KEEP, LOAD_BYTE, LOAD_LENGTH, RETURN, step,
    unless_equal,
};
use crate::netlink::socket::Failure;

/// A socket's filter sees the UDP header first.
const UDP_HEADER_LENGTH: u32 = 8;
/// A magic number longer than this would need a filter longer than it is worth.
const MAGIC_LENGTH_MAX: usize = 16;
/// Which payloads come through to the socket; all others die in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What a payload begins with; at most 16 bytes.
    pub magic: Vec<u8>,
    /// The shortest payload, in bytes.
    pub length_min: u16,
    /// The longest payload, in bytes.
    pub length_max: u16,
}

impl Filter {
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.magic.len() <= MAGIC_LENGTH_MAX {
            return Ok(());
        }
        let error = io::Error::from_raw_os_error(libc::EINVAL);
        Err(Failure { error, explanation: Some("its magic is longer than 16 bytes".into()) })
    }

    pub(super) fn program(&self) -> Vec<Instruction> {
        // Every check that fails jumps to the last instruction; there are at most 37.
        let count = 5 + 2 * self.magic.len();
        let to_end = |at: usize| (count - 2 - at) as u8;
        let shortest = UDP_HEADER_LENGTH + u32::from(self.length_min);
        let longest = UDP_HEADER_LENGTH + u32::from(self.length_max);
        let mut program = vec![
            step(LOAD_LENGTH, 0),
            Instruction { code: JUMP_AT_LEAST, jt: 0, jf: to_end(1), k: shortest },
            Instruction { code: JUMP_GREATER, jt: to_end(2), jf: 0, k: longest },
        ];
        for (offset, &byte) in (UDP_HEADER_LENGTH..).zip(&self.magic) {
            program.push(step(LOAD_BYTE, offset));
            program.push(unless_equal(u32::from(byte), to_end(program.len())));
        }
        program.push(step(RETURN, KEEP));
        program.push(step(RETURN, 0));
        program
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter;

    #[test]
    fn only_the_magic_and_the_length_come_through() {
        let kept = |filter: &Filter, payload: &[u8]| {
            let datagram = [&[0; 8][..], payload].concat();
            filter::accepts(&filter.program(), &datagram, |_| None)
        };
        let filter = Filter { magic: b"beat".to_vec(), length_min: 5, length_max: 8 };
        for good in [&b"beat1"[..], b"beat1234"] {
            assert!(kept(&filter, good), "{good:?}");
        }
        for bad in [&b""[..], b"beat", b"beat12345", b"beas1", b"ceat1", b"bea"] {
            assert!(!kept(&filter, bad), "{bad:?}");
        }
        let any = Filter { magic: vec![], length_min: 0, length_max: 1 };
        assert!(kept(&any, b"") && kept(&any, b"x") && !kept(&any, b"xy"));
        let longest = Filter { magic: vec![7; 16], length_min: 0, length_max: 2000 };
        assert!(kept(&longest, &[7; 16]) && !kept(&longest, &[7; 15]));
        assert!(longest.check().is_ok());
        assert!(Filter { magic: vec![7; 17], ..longest }.check().is_err());
    }
}
