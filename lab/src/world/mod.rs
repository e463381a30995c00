//! Topologies, built by our own netlink code: client — router — switch — hosts.
//!
//! Owns the plan of addresses and the building. The router forwards and has a real neighbour
//! cache whose entries do not age within a case, as those of real routers do not.
//!
//! ```text
//!   client 10.8.0.2 ── 10.8.0.1 router 10.9.0.1 ── switch ┬─ pinky    10.9.0.2  VIP 10.9.0.102
//!          fd08::2     fd08::1         fd09::1            ├─ brain    10.9.0.3  VIP 10.9.0.103
//!                                                         └─ snowball 10.9.0.4
//! ```

pub mod host;
mod switch;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use anyhow::{Context, Result};
use standin_core::wire::Mac;

use crate::capture::Capture;
use crate::client::Client;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};

pub use host::{Host, Nic};
pub use switch::Switch;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// Host `number` of segment `segment`: `10.9.0.3`, `fd09::3`.
    pub fn of(self, segment: u8, number: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, segment, 0, number).into(),
            Self::V6 => {
                let first = 0xfd00 | u16::from(segment / 10 * 16 + segment % 10);
                Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, u16::from(number)).into()
            }
        }
    }

    /// A host's real address on the common segment.
    pub fn real(self, number: u8) -> IpAddr {
        self.of(LAN, number)
    }

    /// The VIP whose home is the host of this number: `10.9.0.103`, `fd09::67`.
    pub fn vip(self, number: u8) -> IpAddr {
        self.of(LAN, 100 + number)
    }
}

/// The segment of the client, the common one, and another for second wires.
pub const OUTSIDE: u8 = 8;
pub const LAN: u8 = 9;
pub const OTHER_LAN: u8 = 11;
/// The numbers of the hosts in their addresses.
pub const PINKY: u8 = 2;
pub const BRAIN: u8 = 3;
pub const SNOWBALL: u8 = 4;

/// A world: client, router, switch, Pinky and Brain.
pub struct World<'l> {
    pub lab: &'l Lab,
    pub switch: Switch,
    pub router: Rc<Host>,
    pub client: Rc<Host>,
    pub pinky: Rc<Host>,
    pub brain: Rc<Host>,
    lan: u32,
}

impl<'l> World<'l> {
    /// The article's network. Nobody has a VIP yet.
    pub fn new(lab: &'l Lab) -> Result<Self> {
        let switch = Switch::new()?;
        let outside = switch.add_segment("outside")?;
        let lan = switch.add_segment("lan")?;
        let router = Rc::new(Host::new("router")?);
        let client = Rc::new(Host::new("client")?);
        wire(&switch, outside, OUTSIDE, &router, 1, "eth0")?;
        wire(&switch, outside, OUTSIDE, &client, 2, "eth0")?;
        wire(&switch, lan, LAN, &router, 1, "eth1")?;
        for family in [Family::V4, Family::V6] {
            client.default_via(family.of(OUTSIDE, 1))?;
        }
        for (key, value) in [
            ("net/ipv4/ip_forward", "1"),
            ("net/ipv6/conf/all/forwarding", "1"),
            ("net/ipv4/neigh/eth1/base_reachable_time_ms", "1200000"),
            ("net/ipv6/neigh/eth1/base_reachable_time_ms", "1200000"),
        ] {
            router.sysctl(key, value)?;
        }
        let pinky = lan_host(&switch, lan, "pinky", PINKY)?;
        let brain = lan_host(&switch, lan, "brain", BRAIN)?;
        Ok(Self { lab, switch, router, client, pinky, brain, lan })
    }

    /// One more host on the common segment.
    pub fn add_host(&self, name: &str, number: u8) -> Result<Rc<Host>> {
        lan_host(&self.switch, self.lan, name, number)
    }

    /// One more host on the common segment that answers nobody but by its kernel.
    pub fn add_quiet_host(&self, name: &str, number: u8) -> Result<Rc<Host>> {
        let host = Rc::new(Host::new(name)?);
        wire(&self.switch, self.lan, LAN, &host, number, "eth0")?;
        Ok(host)
    }

    /// A host on the client's side of the router: nobody on the common segment hears its ARP.
    pub fn add_host_outside(&self, name: &str, number: u8) -> Result<Rc<Host>> {
        let host = Rc::new(Host::new(name)?);
        let outside = self.switch.segment("outside")?;
        wire(&self.switch, outside, OUTSIDE, &host, number, "eth0")?;
        for family in [Family::V4, Family::V6] {
            host.default_via(family.of(OUTSIDE, 1))?;
        }
        Ok(host)
    }

    /// A second wire of a host, to the same segment (an address of it beside the first) or to
    /// another one.
    pub fn add_wire(&self, host: &Host, number: u8, other_segment: bool) -> Result<Nic> {
        if other_segment {
            let segment =
                self.switch.segment("other").or_else(|_| self.switch.add_segment("other"))?;
            return wire(&self.switch, segment, OTHER_LAN, host, number, "eth1");
        }
        wire(&self.switch, self.lan, LAN, host, number, "eth1")
    }

    /// The addresses that the hosts may answer at.
    pub fn public_addresses() -> Vec<IpAddr> {
        let families = [Family::V4, Family::V6].into_iter();
        families.flat_map(|family| [family.vip(PINKY), family.vip(BRAIN)]).collect()
    }

    /// The power goes: no wire carries anything any more, and no process lives.
    pub fn power_off(&self, host: &Host) -> Result<()> {
        self.lab.say(format!("{} loses its power", host.name()));
        self.cut(host, true)?;
        host.kill_processes()
    }

    /// All wires of a host are cut, or mended.
    pub fn cut(&self, host: &Host, cut: bool) -> Result<()> {
        for nic in host.nics() {
            self.switch.set_port_up(nic.port, !cut)?;
        }
        Ok(())
    }

    /// The wires of a host carry again; its kernel and its addresses are as they were.
    pub fn power_on(&self, host: &Host) -> Result<()> {
        self.lab.say(format!("{} is plugged in again", host.name()));
        self.cut(host, false)
    }

    /// Captures what a host says and hears.
    pub fn capture_at(&self, host: &Host) -> Result<Capture> {
        Capture::start(self.switch.namespace(), host.nic().port)
    }

    /// Captures what the router hears on the common segment.
    pub fn capture_lan(&self) -> Result<Capture> {
        let nics = self.router.nics();
        let nic = nics.iter().find(|nic| nic.name == "eth1").context("the router's second wire")?;
        Capture::start(self.switch.namespace(), nic.port)
    }

    /// A client that asks `vip` through the router.
    pub fn ask(&self, vip: IpAddr, rate_hz: u32) -> Result<Client> {
        Client::start(self.client.namespace(), vip, rate_hz)
    }

    /// Where the router would send what is for `ip`.
    pub fn router_sends_to(&self, ip: IpAddr) -> Option<Mac> {
        let nics = self.router.nics();
        self.router.neighbour(nics.iter().find(|nic| nic.name == "eth1")?, ip)
    }

    /// Waits until the router sends what is for `ip` to a host.
    pub fn wait_router_sends(&self, ip: IpAddr, to: &Host) -> Result<()> {
        self.wait_router_sends_to_mac(ip, to.mac())
    }

    /// Waits until the router sends what is for `ip` to an interface.
    pub fn wait_router_sends_to_mac(&self, ip: IpAddr, mac: Mac) -> Result<()> {
        let what = format!("the router sends {ip} to {mac}");
        wait::until_true(&what, PATIENCE, || self.router_sends_to(ip) == Some(mac))
    }

    /// A deleted first wire of a host is laid anew, with its real addresses.
    pub fn rewire(&self, host: &Host, number: u8) -> Result<Nic> {
        let nic = wire(&self.switch, self.lan, LAN, host, number, "eth0")?;
        for family in [Family::V4, Family::V6] {
            host.default_via(family.of(LAN, 1))?;
        }
        Ok(nic)
    }

    /// The router forgets its neighbours on the common segment.
    pub fn router_forgets(&self) -> Result<()> {
        let nics = self.router.nics();
        let Some(nic) = nics.iter().find(|nic| nic.name == "eth1") else { return Ok(()) };
        Ok(self.router.route(|route| route.flush_neighbours(nic.ifindex))?)
    }
}

fn lan_host(switch: &Switch, lan: u32, name: &str, number: u8) -> Result<Rc<Host>> {
    let host = Rc::new(Host::new(name)?);
    wire(switch, lan, LAN, &host, number, "eth0")?;
    for family in [Family::V4, Family::V6] {
        host.default_via(family.of(LAN, 1))?;
    }
    host.answer_at(&World::public_addresses())?;
    Ok(host)
}

/// Lays a wire with addresses of both families; the MAC tells segment and host.
fn wire(
    switch: &Switch,
    segment: u32,
    segment_number: u8,
    host: &Host,
    number: u8,
    nic: &str,
) -> Result<Nic> {
    let mut port_name = host.name().to_owned();
    if nic != "eth0" {
        port_name.push_str("-2");
    }
    let port = switch.add_port(segment, &port_name, nic, host.namespace())?;
    let mac = Mac([2, 0, 0, 0, segment_number, number]);
    let nic = host.attach(nic, mac, port)?;
    host.add_address(&nic, Family::V4.of(segment_number, number), 24)?;
    host.add_address(&nic, Family::V6.of(segment_number, number), 64)?;
    Ok(nic)
}
