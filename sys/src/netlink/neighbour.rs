//! The neighbour cache: which MAC address the kernel believes an IP address to have.
//!
//! Owns the layout of `ndmsg` and its attributes.

use std::net::IpAddr;

use super::address::family;
use super::message::{Message, Payload, attributes, read_ip, read_u16, read_u32};
use super::socket::RouteSocket;
use crate::error::Result;

const NDMSG_LENGTH: usize = 12;

/// An entry of the neighbour cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface the neighbour is on.
    pub ifindex: u32,
    /// Its address.
    pub ip: IpAddr,
    /// Its Ethernet address, where known.
    pub mac: Option<[u8; 6]>,
    /// `NUD_*`.
    pub state: u16,
    /// `NTF_*`.
    pub flags: u8,
}

impl Neighbour {
    /// Whether the kernel sends to [`mac`](Self::mac) without asking first.
    pub fn is_usable(&self) -> bool {
        let usable = libc::NUD_REACHABLE
            | libc::NUD_STALE
            | libc::NUD_DELAY
            | libc::NUD_PROBE
            | libc::NUD_PERMANENT
            | libc::NUD_NOARP;
        self.mac.is_some() && self.state & usable != 0
    }

    /// Reads `RTM_NEWNEIGH`.
    pub fn read(message: &Message<'_>) -> Option<Self> {
        let fixed = message.payload.get(..NDMSG_LENGTH)?;
        let (mut ip, mut mac) = (None, None);
        for (kind, value) in attributes(&message.payload[NDMSG_LENGTH..]) {
            match kind {
                libc::NDA_DST => ip = read_ip(value),
                libc::NDA_LLADDR => mac = value.try_into().ok(),
                _ => {}
            }
        }
        Some(Self {
            ifindex: read_u32(fixed, 4)?,
            ip: ip?,
            mac,
            state: read_u16(fixed, 8)?,
            flags: fixed[10],
        })
    }
}

fn header(payload: &mut Payload<'_>, family: u8, ifindex: u32, state: u16) {
    let mut bytes = [0; NDMSG_LENGTH];
    bytes[0] = family;
    bytes[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    bytes[8..10].copy_from_slice(&state.to_ne_bytes());
    payload.bytes(&bytes);
}

impl RouteSocket {
    /// All entries of both families, also incomplete and failed ones.
    pub fn neighbours(&mut self) -> Result<Vec<Neighbour>> {
        let outcome = self.dumped(
            libc::RTM_GETNEIGH,
            |payload| header(payload, 0, 0, 0),
            |message| (message.kind == libc::RTM_NEWNEIGH).then(|| Neighbour::read(message))?,
        );
        outcome.map_err(|failure| failure.named("list the neighbours".into()))
    }

    /// The entry of one address, if there is one.
    pub fn neighbour(&mut self, ifindex: u32, ip: IpAddr) -> Result<Option<Neighbour>> {
        let outcome = self.asked(
            libc::RTM_GETNEIGH,
            0,
            |payload| {
                header(payload, family(ip), ifindex, 0);
                payload.attribute_ip(libc::NDA_DST, ip);
            },
            Neighbour::read,
        );
        match outcome {
            Err(failure) if failure.error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            outcome => self
                .explain(outcome, |socket| {
                    format!("look up neighbour {ip} on {}", socket.interface_name(ifindex))
                })
                .map(Some),
        }
    }

    /// Writes an entry; a permanent one never expires and is never updated by frames.
    pub fn set_neighbour(
        &mut self,
        ifindex: u32,
        ip: IpAddr,
        mac: [u8; 6],
        permanent: bool,
    ) -> Result<()> {
        let state = if permanent { libc::NUD_PERMANENT } else { libc::NUD_REACHABLE };
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let outcome = self.acknowledged(libc::RTM_NEWNEIGH, flags, |payload| {
            header(payload, family(ip), ifindex, state);
            payload.attribute_ip(libc::NDA_DST, ip).attribute(libc::NDA_LLADDR, &mac);
        });
        self.explain(outcome, |socket| {
            format!("set neighbour {ip} on {}", socket.interface_name(ifindex))
        })
    }

    /// Deletes the entry of one address. `ENOENT` when there is none.
    pub fn delete_neighbour(&mut self, ifindex: u32, ip: IpAddr) -> Result<()> {
        let outcome = self.acknowledged(libc::RTM_DELNEIGH, 0, |payload| {
            header(payload, family(ip), ifindex, 0);
            payload.attribute_ip(libc::NDA_DST, ip);
        });
        self.explain(outcome, |socket| {
            format!("delete neighbour {ip} on {}", socket.interface_name(ifindex))
        })
    }

    /// Deletes every entry of an interface that was learned, so that all have to be asked for
    /// again. Entries that vanish by themselves meanwhile are no error.
    pub fn flush_neighbours(&mut self, ifindex: u32) -> Result<()> {
        let learned = |entry: &Neighbour| {
            entry.ifindex == ifindex && entry.state & (libc::NUD_PERMANENT | libc::NUD_NOARP) == 0
        };
        for entry in self.neighbours()?.iter().filter(|entry| learned(entry)) {
            match self.delete_neighbour(ifindex, entry.ip) {
                Err(error) if error.errno() != Some(libc::ENOENT) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn reads_an_entry() {
        #[rustfmt::skip]
        let payload = [
            2, 0, 0, 0,  5, 0, 0, 0,  2, 0, 0, 1,
            8, 0, 1, 0,  10, 0, 0, 9,
            10, 0, 2, 0,  2, 0, 0, 0, 0, 9, 0, 0,
        ];
        let message = |payload| Message { kind: 28, flags: 0, sequence: 1, payload };
        let entry = Neighbour::read(&message(&payload)).unwrap();
        assert_eq!((entry.ifindex, entry.ip), (5, IpAddr::from([10, 0, 0, 9])));
        assert_eq!((entry.mac, entry.state), (Some([2, 0, 0, 0, 0, 9]), libc::NUD_REACHABLE));
        assert!(entry.is_usable());
        for end in 0..payload.len() {
            let _ = Neighbour::read(&message(&payload[..end]));
        }
    }
}
