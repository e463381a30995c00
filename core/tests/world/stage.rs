//! The article's stage: a router, Brain with its public address, and Pinky, who stands in for it.

use std::net::IpAddr;
use std::time::Duration;

use standin_core::Instant;
use standin_core::wire::arp::ArpPacket;
use standin_core::wire::frame::Frame;
use standin_core::wire::mac::Mac;
use standin_core::wire::ndp::Advertisement;

use super::plan::Plan;
use super::{HostId, World};

pub const DEAD_AFTER: Duration = ms(200);
pub const BACK_AFTER: Duration = ms(1000);

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The first of what a host says that comes back with an address.
pub fn gratuitous(address: IpAddr, mac: Mac) -> Frame {
    match address {
        IpAddr::V4(v4) => ArpPacket::gratuitous_request(mac, v4).encode(mac, Mac::BROADCAST),
        IpAddr::V6(v6) => Advertisement::unsolicited(mac, v6, false).encode(),
    }
}

/// A router, Brain with its public address, and Pinky, who stands in for it.
pub struct Stage {
    pub world: World,
    pub router: HostId,
    pub brain: HostId,
    pub pinky: HostId,
    pub vip: IpAddr,
}

impl Stage {
    /// Brain is a bare host.
    pub fn bare(v6: bool, change: impl FnOnce(Plan) -> Plan) -> Self {
        let mut stage = Self::empty(v6);
        stage.world.configure(stage.brain, stage.vip);
        stage.start_pinky(change);
        stage.world.run(ms(5000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
        stage
    }

    /// Brain runs a node that has the address as its own.
    pub fn with_owner(v6: bool, change: impl FnOnce(Plan) -> Plan) -> Self {
        let mut stage = Self::empty(v6);
        let world = &mut stage.world;
        let plan = world.plan(stage.brain, stage.router, DEAD_AFTER);
        let pinky = world.hosts[stage.pinky].kernel.real;
        world.start(stage.brain, plan.watch("pinky", pinky).own(stage.vip));
        stage.start_pinky(change);
        stage.world.run(ms(5000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
        stage
    }

    pub fn empty(v6: bool) -> Self {
        let mut world = World::new(v6, 1);
        let router = world.add_host("router", 1);
        let brain = world.add_host("brain", 2);
        let pinky = world.add_host("pinky", 3);
        let vip = world.address(37);
        Self { world, router, brain, pinky, vip }
    }

    pub fn start_pinky(&mut self, change: impl FnOnce(Plan) -> Plan) {
        let brain = self.world.hosts[self.brain].kernel.real;
        let plan = self.world.plan(self.pinky, self.router, DEAD_AFTER);
        let plan = change(plan.watch("brain", brain).stand_in(self.vip));
        self.world.start(self.pinky, plan);
    }

    pub fn fail_over(&mut self) -> Instant {
        let cut = self.world.now;
        self.world.power(self.brain, false);
        let (vip, pinky) = (self.vip, self.pinky);
        self.world.run_until(ms(250), "a takeover", |world| world.holders(vip) == [pinky]);
        cut
    }
}
