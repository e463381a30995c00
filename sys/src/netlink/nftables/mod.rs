//! `nf_tables` over netlink: tables, sets, chains and rules of our own, without the `nft` program.
//!
//! [`Transaction`] collects changes, [`NetfilterSocket`] has the kernel make all of them or none,
//! and [`Guard`] builds on both the tables in which the kernel itself ends a lease.
//!
//! ```text
//! batch      | begin | message … | end |            one send, one commit
//! message    | netlink header | family u8 | version u8 | resource u16 | attributes … |
//! ```
//!
//! Unlike the rest of netlink, numbers inside attributes are in network byte order.

mod alive;
pub mod guard;
pub mod managed;
pub mod ranges;
pub mod rule;
mod scheme;
pub mod set;
pub mod socket;
pub mod transaction;

pub use guard::{Guard, Held, Leftover, Support, Ticket};
pub use managed::Managed;
pub use rule::{Base, Comparison, Expression, MetaKey, Verdict};
pub use set::{Key, KeyType, Set};
pub use socket::{Element, NetfilterSocket};
pub use transaction::{Chain, ChainKind, Family, Hook, Table, Transaction};
