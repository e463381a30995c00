//! What one node's configuration says, as far as it is translated.

use std::net::IpAddr;
use std::time::Duration;

use super::texts::Place;

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<T> {
    /// The value.
    pub value: T,
    /// The place.
    pub place: Place,
}

/// One node's configuration.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// The name the node was given; often the same on all.
    pub router_id: Option<Said<String>>,
    /// Where addresses go that name no interface.
    pub default_interface: Option<String>,
    /// The version of VRRP that instances speak if they do not say.
    pub version: Option<u32>,
    /// After so many advertisements that did not come a master is dead.
    pub down_adverts: Option<u32>,
    /// Every `vrrp_instance`.
    pub instances: Vec<Instance>,
    /// Every `vrrp_sync_group`.
    pub groups: Vec<SyncGroup>,
    /// Every `vrrp_script`.
    pub scripts: Vec<Script>,
}

/// A `vrrp_instance`.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Its first line.
    pub place: Place,
    /// `state`: whether it begins as MASTER.
    pub begins_as_master: Option<bool>,
    /// `interface`.
    pub interface: Option<String>,
    /// `virtual_router_id`.
    pub router: Option<u32>,
    /// `priority`, 1 to 255.
    pub priority: Option<u32>,
    /// `virtual_ipaddress` and `virtual_ipaddress_excluded`.
    pub addresses: Vec<Address>,
    /// `unicast_src_ip` or `mcast_src_ip`.
    pub source: Option<Said<IpAddr>>,
    /// `unicast_peer`.
    pub peers: Vec<Said<IpAddr>>,
    /// `advert_int`.
    pub advert: Option<Said<Duration>>,
    /// `version`.
    pub version: Option<u32>,
    /// `down_timer_adverts`.
    pub down_adverts: Option<u32>,
    /// `nopreempt`.
    pub nopreempt: Option<Place>,
    /// `preempt_delay`.
    pub preempt_delay: Option<Said<Duration>>,
    /// `track_script`, `track_interface` and `notify_*`.
    pub tracking: Tracking,
}

impl Instance {
    /// One of this name, without anything.
    pub fn new(name: &str, place: Place) -> Self {
        Self {
            name: name.to_owned(),
            place,
            begins_as_master: None,
            interface: None,
            router: None,
            priority: None,
            addresses: Vec::new(),
            source: None,
            peers: Vec::new(),
            advert: None,
            version: None,
            down_adverts: None,
            nopreempt: None,
            preempt_delay: None,
            tracking: Tracking::default(),
        }
    }

    /// The priority that counts: 100 when none is given.
    pub fn rank(&self) -> u32 {
        self.priority.unwrap_or(100)
    }
}

/// What an instance or a group of them watches and runs.
#[derive(Debug, Clone, Default)]
pub struct Tracking {
    /// `track_script`.
    pub scripts: Vec<Tracked>,
    /// `track_interface`.
    pub links: Vec<Tracked>,
    /// `notify_master` and its like.
    pub notify: Vec<Notify>,
}

/// Something that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    /// The script, or the interface.
    pub name: String,
    /// What it adds to the priority.
    pub weight: Option<i32>,
    /// Whether a failure is what is wanted.
    pub is_reversed: bool,
    /// The line.
    pub place: Place,
}

/// When a notify script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The node has become master.
    Master,
    /// It is no longer, or never was.
    Backup,
}

/// A script that is run on a change of state.
#[derive(Debug, Clone)]
pub struct Notify {
    /// When.
    pub event: Event,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The line.
    pub place: Place,
}

/// An address that moves.
#[derive(Debug, Clone)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Its prefix length; keepalived takes /32 and /128 otherwise.
    pub prefix: Option<u8>,
    /// `dev`.
    pub interface: Option<String>,
    /// The line.
    pub place: Place,
}

/// A `vrrp_sync_group`.
#[derive(Debug, Clone)]
pub struct SyncGroup {
    /// Its name.
    pub name: String,
    /// Its first line.
    pub place: Place,
    /// The instances that move together.
    pub members: Vec<Said<String>>,
    /// What it watches and runs.
    pub tracking: Tracking,
}

/// A `vrrp_script`.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// Its first line.
    pub place: Place,
    /// The program and its arguments; none without `script`.
    pub command: Vec<String>,
    /// From one run to the next.
    pub interval: Option<Duration>,
    /// The time of one run.
    pub timeout: Option<Duration>,
    /// Successes that end a failure.
    pub rise: Option<u32>,
    /// Failures that are a failure.
    pub fall: Option<u32>,
    /// What it adds to the priority.
    pub weight: Option<i32>,
    /// Whether a failure is what is wanted.
    pub is_reversed: bool,
}
