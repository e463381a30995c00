//! The internet checksum (RFC 1071).
//!
//! Owns the ones' complement sum of 16-bit words and the IPv6 pseudo-header. Never knows where in
//! a packet the result goes. A packet that carries its own correct checksum sums up to 0.

use core::net::Ipv6Addr;

/// The IPv6 next header value of ICMPv6.
pub const NEXT_HEADER_ICMPV6: u8 = 58;

/// A sum over bytes that arrive in parts. The parts count as one string of bytes: where they are
/// cut, also in the middle of a word, makes no difference.
#[derive(Clone, Debug, Default)]
pub struct Checksum {
    /// Sum of the words so far; 64 bits hold the carries of any input that fits in memory.
    sum: u64,
    /// Whether the next byte is the low half of a word.
    odd: bool,
}

impl Checksum {
    /// The sum of nothing.
    pub const fn new() -> Self {
        Self { sum: 0, odd: false }
    }

    /// Continues the sum with `bytes`.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let shift = if self.odd { 0 } else { 8 };
            self.sum += u64::from(*byte) << shift;
            self.odd = !self.odd;
        }
    }

    /// The value for the packet's checksum field; 0 if the packet's own was summed and is right.
    pub const fn finish(&self) -> u16 {
        let mut sum = self.sum;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}

/// The internet checksum of `bytes`; an odd last byte is the high half of a word.
pub fn internet(bytes: &[u8]) -> u16 {
    let mut checksum = Checksum::new();
    checksum.add(bytes);
    checksum.finish()
}

/// The checksum of an ICMPv6 message between two addresses, the pseudo-header included
/// (RFC 8200, section 8.1).
///
/// ```text
/// | source (16) | destination (16) | message length (4) | zero (3) | next header 58 (1) |
/// ```
pub fn icmpv6(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let mut checksum = Checksum::new();
    checksum.add(&source.octets());
    checksum.add(&destination.octets());
    checksum.add(&(message.len() as u32).to_be_bytes());
    checksum.add(&[0, 0, 0, NEXT_HEADER_ICMPV6]);
    checksum.add(message);
    checksum.finish()
}
