//! The pure decision core of standin.
//!
//! Everything that decides lives here and nothing that acts: no clock, no I/O, no threads, no
//! logging, no randomness but the seed. The shell (the daemon's fast loop, or a simulator) feeds
//! [`Input`]s with the time at which they happened and carries out the [`Action`]s that come back.
//! The same seed and the same inputs give the same actions, byte for byte.
//!
//! One turn of the shell is always [`step`]: overdue timers first, then everything that has
//! arrived, then [`Input::Idle`] ('every socket was found empty'), then drain the actions. A peer
//! is judged, and an address claimed, only at `Idle`: what it may have said has been read by then,
//! so a stall of this process never looks like the death of another host.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod check;
pub mod cluster;
pub mod config;
pub mod decide;
pub mod heartbeat;
pub mod histogram;
pub mod io;
pub mod lease;
pub mod neighbour;
pub mod node;
pub mod peer;
pub mod place;
mod random;
pub mod report;
pub mod status;
pub mod time;
mod timers;
pub mod vip;
pub mod wire;

pub use config::Config;
pub use io::{Action, Input};
pub use node::{Node, step};
pub use report::Report;
pub use time::Instant;
