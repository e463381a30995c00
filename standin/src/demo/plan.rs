//! The article's network on paper: who is there, under which addresses, and how long things take.
//!
//! Owns names, addresses and times. Touches nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use standin_core::wire::Mac;

/// The time that `--fast` puts in place of `--dead-after`.
pub const FAST: Duration = Duration::from_millis(50);
/// Time from one request to the next, for each of the two addresses.
pub const REQUEST_INTERVAL: Duration = Duration::from_millis(5);
/// A request without its whole answer by then is lost.
pub const PATIENCE: Duration = Duration::from_millis(200);
/// The whole story, from the first line to the last, is shorter.
pub const STORY_MAX: Duration = Duration::from_secs(28);

/// The two hosts that stand in for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Host {
    /// The one that stays.
    Pinky,
    /// The one that loses its power.
    Brain,
}

impl Host {
    /// Both, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::Pinky, Self::Brain];

    /// As it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pinky => "pinky",
            Self::Brain => "brain",
        }
    }

    /// One letter of a timeline.
    pub const fn letter(self) -> char {
        match self {
            Self::Pinky => 'P',
            Self::Brain => 'B',
        }
    }

    /// The one that stands in for it.
    pub const fn other(self) -> Self {
        match self {
            Self::Pinky => Self::Brain,
            Self::Brain => Self::Pinky,
        }
    }

    /// Its place in arrays.
    pub const fn index(self) -> usize {
        match self {
            Self::Pinky => 0,
            Self::Brain => 1,
        }
    }

    /// Its MAC address: it ends as its real address does.
    pub const fn mac(self) -> Mac {
        Mac(match self {
            Self::Pinky => [2, 0, 0, 0, 0, 0x16],
            Self::Brain => [2, 0, 0, 0, 0, 0x17],
        })
    }

    /// The host with that MAC address.
    pub fn with_mac(mac: Mac) -> Option<Self> {
        Self::ALL.into_iter().find(|host| host.mac() == mac)
    }

    /// The host of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|host| host.name() == name)
    }
}

/// What is built and played.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// IPv6 in place of IPv4.
    pub ipv6: bool,
    /// When a silent host counts as dead.
    pub dead_after: Duration,
    /// How long each part of the story is looked at.
    pub calm: Duration,
}

impl Plan {
    /// An address of the servers' subnet by its last number.
    fn inside(&self, last: u8) -> IpAddr {
        if self.ipv6 {
            // Written as people write it: 36 becomes ::36, although that is hexadecimal.
            let digits = u16::from(last / 10 * 16 + last % 10);
            Ipv6Addr::new(0x2001, 0xdb8, 0x239, 0, 0, 0, 0, digits).into()
        } else {
            Ipv4Addr::new(208, 201, 239, last).into()
        }
    }

    /// An address of the client's subnet by its last number.
    fn outside(&self, last: u8) -> IpAddr {
        if self.ipv6 {
            Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, last.into()).into()
        } else {
            Ipv4Addr::new(192, 0, 2, last).into()
        }
    }

    /// The prefix length of both subnets.
    pub fn prefix(&self) -> u8 {
        if self.ipv6 { 64 } else { 24 }
    }

    /// The address of a host that never moves.
    pub fn real(&self, host: Host) -> IpAddr {
        self.inside(match host {
            Host::Pinky => 16,
            Host::Brain => 17,
        })
    }

    /// The public address whose home a host is.
    pub fn public(&self, home: Host) -> IpAddr {
        self.inside(match home {
            Host::Pinky => 36,
            Host::Brain => 37,
        })
    }

    /// The router's address and MAC address among the servers.
    pub fn router_inside(&self) -> (IpAddr, Mac) {
        (self.inside(1), Mac([2, 0, 0, 0, 0, 1]))
    }

    /// The router's address and MAC address towards the client.
    pub fn router_outside(&self) -> (IpAddr, Mac) {
        (self.outside(1), Mac([2, 0, 0, 0, 1, 1]))
    }

    /// The client's address and MAC address.
    pub fn client(&self) -> (IpAddr, Mac) {
        (self.outside(10), Mac([2, 0, 0, 0, 1, 0x10]))
    }

    /// The words after `standin` on a host's command line.
    pub fn command_line(&self, host: Host) -> Vec<String> {
        let other = host.other();
        let words = [
            ("for", self.real(other).to_string()),
            ("--vip", self.public(other).to_string()),
            ("--own", self.public(host).to_string()),
            ("--label", other.name().to_owned()),
            ("--dead-after", crate::duration::show(self.dead_after)),
        ];
        words.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// A sentence of a log with the hosts' names in place of their real addresses.
    pub fn with_names(&self, sentence: &str) -> String {
        let mut text = sentence.to_owned();
        for host in Host::ALL {
            let real = self.real(host).to_string();
            text = text.replace(&format!("{real} ({real})"), host.name());
            text = text.replace(&real, host.name());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(ipv6: bool) -> Plan {
        Plan { ipv6, dead_after: Duration::from_secs(1), calm: Duration::from_secs(2) }
    }

    #[test]
    fn every_station_has_its_own_address_and_mac() {
        for ipv6 in [false, true] {
            let plan = plan(ipv6);
            let mut all = vec![plan.router_inside().0, plan.router_outside().0, plan.client().0];
            let mut macs = vec![plan.router_inside().1, plan.router_outside().1, plan.client().1];
            for host in Host::ALL {
                all.extend([plan.real(host), plan.public(host)]);
                macs.push(host.mac());
                assert_eq!(Host::with_mac(host.mac()), Some(host));
                assert_eq!(Host::named(host.name()), Some(host));
            }
            assert!(all.iter().all(|address| address.is_ipv6() == ipv6));
            all.sort();
            all.dedup();
            macs.sort();
            macs.dedup();
            assert_eq!((all.len(), macs.len()), (7, 5));
        }
        assert_eq!(plan(true).public(Host::Brain).to_string(), "2001:db8:239::37");
    }

    #[test]
    fn sentences_speak_of_names() {
        let sentence = "watching 208.201.239.17 (208.201.239.17), 208.201.239.17 is dead; \
                        208.201.239.37 stays";
        assert_eq!(
            plan(false).with_names(sentence),
            "watching brain, brain is dead; 208.201.239.37 stays"
        );
    }
}
