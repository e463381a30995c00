//! Addresses of interfaces, with label, origin and lifetime.
//!
//! Owns the layout of `ifaddrmsg` and its attributes. The same encoding serves the asking socket
//! and the queue of the fast loop.

use std::net::IpAddr;

use super::link::check_name;
use super::message::{Message, Payload, attributes, read_ip, read_text, read_u32};
use super::socket::{Failure, RouteSocket};
use crate::error::Result;

const IFADDRMSG_LENGTH: usize = 8;
/// The origin of an address (Linux 5.18); libc does not name it.
const IFA_PROTO: u16 = 11;
/// A lifetime of all ones never ends.
const FOREVER_S: u32 = u32::MAX;

/// An address as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface it is on.
    pub ifindex: u32,
    /// The address itself.
    pub ip: IpAddr,
    /// The length of its subnet's prefix, in bits.
    pub prefix: u8,
    /// The IPv4 label, such as `eth0:web`; `ifconfig` shows it as an alias.
    pub label: Option<String>,
    /// `IFA_F_*`.
    pub flags: u32,
    /// `RT_SCOPE_*`; 0 is global, 253 link, 254 host.
    pub scope: u8,
    /// Who added it (`IFAPROT_*` or a number of one's own). None before Linux 5.18.
    pub proto: Option<u8>,
    /// Seconds until the kernel removes it; none: for ever.
    pub valid_lft_s: Option<u32>,
    /// Seconds until it is no longer chosen as a source; none: for ever.
    pub preferred_lft_s: Option<u32>,
}

impl Address {
    /// Duplicate address detection is still going on.
    pub fn is_tentative(&self) -> bool {
        self.flags & libc::IFA_F_TENTATIVE != 0
    }

    /// Duplicate address detection found another owner.
    pub fn is_duplicate(&self) -> bool {
        self.flags & libc::IFA_F_DADFAILED != 0
    }

    /// Reads `RTM_NEWADDR` and `RTM_DELADDR`.
    pub fn read(message: &Message<'_>) -> Option<Self> {
        let fixed = message.payload.get(..IFADDRMSG_LENGTH)?;
        let mut flags = u32::from(fixed[2]);
        let (mut address, mut local) = (None, None);
        let (mut label, mut proto) = (None, None);
        let (mut preferred_lft_s, mut valid_lft_s) = (None, None);
        for (kind, value) in attributes(&message.payload[IFADDRMSG_LENGTH..]) {
            match kind {
                libc::IFA_ADDRESS => address = read_ip(value),
                libc::IFA_LOCAL => local = read_ip(value),
                libc::IFA_LABEL => label = Some(read_text(value)),
                libc::IFA_FLAGS => flags = read_u32(value, 0)?,
                libc::IFA_CACHEINFO => {
                    preferred_lft_s = read_u32(value, 0).filter(|&s| s != FOREVER_S);
                    valid_lft_s = read_u32(value, 4).filter(|&s| s != FOREVER_S);
                }
                IFA_PROTO => proto = value.first().copied().filter(|&proto| proto != 0),
                _ => {}
            }
        }
        Some(Self {
            ifindex: read_u32(fixed, 4)?,
            // On a point-to-point interface IFA_ADDRESS is the other end's.
            ip: local.or(address)?,
            prefix: fixed[1],
            label,
            flags,
            scope: fixed[3],
            proto,
            valid_lft_s,
            preferred_lft_s,
        })
    }
}

/// An address that shall be on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSpec {
    /// The interface.
    pub ifindex: u32,
    /// The address.
    pub ip: IpAddr,
    /// The length of its subnet's prefix, in bits.
    pub prefix: u8,
    /// IPv4 only: a label of at most 15 bytes; the kernel's default is the interface's name.
    pub label: Option<String>,
    /// A number that tells our addresses from others'.
    pub proto: Option<u8>,
    /// IPv6: no duplicate address detection by the kernel.
    pub no_dad: bool,
    /// The kernel makes no route for the prefix.
    pub no_prefix_route: bool,
    /// Seconds until the kernel removes it; none: for ever. 0 is refused by the kernel.
    pub valid_lft_s: Option<u32>,
    /// Seconds until it is no longer chosen as a source, at most `valid_lft_s`; 0: never chosen
    /// where another serves; none: as long as it is valid.
    pub preferred_lft_s: Option<u32>,
}

impl AddressSpec {
    /// A plain, permanent address.
    pub fn new(ifindex: u32, ip: IpAddr, prefix: u8) -> Self {
        Self {
            ifindex,
            ip,
            prefix,
            label: None,
            proto: None,
            no_dad: false,
            no_prefix_route: false,
            valid_lft_s: None,
            preferred_lft_s: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.label.as_deref().map_or(Ok(()), check_name)
    }

    /// Writes the payload of `RTM_NEWADDR`.
    pub(crate) fn encode(&self, payload: &mut Payload<'_>) {
        let mut flags = 0;
        if self.no_dad {
            flags |= libc::IFA_F_NODAD;
        }
        if self.no_prefix_route {
            flags |= libc::IFA_F_NOPREFIXROUTE;
        }
        header(payload, self.ip, self.prefix, flags as u8, self.ifindex);
        payload.attribute_ip(libc::IFA_LOCAL, self.ip).attribute_ip(libc::IFA_ADDRESS, self.ip);
        if let (Some(label), IpAddr::V4(_)) = (&self.label, self.ip) {
            payload.attribute_text(libc::IFA_LABEL, label);
        }
        payload.attribute_u32(libc::IFA_FLAGS, flags);
        if self.valid_lft_s.is_some() || self.preferred_lft_s.is_some() {
            let valid = self.valid_lft_s.unwrap_or(FOREVER_S);
            let preferred = self.preferred_lft_s.unwrap_or(valid);
            // struct ifa_cacheinfo: preferred, valid, and two time stamps the kernel fills in.
            let mut cache = [0; 16];
            cache[..4].copy_from_slice(&preferred.to_ne_bytes());
            cache[4..8].copy_from_slice(&valid.to_ne_bytes());
            payload.attribute(libc::IFA_CACHEINFO, &cache);
        }
        if let Some(proto) = self.proto {
            payload.attribute(IFA_PROTO, &[proto]);
        }
    }
}

/// Writes the payload of `RTM_DELADDR`.
pub(crate) fn encode_removal(payload: &mut Payload<'_>, ifindex: u32, ip: IpAddr, prefix: u8) {
    header(payload, ip, prefix, 0, ifindex);
    payload.attribute_ip(libc::IFA_LOCAL, ip);
}

fn header(payload: &mut Payload<'_>, ip: IpAddr, prefix: u8, flags: u8, ifindex: u32) {
    let mut bytes = [family(ip), prefix, flags, 0, 0, 0, 0, 0];
    bytes[4..].copy_from_slice(&ifindex.to_ne_bytes());
    payload.bytes(&bytes);
}

/// `AF_INET` or `AF_INET6`.
pub(crate) fn family(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

/// `NLM_F_*` that make `RTM_NEWADDR` renew an address, or add it where it is not.
pub(crate) const REPLACE: i32 = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;

impl RouteSocket {
    /// All addresses of both families.
    pub fn addresses(&mut self) -> Result<Vec<Address>> {
        let outcome = self.dumped(
            libc::RTM_GETADDR,
            |payload| {
                payload.bytes(&[0; IFADDRMSG_LENGTH]);
            },
            |message| (message.kind == libc::RTM_NEWADDR).then(|| Address::read(message))?,
        );
        outcome.map_err(|failure| failure.named("list the addresses".into()))
    }

    /// Adds an address. `EEXIST` when the interface has it already.
    pub fn add_address(&mut self, spec: &AddressSpec) -> Result<()> {
        self.put_address(spec, libc::NLM_F_CREATE | libc::NLM_F_EXCL)
    }

    /// Adds an address, or renews the lifetime of one that is there.
    pub fn replace_address(&mut self, spec: &AddressSpec) -> Result<()> {
        self.put_address(spec, REPLACE)
    }

    fn put_address(&mut self, spec: &AddressSpec, flags: i32) -> Result<()> {
        let outcome = spec.check().and_then(|()| {
            self.acknowledged(libc::RTM_NEWADDR, flags, |payload| spec.encode(payload))
        });
        self.explain(outcome, |socket| {
            format!("add {}/{} to {}", spec.ip, spec.prefix, socket.interface_name(spec.ifindex))
        })
    }

    /// Removes an address. `EADDRNOTAVAIL` when the interface does not have it.
    pub fn remove_address(&mut self, ifindex: u32, ip: IpAddr, prefix: u8) -> Result<()> {
        let outcome = self.acknowledged(libc::RTM_DELADDR, 0, |payload| {
            encode_removal(payload, ifindex, ip, prefix);
        });
        self.explain(outcome, |socket| {
            format!("remove {ip}/{prefix} from {}", socket.interface_name(ifindex))
        })
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::netlink::message::{append_message, messages};

    #[test]
    fn a_claim_is_encoded_to_the_byte() {
        let spec = AddressSpec {
            label: Some("e:b".into()),
            proto: Some(0x5d),
            no_dad: true,
            valid_lft_s: Some(2),
            preferred_lft_s: None,
            ..AddressSpec::new(3, Ipv4Addr::new(10, 0, 0, 1).into(), 32)
        };
        let mut buffer = vec![];
        append_message(&mut buffer, 20, 0, 9, |payload| spec.encode(payload));
        #[rustfmt::skip]
        let expected = [
            2, 32, 2, 0,  3, 0, 0, 0,
            8, 0, 2, 0,  10, 0, 0, 1,
            8, 0, 1, 0,  10, 0, 0, 1,
            8, 0, 3, 0,  b'e', b':', b'b', 0,
            8, 0, 8, 0,  2, 0, 0, 0,
            20, 0, 6, 0,  2, 0, 0, 0,  2, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
            5, 0, 11, 0,  0x5d, 0, 0, 0,
        ];
        assert_eq!(buffer[16..], expected);

        let message = messages(&buffer).next().unwrap();
        let address = Address::read(&message).unwrap();
        assert_eq!((address.ifindex, address.ip, address.prefix), (3, spec.ip, 32));
        assert_eq!(address.label.as_deref(), Some("e:b"));
        assert_eq!((address.proto, address.valid_lft_s), (Some(0x5d), Some(2)));
        for end in 0..message.payload.len() {
            let _ = Address::read(&Message { payload: &message.payload[..end], ..message });
        }
    }

    #[test]
    fn ipv6_has_no_label_and_may_never_be_a_source() {
        let spec = AddressSpec {
            label: Some("ignored".into()),
            valid_lft_s: Some(2),
            preferred_lft_s: Some(0),
            ..AddressSpec::new(3, "fd00::1".parse().unwrap(), 128)
        };
        let mut buffer = vec![];
        append_message(&mut buffer, 20, 0, 9, |payload| spec.encode(payload));
        let address = Address::read(&messages(&buffer).next().unwrap()).unwrap();
        assert_eq!((address.ip, address.label), (spec.ip, None));
        assert_eq!((address.preferred_lft_s, address.valid_lft_s), (Some(0), Some(2)));
    }

    #[test]
    fn a_label_that_is_too_long_is_refused_here() {
        let spec = AddressSpec {
            label: Some("0123456789abcdef".into()),
            ..AddressSpec::new(3, Ipv4Addr::LOCALHOST.into(), 32)
        };
        assert_eq!(spec.check().unwrap_err().error.raw_os_error(), Some(libc::EINVAL));
    }
}
