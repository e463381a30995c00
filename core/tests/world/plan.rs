//! The configuration of a host in the world, in few words.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use standin_core::Config;
use standin_core::config::{
    Check, Failback, Home, Link, LinkId, LinkState, OnAnswer, OnCheckFailure, Peer, PeerAddress,
    PeerId, Timing, Vantage, Vip, VipId,
};

/// The interface of every host in the world.
pub const LINK: LinkId = LinkId(0);

/// A configuration in the making.
#[derive(Clone, Debug)]
pub struct Plan {
    pub link: LinkState,
    pub peers: Vec<Peer>,
    pub vips: Vec<Vip>,
    pub checks: Vec<Check>,
    pub timing: Timing,
}

impl Plan {
    pub fn new(link: LinkState, dead_after: Duration) -> Self {
        let interval = Timing::default_interval(dead_after);
        let timing = Timing { dead_after, interval, back_after: Duration::from_secs(1) };
        Self { link, peers: Vec::new(), vips: Vec::new(), checks: Vec::new(), timing }
    }

    /// Watches a host on the link.
    pub fn watch(mut self, name: &str, real: IpAddr) -> Self {
        let addresses = vec![PeerAddress { ip: real, link: Some(LINK) }];
        self.peers.push(Peer { name: Arc::from(name), addresses });
        self
    }

    /// Stands in for the host that was watched last.
    pub fn stand_in(self, vip: IpAddr) -> Self {
        let home = PeerId(self.peers.len() as u32 - 1);
        self.vip(vip, Home::Peer(home))
    }

    /// Has an address of its own.
    pub fn own(self, vip: IpAddr) -> Self {
        self.vip(vip, Home::Here)
    }

    fn vip(mut self, address: IpAddr, home: Home) -> Self {
        self.vips.push(Vip {
            address,
            link: LINK,
            home,
            failback: Failback::Yes,
            on_answer: OnAnswer::Wait,
            on_check_failure: OnCheckFailure::Takeover,
            adopted: false,
            shares_lifetime: false,
        });
        self
    }

    /// Changes the VIP that was added last.
    pub fn with(mut self, change: impl FnOnce(&mut Vip)) -> Self {
        change(self.vips.last_mut().expect("a VIP"));
        self
    }

    /// Checks the service of the VIP that was added last, every 100 ms, rise 2, fall 2.
    pub fn check(mut self) -> Self {
        self.checks.push(Check {
            name: Arc::from("page"),
            vip: VipId(self.vips.len() as u32 - 1),
            interval: Duration::from_millis(100),
            timeout: Duration::from_millis(50),
            rise: 2,
            fall: 2,
            vantage: Vantage::OnItself,
        });
        self
    }

    pub fn config(&self) -> Config {
        let links = vec![Link { name: Arc::from("eth0"), state: self.link.clone() }];
        let (peers, vips, checks) = (self.peers.clone(), self.vips.clone(), self.checks.clone());
        Config::new(links, peers, vips, checks, self.timing).expect("a valid plan")
    }
}
