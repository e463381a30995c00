//! What the core is told to do. A [`Config`] that exists is valid.
//!
//! Owns the ids, the settings and the rules between them. Never looks at a host: whether an
//! interface exists or an address is free is the shell's business. Invariant: every id in a
//! `Config` names something in it, and every duration is in the order that the machines rely on.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use crate::wire::mac::Mac;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The position in the list of the [`Config`].
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(
    /// A network interface: its position in [`Config::links`].
    LinkId
);
id!(
    /// A watched host: its position in [`Config::peers`].
    PeerId
);
id!(
    /// An address that may move: its position in [`Config::vips`].
    VipId
);
id!(
    /// A service check: its position in [`Config::checks`].
    CheckId
);

/// How long an installed address lives unless it is renewed: what the kernel removes when this
/// process is killed or hangs. Measured removal is up to 0.11 s later, so this is under 3 s.
pub const ADDRESS_LIFETIME: Duration = Duration::from_secs(2);
/// After how long a held address is renewed at the latest: three tries within [`ADDRESS_LIFETIME`]. A
/// little more than half a second, so that what wakes the node every half or quarter comes first.
pub const RENEW_INTERVAL: Duration = Duration::from_millis(520);
/// So much earlier it is renewed when the node is awake for a round anyway.
pub(crate) const RENEW_ALONG: Duration = Duration::from_millis(125);
/// The shortest and longest `dead_after`.
pub const DEAD_AFTER: (Duration, Duration) = (Duration::from_millis(5), Duration::from_hours(1));

/// What the core knows of an interface; the shell sends it anew when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Administratively up, with a carrier.
    pub up: bool,
    /// Its link-layer address.
    pub mac: Mac,
    /// A real (never moving) IPv4 address of this host on it: the sender of probes.
    pub ipv4: Option<Ipv4Addr>,
    /// A real IPv6 address of this host on it, preferably link-local.
    pub ipv6: Option<Ipv6Addr>,
    /// The gateways reached through it: told first of every claim.
    pub gateways: Vec<IpAddr>,
    /// This host forwards IPv6 on it (the Router flag of neighbour advertisements).
    pub router: bool,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name, for sentences.
    pub name: Arc<str>,
    /// What is known of it at the start.
    pub state: LinkState,
}

/// One real address of a watched host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// The address.
    pub ip: IpAddr,
    /// The interface on whose link it is, where it is on one: there ARP or NDP reach it too.
    pub link: Option<LinkId>,
}

/// A watched host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name, for sentences.
    pub name: Arc<str>,
    /// Its real addresses; at least one. Any answer of any of them is a sign of life.
    pub addresses: Vec<PeerAddress>,
}

/// Where a VIP belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Here: this host's own public address.
    Here,
    /// At a watched host, for which this one stands in.
    Peer(PeerId),
    /// Wherever the cluster places it.
    Cluster,
}

/// When an address goes home after its host has come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// As soon as the host has answered steadily for `back_after`.
    Yes,
    /// Only when the host is seen to hold it, or this process stops.
    No,
    /// When the host has answered steadily for so long.
    After(Duration),
}

/// What to do when somebody still answers for a VIP whose home is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAnswer {
    /// Say so and wait until the answers stop.
    Wait,
    /// Claim it all the same.
    Takeover,
}

/// What to do when a check fails while its host lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCheckFailure {
    /// Claim the VIP and announce it, though the host still has it.
    Takeover,
    /// Only say so.
    Warn,
}

/// An address that may move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// The interface that carries it.
    pub link: LinkId,
    /// Where it belongs.
    pub home: Home,
    /// When it goes home.
    pub failback: Failback,
    /// What an answer to the question before a claim means.
    pub on_answer: OnAnswer,
    /// What a failing check means.
    pub on_check_failure: OnCheckFailure,
    /// The kernel already has it from an earlier run of ours: adopt it.
    pub adopted: bool,
    /// It has no lifetime of its own in the kernel, which answers for it while there is a sign of life
    /// that is renewed for all such addresses at once ([`Action::SignLife`](crate::Action::SignLife)).
    pub shares_lifetime: bool,
}

/// Who runs a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vantage {
    /// The node on itself, or outside a cluster the stand-in on HOST.
    #[default]
    OnItself,
    /// Of a cluster, every node that does not hold the VIP, on the VIP.
    Peers,
}

/// A service check of one VIP, run by the shell when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, for sentences.
    pub name: Arc<str>,
    /// The VIP whose service it watches.
    pub vip: VipId,
    /// From the start of a run to the start of the next.
    pub interval: Duration,
    /// The shell fails a run that takes longer; the core gives up on one a little later.
    pub timeout: Duration,
    /// Successes in a row that make it pass.
    pub rise: u32,
    /// Failures in a row that make it fail.
    pub fall: u32,
    /// Who runs it.
    pub vantage: Vantage,
}

/// The times from which all others are derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A host is dead when nothing at all has answered for so long.
    pub dead_after: Duration,
    /// From one round of probes to the next while all is well; at most half of `dead_after`.
    pub interval: Duration,
    /// A host is back when it has answered steadily for so long.
    pub back_after: Duration,
}

impl Timing {
    /// The interval unless one is given: a quarter of `dead_after`.
    pub fn default_interval(dead_after: Duration) -> Duration {
        dead_after / 4
    }
}

/// Everything the core is told. Made by [`Config::new`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub(crate) links: Vec<Link>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) vips: Vec<Vip>,
    pub(crate) checks: Vec<Check>,
    pub(crate) timing: Timing,
}

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// `dead_after` is outside [`DEAD_AFTER`].
    DeadAfter(Duration),
    /// `interval` is zero or more than half of `dead_after`.
    Interval {
        /// What was given.
        interval: Duration,
        /// The most it may be.
        most: Duration,
    },
    /// A host without an address.
    NoAddress(String),
    /// An address given twice, or that is a host's real address as well as a VIP.
    Twice(IpAddr),
    /// An address that no host can have (unspecified, multicast, broadcast, loopback).
    NotAHost(IpAddr),
    /// An id that names nothing, or a check of no run, rise or fall.
    Dangling(&'static str),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::time::Spoken;
        match self {
            Self::DeadAfter(given) => write!(
                f,
                "dead-after is {}, expected between {} and {}",
                Spoken(*given),
                Spoken(DEAD_AFTER.0),
                Spoken(DEAD_AFTER.1)
            ),
            Self::Interval { interval, most } => write!(
                f,
                "the interval is {}, expected more than zero and at most half of dead-after, {}",
                Spoken(*interval),
                Spoken(*most)
            ),
            Self::NoAddress(name) => write!(f, "{name} has no address to watch"),
            Self::Twice(address) => write!(f, "{address} is given twice"),
            Self::NotAHost(address) => write!(f, "{address} is no address a host can have"),
            Self::Dangling(what) => write!(f, "{what} names nothing in this configuration"),
        }
    }
}

impl core::error::Error for ConfigError {}

impl Config {
    /// Checks the parts against each other.
    ///
    /// # Errors
    /// The first rule that is broken, as a [`ConfigError`].
    pub fn new(
        links: Vec<Link>,
        peers: Vec<Peer>,
        vips: Vec<Vip>,
        checks: Vec<Check>,
        timing: Timing,
    ) -> Result<Self, ConfigError> {
        let config = Self { links, peers, vips, checks, timing };
        config.check_timing()?;
        config.check_ids()?;
        config.check_addresses()?;
        Ok(config)
    }

    /// The interfaces, in the order of their ids.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The watched hosts, in the order of their ids.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The VIPs, in the order of their ids.
    pub fn vips(&self) -> &[Vip] {
        &self.vips
    }

    /// The checks, in the order of their ids.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The times.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    fn check_timing(&self) -> Result<(), ConfigError> {
        let Timing { dead_after, interval, .. } = self.timing;
        if dead_after < DEAD_AFTER.0 || dead_after > DEAD_AFTER.1 {
            return Err(ConfigError::DeadAfter(dead_after));
        }
        let most = dead_after / 2;
        if interval.is_zero() || interval > most {
            return Err(ConfigError::Interval { interval, most });
        }
        Ok(())
    }

    fn check_ids(&self) -> Result<(), ConfigError> {
        let known = |what, id: usize, count: usize| {
            if id < count { Ok(()) } else { Err(ConfigError::Dangling(what)) }
        };
        for peer in &self.peers {
            if peer.addresses.is_empty() {
                return Err(ConfigError::NoAddress(String::from(&*peer.name)));
            }
            for link in peer.addresses.iter().filter_map(|address| address.link) {
                known("the link of a host", link.index(), self.links.len())?;
            }
        }
        for vip in &self.vips {
            known("the link of a VIP", vip.link.index(), self.links.len())?;
            if let Home::Peer(peer) = vip.home {
                known("the home of a VIP", peer.index(), self.peers.len())?;
            }
        }
        for check in &self.checks {
            known("the VIP of a check", check.vip.index(), self.vips.len())?;
            if check.interval.is_zero() || check.rise == 0 || check.fall == 0 {
                return Err(ConfigError::Dangling("the interval, rise or fall of a check"));
            }
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<(), ConfigError> {
        let real = self.peers.iter().flat_map(|peer| peer.addresses.iter().map(|a| a.ip));
        let mut all: Vec<IpAddr> = real.chain(self.vips.iter().map(|vip| vip.address)).collect();
        if let Some(bad) = all.iter().find(|address| !can_be_a_host(**address)) {
            return Err(ConfigError::NotAHost(*bad));
        }
        all.sort_unstable();
        match all.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(ConfigError::Twice(pair[0])),
            None => Ok(()),
        }
    }
}

/// Whether a host can have this address on a link.
pub fn can_be_a_host(address: IpAddr) -> bool {
    let special = address.is_unspecified() || address.is_multicast() || address.is_loopback();
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
    !special && !broadcast
}
