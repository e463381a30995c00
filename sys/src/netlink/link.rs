//! Interfaces: what there is, and making, changing and removing them.
//!
//! Owns the layout of `ifinfomsg` and its attributes (rtnetlink(7)). Names are at most 15 bytes,
//! as the kernel's `IFNAMSIZ` asks.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::message::{Message, Payload, attributes, read_text, read_u16, read_u32};
use super::socket::{Failure, RouteSocket};
use crate::error::{Error, Result};

/// The longest name of an interface, or label of an address, in bytes.
pub const NAME_LENGTH_MAX: usize = libc::IFNAMSIZ - 1;

const IFINFOMSG_LENGTH: usize = 16;
// linux/if_link.h, linux/veth.h: not in libc.
const VETH_INFO_PEER: u16 = 1;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_MACVLAN_MODE: u16 = 1;
const MACVLAN_MODE_BRIDGE: u32 = 4;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const CREATE: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the kernel's independent flags")]
pub struct Link {
    /// The kernel's number, unique in the network namespace.
    pub index: u32,
    /// The name, such as `eth0`.
    pub name: String,
    /// The Ethernet address, where the interface has one of six bytes.
    pub mac: Option<[u8; 6]>,
    /// `IFF_UP`: switched on by the administrator.
    pub up: bool,
    /// There is a carrier and the interface is operational (`IFF_LOWER_UP` and `IFF_RUNNING`).
    pub running: bool,
    /// `IFF_LOOPBACK`.
    pub loopback: bool,
    /// `IFF_NOARP`: no neighbour discovery happens on it.
    pub no_arp: bool,
    /// `IFF_POINTOPOINT`.
    pub point_to_point: bool,
    /// The largest packet in bytes.
    pub mtu: u32,
    /// `ARPHRD_*`; 1 is Ethernet.
    pub hardware_type: u16,
    /// The bridge or bond it is a port of, as an interface number.
    pub master: Option<u32>,
    /// What made it: `veth`, `bridge`, `vlan`, `macvlan` …; none for most hardware.
    pub driver_kind: Option<String>,
}

impl Link {
    /// Whether frames on it are Ethernet frames, so that ARP and packet sockets make sense.
    pub fn is_ethernet(&self) -> bool {
        self.hardware_type == libc::ARPHRD_ETHER
    }

    /// Reads `RTM_NEWLINK` and `RTM_DELLINK`.
    pub fn read(message: &Message<'_>) -> Option<Self> {
        let flags = read_u32(message.payload, 8)?;
        let has = |flag: i32| flags & flag.cast_unsigned() != 0;
        let mut link = Self {
            index: read_u32(message.payload, 4)?,
            name: String::new(),
            mac: None,
            up: has(libc::IFF_UP),
            running: has(libc::IFF_RUNNING) && has(libc::IFF_LOWER_UP),
            loopback: has(libc::IFF_LOOPBACK),
            no_arp: has(libc::IFF_NOARP),
            point_to_point: has(libc::IFF_POINTOPOINT),
            mtu: 0,
            hardware_type: read_u16(message.payload, 2)?,
            master: None,
            driver_kind: None,
        };
        for (kind, value) in attributes(message.payload.get(IFINFOMSG_LENGTH..)?) {
            match kind {
                libc::IFLA_IFNAME => link.name = read_text(value),
                libc::IFLA_ADDRESS => link.mac = value.try_into().ok(),
                libc::IFLA_MTU => link.mtu = read_u32(value, 0)?,
                libc::IFLA_MASTER => link.master = read_u32(value, 0).filter(|&index| index != 0),
                libc::IFLA_LINKINFO => {
                    link.driver_kind = attributes(value)
                        .find(|&(kind, _)| kind == libc::IFLA_INFO_KIND)
                        .map(|(_, text)| read_text(text));
                }
                _ => {}
            }
        }
        Some(link)
    }
}

/// The fixed part of every link message.
fn header(payload: &mut Payload<'_>, index: u32, flags: u32, change: u32) {
    let mut bytes = [0; IFINFOMSG_LENGTH];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    payload.bytes(&bytes);
}

/// Refuses names that the kernel would refuse or cut, before they reach it.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let reason = if name.is_empty() {
        "the name is empty"
    } else if name.len() > NAME_LENGTH_MAX {
        "the name is longer than 15 bytes"
    } else if name.bytes().any(|byte| byte == 0 || byte == b'/' || byte.is_ascii_whitespace()) {
        "the name holds a character that interface names must not hold"
    } else {
        return Ok(());
    };
    let error = io::Error::from_raw_os_error(libc::EINVAL);
    Err(Failure { error, explanation: Some(reason.into()) })
}

impl RouteSocket {
    /// All interfaces of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let outcome = self.dumped(
            libc::RTM_GETLINK,
            |payload| header(payload, 0, 0, 0),
            |message| (message.kind == libc::RTM_NEWLINK).then(|| Link::read(message))?,
        );
        outcome.map_err(|failure| failure.named("list the interfaces".into()))
    }

    /// The interface of that name. `ENODEV` when there is none.
    pub fn link_by_name(&mut self, name: &str) -> Result<Link> {
        check_name(name)
            .and_then(|()| {
                self.asked(
                    libc::RTM_GETLINK,
                    0,
                    |payload| {
                        header(payload, 0, 0, 0);
                        payload.attribute_text(libc::IFLA_IFNAME, name);
                    },
                    Link::read,
                )
            })
            .map_err(|failure| failure.named(format!("look up interface {name}")))
    }

    /// The interface of that number. `ENODEV` when there is none.
    pub fn link(&mut self, index: u32) -> Result<Link> {
        self.asked_link(index)
            .map_err(|failure| failure.named(format!("look up interface {index}")))
    }

    fn asked_link(&mut self, index: u32) -> Result<Link, Failure> {
        self.asked(libc::RTM_GETLINK, 0, |payload| header(payload, index, 0, 0), Link::read)
    }

    /// The interface's name for an error text, or its number where it has gone.
    pub(crate) fn interface_name(&mut self, index: u32) -> String {
        match self.asked_link(index) {
            Ok(link) => link.name,
            Err(_) => format!("interface {index}"),
        }
    }

    /// Creates a pair of virtual Ethernet interfaces, both down. The peer is made in
    /// `peer_namespace` where given. Gives the number of the near end.
    pub fn create_veth(
        &mut self,
        name: &str,
        peer_name: &str,
        peer_namespace: Option<BorrowedFd<'_>>,
    ) -> Result<u32> {
        let outcome = check_name(peer_name).and_then(|()| {
            self.create(name, "veth", None, |data| {
                data.nest(VETH_INFO_PEER, |peer| {
                    header(peer, 0, 0, 0);
                    peer.attribute_text(libc::IFLA_IFNAME, peer_name);
                    if let Some(namespace) = peer_namespace {
                        let fd = namespace.as_raw_fd().cast_unsigned();
                        peer.attribute_u32(libc::IFLA_NET_NS_FD, fd);
                    }
                });
            })
        });
        outcome.map_err(|failure| failure.named(format!("create veth {name} with {peer_name}")))
    }

    /// Creates a bridge, down. Without multicast snooping it floods multicast like a plain switch.
    pub fn create_bridge(&mut self, name: &str, multicast_snooping: bool) -> Result<u32> {
        self.create(name, "bridge", None, |data| {
            data.attribute(IFLA_BR_MCAST_SNOOPING, &[u8::from(multicast_snooping)]);
        })
        .map_err(|failure| failure.named(format!("create bridge {name}")))
    }

    /// Creates a macvlan in bridge mode on top of interface `parent`, down.
    pub fn create_macvlan(&mut self, name: &str, parent: u32) -> Result<u32> {
        let outcome = self.create(name, "macvlan", Some(parent), |data| {
            data.attribute_u32(IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
        });
        self.explain(outcome, |socket| {
            format!("create macvlan {name} on {}", socket.interface_name(parent))
        })
    }

    /// Creates an 802.1Q VLAN on top of interface `parent`, down.
    pub fn create_vlan(&mut self, name: &str, parent: u32, id: u16) -> Result<u32> {
        let outcome = self.create(name, "vlan", Some(parent), |data| {
            data.attribute(IFLA_VLAN_ID, &id.to_ne_bytes());
        });
        self.explain(outcome, |socket| {
            format!("create VLAN {id} as {name} on {}", socket.interface_name(parent))
        })
    }

    fn create(
        &mut self,
        name: &str,
        kind: &str,
        parent: Option<u32>,
        data: impl FnOnce(&mut Payload<'_>),
    ) -> Result<u32, Failure> {
        check_name(name)?;
        self.acknowledged(libc::RTM_NEWLINK, CREATE, |payload| {
            header(payload, 0, 0, 0);
            payload.attribute_text(libc::IFLA_IFNAME, name);
            if let Some(parent) = parent {
                payload.attribute_u32(libc::IFLA_LINK, parent);
            }
            payload.nest(libc::IFLA_LINKINFO, |info| {
                info.attribute_text(libc::IFLA_INFO_KIND, kind);
                info.nest(libc::IFLA_INFO_DATA, data);
            });
        })?;
        let by_name = |payload: &mut Payload<'_>| {
            header(payload, 0, 0, 0);
            payload.attribute_text(libc::IFLA_IFNAME, name);
        };
        Ok(self.asked(libc::RTM_GETLINK, 0, by_name, Link::read)?.index)
    }

    /// Switches an interface on or off.
    pub fn set_link_up(&mut self, index: u32, up: bool) -> Result<()> {
        let flag = libc::IFF_UP.cast_unsigned();
        let outcome = self.acknowledged(libc::RTM_NEWLINK, 0, |payload| {
            header(payload, index, if up { flag } else { 0 }, flag);
        });
        let state = if up { "up" } else { "down" };
        self.explain(outcome, |socket| format!("set {} {state}", socket.interface_name(index)))
    }

    /// Renames an interface. Older kernels refuse while it is up (`EBUSY`).
    pub fn rename_link(&mut self, index: u32, name: &str) -> Result<()> {
        let outcome = check_name(name).and_then(|()| {
            self.change(index, |payload| {
                payload.attribute_text(libc::IFLA_IFNAME, name);
            })
        });
        self.explain(outcome, |socket| format!("rename {} to {name}", socket.interface_name(index)))
    }

    /// Makes an interface a port of a bridge, or of none.
    pub fn set_link_master(&mut self, index: u32, master: Option<u32>) -> Result<()> {
        let outcome = self.change(index, |payload| {
            payload.attribute_u32(libc::IFLA_MASTER, master.unwrap_or(0));
        });
        self.explain(outcome, |socket| match master {
            Some(master) => {
                let port = socket.interface_name(index);
                format!("make {port} a port of {}", socket.interface_name(master))
            }
            None => format!("release {} from its bridge", socket.interface_name(index)),
        })
    }

    /// Sets the Ethernet address.
    pub fn set_link_mac(&mut self, index: u32, mac: [u8; 6]) -> Result<()> {
        let outcome = self.change(index, |payload| {
            payload.attribute(libc::IFLA_ADDRESS, &mac);
        });
        self.explain(outcome, |socket| {
            format!("set the MAC address of {}", socket.interface_name(index))
        })
    }

    /// Sets the largest packet, in bytes.
    pub fn set_link_mtu(&mut self, index: u32, mtu: u32) -> Result<()> {
        let outcome = self.change(index, |payload| {
            payload.attribute_u32(libc::IFLA_MTU, mtu);
        });
        self.explain(outcome, |socket| {
            format!("set the MTU of {} to {mtu}", socket.interface_name(index))
        })
    }

    /// Moves an interface into another network namespace. It arrives there down, without
    /// addresses, and perhaps with another number.
    pub fn move_link(&mut self, index: u32, namespace: BorrowedFd<'_>) -> Result<()> {
        let outcome = self.change(index, |payload| {
            let fd = namespace.as_raw_fd().cast_unsigned();
            payload.attribute_u32(libc::IFLA_NET_NS_FD, fd);
        });
        self.explain(outcome, |socket| {
            format!("move {} to another network namespace", socket.interface_name(index))
        })
    }

    /// Deletes a virtual interface, and with a veth its other end.
    pub fn delete_link(&mut self, index: u32) -> Result<()> {
        let outcome =
            self.acknowledged(libc::RTM_DELLINK, 0, |payload| header(payload, index, 0, 0));
        self.explain(outcome, |socket| format!("delete {}", socket.interface_name(index)))
    }

    fn change(&mut self, index: u32, fill: impl FnOnce(&mut Payload<'_>)) -> Result<(), Failure> {
        self.acknowledged(libc::RTM_NEWLINK, 0, |payload| {
            header(payload, index, 0, 0);
            fill(payload);
        })
    }
}

/// The number of the interface `name` in the calling thread's namespace.
pub fn interface_index(name: &str) -> Result<u32> {
    let operation = || format!("look up interface {name}");
    check_name(name).map_err(|failure| failure.named(operation()))?;
    let text =
        std::ffi::CString::new(name).map_err(|_| Error::from_errno(operation(), libc::EINVAL))?;
    // SAFETY: the argument is a live, zero-terminated text.
    match unsafe { libc::if_nametoindex(text.as_ptr()) } {
        0 => Err(Error::last(operation())),
        index => Ok(index),
    }
}

/// The name of interface `index` in the calling thread's namespace.
pub fn interface_name(index: u32) -> Option<String> {
    let mut name = [0u8; libc::IFNAMSIZ];
    // SAFETY: the kernel writes at most IFNAMSIZ bytes, with a final zero, into a live array.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
    (!found.is_null()).then(|| read_text(&name))
}

/// The name of interface `index` in a socket's namespace, for an error text; its number where it
/// has gone.
pub(crate) fn name_or_number(socket: BorrowedFd<'_>, index: u32) -> String {
    // SAFETY: ifreq is plain numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_ifru.ifru_ifindex = index.cast_signed();
    // SAFETY: for this request the kernel reads the index and writes the name, both inside.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFNAME as _, &raw mut request) };
    match crate::raw::check(result) {
        Ok(_) => read_text(&request.ifr_name.map(|letter| letter.to_ne_bytes()[0])),
        Err(_) => format!("interface {index}"),
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn reads_a_link() {
        #[rustfmt::skip]
        let payload = [
            0, 0, 1, 0,  7, 0, 0, 0,  0x43, 0, 1, 0,  0, 0, 0, 0,
            9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0,
            10, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 0,
            8, 0, 4, 0, 0xdc, 5, 0, 0,
            16, 0, 18, 0, 9, 0, 1, 0, b'v', b'e', b't', b'h', 0, 0, 0, 0,
        ];
        let message = |payload| Message { kind: 16, flags: 0, sequence: 1, payload };
        let link = Link::read(&message(&payload)).unwrap();
        assert_eq!((link.index, link.name.as_str(), link.mtu), (7, "eth0", 1500));
        assert_eq!(link.mac, Some([2, 0, 0, 0, 0, 1]));
        assert!(link.up && link.running && link.is_ethernet() && !link.loopback);
        assert_eq!((link.master, link.driver_kind.as_deref()), (None, Some("veth")));
        for end in 0..payload.len() {
            // Cut anywhere it is less, or nothing; it never panics.
            let _ = Link::read(&message(&payload[..end]));
        }
        assert_eq!(Link::read(&message(&payload[..15])), None);
    }

    #[test]
    fn names_are_checked_before_the_kernel_sees_them() {
        assert!(check_name("eth0").is_ok());
        assert!(check_name("eth0.100:web").is_ok());
        for name in ["", "a/b", "a b", "0123456789abcdef", "a\0b"] {
            let failure = check_name(name).unwrap_err();
            assert_eq!(failure.error.raw_os_error(), Some(libc::EINVAL), "{name:?}");
            assert!(failure.explanation.is_some());
        }
    }
}
