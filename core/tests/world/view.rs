//! What can be seen of the world: who has what, what was said and sent, and when.
//!
//! Owns nothing and changes nothing.

use std::fmt::Write;
use std::net::IpAddr;

use standin_core::wire::frame::Frame;
use standin_core::wire::mac::Mac;
use standin_core::{Instant, Report, neighbour};

use super::{HostId, What, World};

impl World {
    pub fn holders(&self, address: IpAddr) -> Vec<HostId> {
        let all = 0..self.hosts.len();
        all.filter(|id| self.hosts[*id].powered && self.hosts[*id].kernel.has(address)).collect()
    }

    pub fn mac(&self, id: HostId) -> Mac {
        self.hosts[id].kernel.mac
    }

    pub fn neighbour(&self, id: HostId, address: IpAddr) -> Option<Mac> {
        self.hosts[id].kernel.neighbours.get(&address).copied()
    }

    pub fn said(&self, id: HostId) -> Vec<(Instant, &Report)> {
        let of_host = self.log.iter().filter(|entry| entry.host == id);
        let reports = of_host.filter_map(|entry| match &entry.what {
            What::Said(report) => Some((entry.at, report)),
            What::Sent(_) | What::Got(_) | What::Gone(_) | What::Stopped => None,
        });
        reports.collect()
    }

    /// When a host said something of this name.
    pub fn said_at(&self, id: HostId, name: &str) -> Vec<Instant> {
        let all = self.said(id).into_iter();
        all.filter(|(_, report)| report.name() == name).map(|(at, _)| at).collect()
    }

    /// When a host's kernel got (or, with `false`, lost) an address.
    pub fn changes(&self, id: HostId, address: IpAddr, got: bool) -> Vec<Instant> {
        let what = if got { What::Got(address) } else { What::Gone(address) };
        let of_host = self.log.iter().filter(|entry| entry.host == id && entry.what == what);
        of_host.map(|entry| entry.at).collect()
    }

    /// The frames in which the node of a host said that an address is at `mac`.
    pub fn announced(&self, id: HostId, address: IpAddr, mac: Mac) -> Vec<(Instant, Frame)> {
        let sent = self.log.iter().filter(|entry| entry.host == id);
        let frames = sent.filter_map(|entry| match &entry.what {
            What::Sent(frame) => Some((entry.at, frame.clone())),
            What::Said(_) | What::Got(_) | What::Gone(_) | What::Stopped => None,
        });
        let about = |frame: &Frame| {
            neighbour::hear(frame).is_ok_and(|h| h.asserts == Some(address) && h.mac == mac)
        };
        frames.filter(|(_, frame)| about(frame)).collect()
    }

    /// When the node of a host asked whether anybody has an address.
    pub fn probed(&self, id: HostId, address: IpAddr) -> Vec<Instant> {
        let of_host = self.log.iter().filter(|entry| entry.host == id);
        let probes = of_host.filter(|entry| match &entry.what {
            What::Sent(frame) => {
                neighbour::hear(frame).is_ok_and(|h| h.is_probe() && h.asks == Some(address))
            }
            What::Said(_) | What::Got(_) | What::Gone(_) | What::Stopped => false,
        });
        probes.map(|entry| entry.at).collect()
    }

    /// Everything that happened, as text.
    pub fn trace(&self) -> String {
        let mut lines = String::new();
        for entry in &self.log {
            writeln!(lines, "{entry:?}").expect("a string takes everything");
        }
        lines
    }

    /// What was said and what addresses went where, for people.
    pub fn story(&self) -> String {
        let start = self.log.first().map_or(self.now, |entry| entry.at);
        let mut lines = String::new();
        for entry in &self.log {
            let name = &self.hosts[entry.host].name;
            let what = match &entry.what {
                What::Sent(_) => continue,
                What::Got(address) => format!("got {address}"),
                What::Gone(address) => format!("lost {address}"),
                What::Said(report) => format!("says: {report}"),
                What::Stopped => "stopped".to_owned(),
            };
            writeln!(lines, "{:>12?} {name} {what}", entry.at.since(start))
                .expect("a string takes everything");
        }
        lines
    }
}
