//! A number that is the same on two nodes exactly when their files agree in what matters between
//! them, so that a difference shows in the first heartbeat.
//!
//! What matters: the cluster's name, the authority with the length of its lease, the nodes, the
//! VIPs, who may hold them and by which rules, and the times. The witnesses do not: who votes is
//! told by the leases themselves, and changed one voter at a time while everything else goes on.
//! The order of nodes and VIPs matters, because they are known by their positions.
//! What is each node's own affair does not: checks, hooks, the control socket, the key file's
//! path. The key itself is authenticated, never digested.

use std::net::IpAddr;

use standin_core::config::{Failback, OnAnswer};

use super::model::{Authority, ClusterFile, NodeId, OnDoubt, Placement};

// FNV-1a, 64 bits: the offset basis and prime of the Internet-Draft draft-eastlake-fnv. It guards
// against slips, not against forgers: heartbeats are authenticated.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;
/// Changed whenever something is added to what is digested.
const FORM: u8 = 1;

struct Fnv(u64);

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_be_bytes());
    }

    /// With its length, so that no two texts run into each other.
    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => {
                self.bytes(&[4]);
                self.bytes(&v4.octets());
            }
            IpAddr::V6(v6) => {
                self.bytes(&[6]);
                self.bytes(&v6.octets());
            }
        }
    }
}

impl ClusterFile {
    /// The digest; the same on every machine and in every version with the same form.
    pub fn digest(&self) -> u64 {
        let mut fnv = Fnv(BASIS);
        fnv.bytes(&[FORM]);
        fnv.text(&self.cluster);
        match self.authority {
            Authority::None => fnv.bytes(&[0]),
            Authority::Quorum { lease } => {
                fnv.bytes(&[1]);
                fnv.number(lease.as_nanos() as u64);
            }
        }
        fnv.number(self.nodes.len() as u64);
        for node in &self.nodes {
            fnv.text(&node.name.to_ascii_lowercase());
            fnv.number(node.addresses.len() as u64);
            node.addresses.iter().for_each(|address| fnv.address(*address));
        }
        fnv.number(self.vips.len() as u64);
        for group in &self.vips {
            fnv.number(group.ranges.len() as u64);
            for range in &group.ranges {
                fnv.address(range.first());
                fnv.number(u64::from(range.count()));
                fnv.bytes(&[range.prefix]);
            }
            placement(&mut fnv, &group.placement);
            failback(&mut fnv, group.failback);
            fnv.bytes(&[
                match group.on_doubt {
                    OnDoubt::Release => 0,
                    OnDoubt::Hold => 1,
                },
                match group.on_answer {
                    OnAnswer::Wait => 0,
                    OnAnswer::Takeover => 1,
                },
            ]);
        }
        for time in [self.timing.dead_after, self.timing.interval, self.timing.back_after] {
            fnv.number(time.as_nanos() as u64);
        }
        fnv.0
    }
}

fn placement(fnv: &mut Fnv, placement: &Placement) {
    let (kind, nodes) = match placement {
        Placement::Ordered(nodes) => (0, nodes),
        Placement::Spread(nodes) => (1, nodes),
    };
    fnv.bytes(&[kind, nodes.len() as u8]);
    for NodeId(node) in nodes {
        fnv.bytes(&[*node]);
    }
}

fn failback(fnv: &mut Fnv, failback: Failback) {
    match failback {
        Failback::Yes => fnv.bytes(&[0]),
        Failback::No => fnv.bytes(&[1]),
        Failback::After(delay) => {
            fnv.bytes(&[2]);
            fnv.number(delay.as_nanos() as u64);
        }
    }
}
