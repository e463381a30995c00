//! What an error queue tells (ip(7), `IP_RECVERR`): which datagram failed, why, and who says so.
//!
//! Owns the layout of `sock_extended_err`.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::field;

/// What became of a datagram that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nobody listens at that port, says `by`; the peer's own address when the peer says so.
    Refused {
        /// Where it was sent to.
        peer: SocketAddr,
        /// Who says so.
        by: Option<IpAddr>,
    },
    /// The host cannot be reached, says `by`: a router, or this host when nobody answers ARP or
    /// neighbour discovery.
    HostUnreachable {
        /// Where it was sent to.
        peer: SocketAddr,
        /// Who says so.
        by: Option<IpAddr>,
    },
    /// No route leads to the network, says `by`.
    NetworkUnreachable {
        /// Where it was sent to.
        peer: SocketAddr,
        /// Who says so.
        by: Option<IpAddr>,
    },
    /// Another error, by its number in `errno.h`: forbidden by a firewall (`EACCES`), larger than
    /// the path takes (`EMSGSIZE`).
    Other {
        /// Where it was sent to.
        peer: SocketAddr,
        /// Who says so.
        by: Option<IpAddr>,
        /// What.
        errno: i32,
    },
}

impl Event {
    pub(super) fn new(peer: SocketAddr, errno: i32, by: Option<IpAddr>) -> Self {
        match errno {
            libc::ECONNREFUSED => Self::Refused { peer, by },
            libc::EHOSTUNREACH => Self::HostUnreachable { peer, by },
            libc::ENETUNREACH => Self::NetworkUnreachable { peer, by },
            errno => Self::Other { peer, by, errno },
        }
    }
}

/// The errors that ICMP leaves at a socket (the kernel's `icmp_err_convert`, and `ICMPv6`'s).
pub(super) fn may_be_old(error: &io::Error) -> bool {
    let known = [
        libc::ECONNREFUSED,
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
        libc::EHOSTDOWN,
        libc::ENONET,
        libc::ENOPROTOOPT,
        libc::EOPNOTSUPP,
        libc::EMSGSIZE,
        libc::EACCES,
        libc::EPROTO,
    ];
    error.raw_os_error().is_some_and(|errno| known.contains(&errno))
}

/// The number of the error and who sent it, of `sock_extended_err` and the address behind it.
pub(super) fn extended_error(level: i32, kind: i32, data: &[u8]) -> Option<(i32, Option<IpAddr>)> {
    const OFFENDER: usize = 16;
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {}
        _ => return None,
    }
    let errno = i32::from_ne_bytes(field(data, 0)?);
    let by = match field(data, OFFENDER).map(|family| i32::from(u16::from_ne_bytes(family))) {
        Some(libc::AF_INET) => field::<4>(data, OFFENDER + 4).map(IpAddr::from),
        Some(libc::AF_INET6) => field::<16>(data, OFFENDER + 8).map(IpAddr::from),
        _ => None,
    };
    Some((errno, by))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn an_extended_error_is_read() {
        // ECONNREFUSED, of ICMP 3/3, from 10.0.0.2.
        let mut v4 = vec![111, 0, 0, 0, 2, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        v4.extend_from_slice(&[2, 0, 0, 0, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
        let read = |data: &[u8]| extended_error(libc::IPPROTO_IP, libc::IP_RECVERR, data);
        assert_eq!(read(&v4), Some((libc::ECONNREFUSED, Some([10, 0, 0, 2].into()))));
        assert_eq!(read(&v4[..16]), Some((libc::ECONNREFUSED, None)));
        assert_eq!(read(&v4[..3]), None);
        assert_eq!(extended_error(libc::SOL_SOCKET, libc::IP_RECVERR, &v4), None);
        // EHOSTUNREACH, of ICMPv6, from fd00::2.
        let mut v6 = vec![113, 0, 0, 0, 3, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        v6.extend_from_slice(&[10, 0, 0, 0, 0, 0, 0, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0]);
        v6.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        let by = "fd00::2".parse().unwrap();
        let read = extended_error(libc::IPPROTO_IPV6, libc::IPV6_RECVERR, &v6);
        assert_eq!(read, Some((libc::EHOSTUNREACH, Some(by))));
        let peer = SocketAddr::from(([10, 0, 0, 9], 7));
        assert_eq!(
            Event::new(peer, libc::EHOSTUNREACH, Some(by)),
            Event::HostUnreachable { peer, by: Some(by) }
        );
        let errno = libc::EACCES;
        assert_eq!(Event::new(peer, errno, None), Event::Other { peer, by: None, errno });
    }
}
