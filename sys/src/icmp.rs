//! ICMP echo: questions out, answers in.
//!
//! Owns raw ICMP sockets (raw(7)) that let only echo replies through. Never builds or reads a
//! message: for ICMPv4 the caller computes the checksum, for `ICMPv6` the kernel does.
//!
//! A raw socket receives the answers to every process's questions; the caller tells its own by
//! their identifier.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::error::{Error, Result};
use crate::raw;

// linux/icmp.h and linux/icmpv6.h: not in libc. In both filters a set bit blocks a type.
const SOL_RAW: i32 = 255;
const ICMP_FILTER: i32 = 1;
const SOL_ICMPV6: i32 = 58;
const ICMPV6_FILTER: i32 = 1;
const ECHO_REPLY_V4: u32 = 0;
const ECHO_REPLY_V6: u32 = 129;

/// A received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'b> {
    /// Who sent it.
    pub source: IpAddr,
    /// The interface, where the source is a link-local address.
    pub scope: Option<u32>,
    /// The ICMP message, without an IP header.
    pub message: &'b [u8],
}

/// A non-blocking raw socket for echo requests and replies of one IP version.
#[derive(Debug)]
pub struct IcmpSocket {
    fd: OwnedFd,
    ipv6: bool,
}

impl IcmpSocket {
    /// A socket for ICMPv4.
    pub fn v4() -> Result<Self> {
        Self::open(libc::AF_INET, libc::IPPROTO_ICMP, |fd| {
            let blocked: u32 = !(1 << ECHO_REPLY_V4);
            raw::set_option(fd, SOL_RAW, ICMP_FILTER, &blocked)
        })
        .map_err(|error| Error::new("open an ICMP socket", error))
    }

    /// A socket for `ICMPv6`.
    pub fn v6() -> Result<Self> {
        Self::open(libc::AF_INET6, libc::IPPROTO_ICMPV6, |fd| {
            let mut blocked = [u32::MAX; 8];
            blocked[ECHO_REPLY_V6 as usize / 32] &= !(1 << (ECHO_REPLY_V6 % 32));
            raw::set_option(fd, SOL_ICMPV6, ICMPV6_FILTER, &blocked)
        })
        .map_err(|error| Error::new("open an ICMPv6 socket", error))
    }

    /// The socket for an address of either version.
    pub fn for_address(ip: IpAddr) -> Result<Self> {
        if ip.is_ipv4() { Self::v4() } else { Self::v6() }
    }

    fn open(
        family: i32,
        protocol: i32,
        filter: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
    ) -> io::Result<Self> {
        let fd = raw::socket(family, libc::SOCK_RAW | libc::SOCK_NONBLOCK, protocol)?;
        filter(fd.as_fd())?;
        Ok(Self { fd, ipv6: family == libc::AF_INET6 })
    }

    /// Sends and receives through one interface only, whatever the routes say.
    pub fn bind_to_device(&self, name: &str) -> Result<()> {
        let operation = || format!("bind an ICMP socket to {name}");
        crate::netlink::link::check_name(name).map_err(|failure| failure.named(operation()))?;
        let mut bytes = [0u8; libc::IFNAMSIZ];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        raw::set_option(self.fd.as_fd(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &bytes)
            .map_err(|error| Error::new(operation(), error))
    }

    /// Sends from this source address, and receives only what is sent to it.
    pub fn bind_to_source(&self, source: IpAddr, scope: Option<u32>) -> Result<()> {
        self.same_version(source)
            .and_then(|()| match source {
                IpAddr::V4(ip) => raw::bind(self.fd.as_fd(), &socket_address_v4(ip)),
                IpAddr::V6(ip) => raw::bind(self.fd.as_fd(), &socket_address_v6(ip, scope)),
            })
            .map_err(|error| Error::new(format!("send ICMP from {source}"), error))
    }

    /// Sends a message. A link-local destination needs the interface as `scope`.
    ///
    /// `ENETUNREACH` and `EHOSTUNREACH` where no route leads there; they say nothing about the
    /// destination itself.
    pub fn send(&self, destination: IpAddr, scope: Option<u32>, message: &[u8]) -> Result<()> {
        self.same_version(destination)
            .and_then(|()| match destination {
                IpAddr::V4(ip) => raw::send_to(self.fd.as_fd(), message, &socket_address_v4(ip)),
                IpAddr::V6(ip) => {
                    raw::send_to(self.fd.as_fd(), message, &socket_address_v6(ip, scope))
                }
            })
            .map(drop)
            .map_err(|error| Error::new(format!("send ICMP to {destination}"), error))
    }

    fn same_version(&self, ip: IpAddr) -> io::Result<()> {
        if ip.is_ipv6() == self.ipv6 {
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
    }

    /// Receives one message; none when there is none yet. A message that does not fit into the
    /// buffer is cut. IPv4 needs up to 60 bytes beyond the message itself.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<Received<'b>>> {
        let received = raw::unless_empty(|| self.receive_once(buffer))
            .map_err(|error| Error::new("receive ICMP", error))?;
        let Some((length, source, scope)) = received else { return Ok(None) };
        let packet = buffer.get(..length).unwrap_or_default();
        let message = if self.ipv6 { packet } else { without_ip_header(packet) };
        Ok(Some(Received { source, scope, message }))
    }

    fn receive_once(&self, buffer: &mut [u8]) -> io::Result<(usize, IpAddr, Option<u32>)> {
        // SAFETY: sockaddr_in6 is plain numbers, and larger than sockaddr_in.
        let mut address: libc::sockaddr_in6 = unsafe { zeroed() };
        let mut address_length = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        // SAFETY: the kernel writes into the live slice and structure, within their lengths.
        let length = raw::check_length(unsafe {
            libc::recvfrom(
                self.fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
                (&raw mut address).cast(),
                &raw mut address_length,
            )
        })?;
        if self.ipv6 {
            let scope = Some(address.sin6_scope_id).filter(|&scope| scope != 0);
            return Ok((length, Ipv6Addr::from(address.sin6_addr.s6_addr).into(), scope));
        }
        // SAFETY: an IPv4 socket gives a sockaddr_in, which fits and is less strictly aligned.
        let address: libc::sockaddr_in = unsafe { std::ptr::read((&raw const address).cast()) };
        let source = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
        Ok((length, source.into(), None))
    }
}

impl AsFd for IcmpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What follows the IPv4 header (RFC 791: its length is in the low half of the first byte, in
/// words of four bytes); nothing if the packet is shorter than that.
fn without_ip_header(packet: &[u8]) -> &[u8] {
    let words = packet.first().map_or(0, |byte| byte & 0x0f);
    packet.get(usize::from(words) * 4..).unwrap_or_default()
}

fn socket_address_v4(ip: Ipv4Addr) -> libc::sockaddr_in {
    // SAFETY: sockaddr_in is plain numbers.
    let mut address: libc::sockaddr_in = unsafe { zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_addr.s_addr = u32::from(ip).to_be();
    address
}

fn socket_address_v6(ip: Ipv6Addr, scope: Option<u32>) -> libc::sockaddr_in6 {
    // SAFETY: sockaddr_in6 is plain numbers.
    let mut address: libc::sockaddr_in6 = unsafe { zeroed() };
    address.sin6_family = libc::AF_INET6 as u16;
    address.sin6_addr.s6_addr = ip.octets();
    address.sin6_scope_id = scope.unwrap_or(0);
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ip_header_is_taken_off() {
        let mut packet = vec![0x45; 20];
        packet.extend_from_slice(&[0, 0, 1, 2]);
        assert_eq!(without_ip_header(&packet), [0, 0, 1, 2]);
        packet[0] = 0x4f;
        assert_eq!(without_ip_header(&packet), []);
        assert_eq!(without_ip_header(&[]), []);
    }
}
