//! Bytes on the wire and the structs they mean: ARP, neighbour discovery and ICMP echo.
//!
//! Owns every packet layout standin speaks. Never sends, receives, remembers or decides anything:
//! each codec is a pair of pure functions.
//!
//! Invariants: a parser accepts any bytes whatever without panicking and says why it refused them
//! ([`Malformed`]); what an encoder writes, the parser of the same codec reads back unchanged.

pub mod arp;
pub mod checksum;
pub mod frame;
pub mod icmp;
pub mod mac;
pub mod ndp;

pub use arp::{ArpPacket, Operation};
pub use frame::{EthernetHeader, Frame, Malformed};
pub use icmp::Echo;
pub use mac::{Mac, MacParseError};
pub use ndp::{Advertisement, Message, Solicitation};
