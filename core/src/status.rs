//! What is believed, held and counted at one moment, for people and pages.
//!
//! Owns plain values. Never refers back into the core.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::config::Vantage;
use crate::decide::Reason;
use crate::io::CheckTarget;
use crate::vip::Place;
use crate::wire::mac::Mac;

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The watched hosts.
    pub peers: Vec<Peer>,
    /// The VIPs.
    pub vips: Vec<Vip>,
    /// The checks.
    pub checks: Vec<Check>,
    /// Frames and messages that were not understood, by reason.
    pub malformed: Vec<(&'static str, u64)>,
}

/// What is believed of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Not heard yet.
    Unknown,
    /// Heard within `dead_after`.
    Alive,
    /// Silent, being probed in a burst.
    Suspected,
    /// Silent for `dead_after`.
    Dead,
}

impl Life {
    /// A word for machines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Alive => "alive",
            Self::Suspected => "suspected",
            Self::Dead => "dead",
        }
    }
}

/// A watched host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: Arc<str>,
    /// Its real addresses.
    pub addresses: Vec<IpAddr>,
    /// What is believed of it.
    pub life: Life,
    /// Since the last sign of life.
    pub heard_ago: Option<Duration>,
    /// The smoothed round trip of its echoes.
    pub round_trip: Option<Duration>,
    /// Where it was seen on the link, the latest first.
    pub macs: Vec<Mac>,
    /// Rounds of probes sent.
    pub rounds_sent: u64,
    /// Signs of life received.
    pub answers: u64,
}

/// A VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// The interface that carries it.
    pub link: Arc<str>,
    /// The host it belongs to; `None` for this one.
    pub home: Option<Arc<str>>,
    /// Where it is.
    pub place: Place,
    /// Why it is there.
    pub reason: Reason,
    /// For how long it has been there.
    pub since: Duration,
    /// Another host that claims it too.
    pub contested_by: Option<Mac>,
}

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// Nothing yet.
    Unknown,
    /// It passes.
    Passing,
    /// It fails.
    Failing,
}

impl CheckState {
    /// A word for machines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Passing => "passing",
            Self::Failing => "failing",
        }
    }
}

/// A check of one VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: Arc<str>,
    /// The VIP whose service it watches.
    pub vip: IpAddr,
    /// What it is aimed at now.
    pub target: CheckTarget,
    /// Who makes it.
    pub vantage: Vantage,
    /// What it says.
    pub state: CheckState,
    /// For how long it has said so.
    pub since: Option<Duration>,
    /// Why it last failed.
    pub last_failure: Option<String>,
}
