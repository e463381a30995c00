//! Sets and what they hold.
//!
//! Owns the types of keys and their encoding. Never knows which set is whose.

use std::net::IpAddr;

use super::super::message::Payload;
use super::rule::DATA_VALUE;

/// What a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// IPv4 addresses.
    Ipv4,
    /// IPv6 addresses.
    Ipv6,
    /// Numbers of four bytes.
    Number,
}

impl KeyType {
    /// The type by which `nft` prints the elements, and their length in bytes.
    pub(super) fn number_and_length(self) -> (u32, u32) {
        match self {
            Self::Ipv4 => (7, 4),
            Self::Ipv6 => (8, 16),
            Self::Number => (19, 4),
        }
    }
}

/// A set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set<'n> {
    /// Its name, unique in the table.
    pub name: &'n str,
    /// What it holds.
    pub key: KeyType,
    /// Whether its elements may have timeouts.
    pub timeout: bool,
    /// Whether its elements are ranges.
    pub ranges: bool,
    /// Whether each element stands for a chain that is to be asked.
    pub verdicts: bool,
}

/// An element's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// An address.
    Ip(IpAddr),
    /// A number, held in the machine's byte order.
    Number(u32),
}

impl Key {
    pub(super) fn encode(self, payload: &mut Payload<'_>) {
        match self {
            Self::Ip(ip) => payload.attribute_ip(DATA_VALUE, ip),
            Self::Number(number) => payload.attribute_u32(DATA_VALUE, number),
        };
    }
}
