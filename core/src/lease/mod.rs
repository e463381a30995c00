//! The right to hold a group: a lease that a majority of voters grants to one node at a time.
//!
//! Owns the rules of `authority = "quorum"`: a variant of `PaxosLease` (Trencseni, Gazso,
//! Reinhardt: <https://arxiv.org/abs/1209.4187>). No disk, no agreement on the time. Never sends
//! and never touches an address.
//!
//! - [`voter`]: what a voter grants, and to whom it says no.
//! - [`claim`]: how a node gets a lease, keeps it, and gives it up.
//! - [`electorate`]: who votes, and what a majority is while that changes.
//! - [`message`]: what they say to each other, as sections of heartbeats.
//!
//! # Why there are never two
//!
//! A voter that has granted a group to one node says no to every other until its grant has run
//! out, on its own clock, or was released with its ballot. A node holds a group while a majority of
//! grants is alive; two majorities share a voter; so two nodes would need two living grants of that
//! voter at once. What remains are the clocks. A voter binds itself for the length from when it
//! *handled* the request; the holder counts [`held_for`] the length from *before* it sent it. The
//! request was sent before it was handled, and `held_for` leaves 2 %, so with clocks whose rates
//! are each within 1 % of true time the holder is through first, however long a packet or a process
//! was held up in between. Equal clocks are not needed, nor is anything written down: a voter that
//! starts says no to everybody for one length, since it may have granted before.
//!
//! Ballots make sure that somebody gets through, not that nobody else does: a voter that promised a
//! higher one refuses the lower, and a claim proposes only where a majority has promised.

pub mod claim;
pub mod electorate;
pub mod message;
pub mod voter;

use core::net::IpAddr;
use core::time::Duration;

use alloc::vec::Vec;

use crate::heartbeat::fingerprint;

/// The share of a lease by which the holder's reckoning is shorter than the voter's: with both
/// clock rates within 1 % of true time, 0.99 / 1.01 of the length is the most.
const MARGIN_SHARE: u32 = 50;

/// The shortest lease.
pub const LENGTH_MIN: Duration = Duration::from_millis(50);
/// The shortest lease where the kernel does not end it by itself: addresses are installed for 2 s
/// and may stay for up to 1.2 s longer.
pub const LENGTH_MIN_UNGUARDED: Duration = Duration::from_secs(5);
/// Without a guard, what has to be left of a lease when an address is installed or renewed for
/// [`crate::config::ADDRESS_LIFETIME`]: that, the kernel's delay, and the way there.
pub const LIFETIME_RESERVE: Duration = Duration::from_millis(3500);

/// With a guard, by how much earlier than the lease the kernel may stop answering: what a renewal
/// may take on its way into the kernel, and a tick of it.
pub const GUARD_RESERVE: Duration = Duration::from_millis(20);

/// How long a holder may count on a grant, from before it asked for it.
pub fn held_for(length: Duration) -> Duration {
    length.saturating_sub(length / MARGIN_SHARE)
}

/// What a group is called among voters: made of its addresses, so that files in which groups have
/// other numbers can be in force at once while all are reloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

impl Key {
    /// The key of a group with these addresses, in any order.
    pub fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut octets: Vec<[u8; 16]> = addresses
            .into_iter()
            .map(|address| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            })
            .collect();
        octets.sort_unstable();
        Self(fingerprint("standin lease", octets.iter().map(<[u8; 16]>::as_slice)))
    }
}

/// The number of an attempt to get a lease. Of two the higher counts; no two attempts share one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// Rises with each attempt.
    pub round: u32,
    /// Random, one for each run of a node: what a run before said is never taken for this one's.
    pub run: u32,
}

/// What a node asks of a voter about one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Will you hear a proposal with this ballot? (Phase 1 of Paxos.)
    Prepare,
    /// Grant it to me, or grant it anew. (Phase 2.)
    Propose,
    /// The grant with this ballot, or a lower one of the same run, is over: its holder says so, or
    /// a member that has cut its holder off.
    Release,
}

/// What a voter says to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It hears no lower ballot from now on.
    Promised,
    /// It says no to everybody else for so long.
    Granted {
        /// The asker's own stamp of the request.
        stamp: u64,
        /// The length that was asked for.
        length: Duration,
    },
    /// It is granted to another.
    Taken {
        /// Whom: [`crate::heartbeat::NodeId`] of the holder.
        holder: u64,
        /// With which ballot.
        ballot: Ballot,
        /// What is left of it, on the voter's clock.
        left: Duration,
    },
    /// It has promised this higher ballot.
    Outbid(Ballot),
    /// It has just started, or just learned of the group, and does not know what it granted before.
    Quiet {
        /// For how long it stays so.
        left: Duration,
    },
    /// It binds itself for at most so long: what it keeps quiet for at its start.
    TooLong {
        /// The most.
        most: Duration,
    },
    /// Its file has no such group, or other voters.
    Stranger,
    /// No grant with such a ballot is alive any more.
    Released,
}
