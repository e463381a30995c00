//! The only unsafe code of standin and its only doors to the kernel.
//!
//! Owns: netlink, packet, ICMP and UDP sockets, clocks, timers, polling, signals, namespaces, process
//! and real-time set-up. Its API speaks in bytes and std types (`IpAddr`, `[u8; 6]` for a MAC
//! address, `u64` nanoseconds), and every failure says which operation on which object failed.
//!
//! Never: decides anything, keeps state about VIPs or peers, logs, or imports another crate of
//! this workspace.
//!
//! Invariant: what the kernel or the network sends is data. No reply, however malformed, makes
//! this crate panic or read outside its buffers.

#![expect(unsafe_code, reason = "the one crate that is allowed to call the kernel")]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

pub mod capability;
pub mod clock;
pub mod confine;
mod control;
pub mod error;
pub mod event;
mod filter;
pub mod icmp;
pub mod instance;
pub mod memory;
pub mod netlink;
pub mod netns;
pub mod packet;
pub mod poll;
pub mod process;
mod raw;
pub mod realtime;
pub mod signal;
mod socket_address;
pub mod sysctl;
pub mod terminal;
pub mod timer;
pub mod udp;

pub use error::{Error, Result};
