//! Internet socket addresses in the kernel's form.
//!
//! Owns the conversion from and to std's. Never knows what a socket is for.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::raw;

/// An address as the kernel takes and gives it.
#[derive(Clone, Copy)]
pub(crate) enum Name {
    V4(libc::sockaddr_in),
    V6(libc::sockaddr_in6),
}

impl From<SocketAddr> for Name {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => {
                // SAFETY: sockaddr_in is plain numbers.
                let mut name: libc::sockaddr_in = unsafe { zeroed() };
                name.sin_family = libc::AF_INET as u16;
                name.sin_port = address.port().to_be();
                name.sin_addr.s_addr = u32::from(*address.ip()).to_be();
                Self::V4(name)
            }
            SocketAddr::V6(address) => {
                // SAFETY: sockaddr_in6 is plain numbers.
                let mut name: libc::sockaddr_in6 = unsafe { zeroed() };
                name.sin6_family = libc::AF_INET6 as u16;
                name.sin6_port = address.port().to_be();
                name.sin6_addr.s6_addr = address.ip().octets();
                name.sin6_scope_id = address.scope_id();
                Self::V6(name)
            }
        }
    }
}

impl Name {
    /// Room for the kernel to write either kind into.
    pub(crate) fn room() -> Self {
        // SAFETY: sockaddr_in6 is plain numbers, and larger than sockaddr_in.
        Self::V6(unsafe { zeroed() })
    }

    /// For a message header; valid as long as the name is.
    pub(crate) fn as_mut_ptr(&mut self) -> (*mut libc::c_void, libc::socklen_t) {
        match self {
            Self::V4(name) => {
                (std::ptr::from_mut(name).cast(), size_of::<libc::sockaddr_in>() as _)
            }
            Self::V6(name) => {
                (std::ptr::from_mut(name).cast(), size_of::<libc::sockaddr_in6>() as _)
            }
        }
    }

    /// What the kernel wrote into the room, or what the name was made of.
    pub(crate) fn read(&self) -> SocketAddr {
        let v4 = |name: &libc::sockaddr_in| {
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into()
        };
        match self {
            Self::V4(name) => v4(name),
            Self::V6(name) if i32::from(name.sin6_family) == libc::AF_INET => {
                // SAFETY: the kernel wrote a sockaddr_in, which fits and is less strictly aligned.
                v4(&unsafe { std::ptr::read(std::ptr::from_ref(name).cast()) })
            }
            Self::V6(name) => {
                let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
                SocketAddrV6::new(ip, u16::from_be(name.sin6_port), 0, name.sin6_scope_id).into()
            }
        }
    }
}

/// The address a socket is bound to.
pub(crate) fn local(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    let mut name = Name::room();
    let (pointer, mut length) = name.as_mut_ptr();
    // SAFETY: the kernel writes at most `length` bytes to the live name.
    raw::check(unsafe { libc::getsockname(fd.as_raw_fd(), pointer.cast(), &raw mut length) })?;
    Ok(name.read())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["10.0.0.1:7000", "[fd00::1]:7000", "[fe80::1%3]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Name::from(address).read(), address);
        }
        // What the kernel writes into the larger room.
        let Name::V4(name) = Name::from(SocketAddr::from(([10, 0, 0, 1], 7))) else { panic!() };
        let mut room = Name::room();
        let (pointer, _) = room.as_mut_ptr();
        // SAFETY: the room is larger than the name and aligned at least as strictly.
        unsafe { std::ptr::write(pointer.cast(), name) };
        assert_eq!(room.read(), SocketAddr::from(([10, 0, 0, 1], 7)));
    }
}
