//! The ICMP check: an echo request, and its reply from the address that was asked.
//!
//! A run opens a socket of its own and is done with the first reply that repeats what nobody else
//! could know. The kernel answers for a host whose services are all dead: this tells only that the
//! address can be reached, from here.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::AsFd;

use standin_core::wire::icmp::{Echo, parse_reply_v4, parse_reply_v6};
use standin_sys::icmp::IcmpSocket;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::url::{Host, host_and_port};
use super::{Phase, Target};
use crate::failure::plain_io;

/// An IPv4 header of full length, and more than any reply to us.
const BUFFER_LENGTH: usize = 256;

/// An echo request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcmpProbe {
    /// Whom it is sent to.
    pub host: Host,
}

impl IcmpProbe {
    /// Reads what follows `icmp:`, or nothing.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        // IPv6 without brackets as well: there is no port to tell it from.
        if let Ok(address) = text.parse() {
            return Ok(Self { host: Host::Address(address) });
        }
        match host_and_port(text)? {
            (Host::Name(name), _) => Err(format!("'{name}' is neither {{vip}} nor an address")),
            (_, Some(_)) => Err("ICMP has no ports".into()),
            (host, None) => Ok(Self { host }),
        }
    }
}

impl fmt::Display for IcmpProbe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "icmp:{}", self.host)
    }
}

/// Runs the check once.
pub async fn run(target: &Target, phase: &Phase) -> Result<(), String> {
    let to = target.connect;
    let random = RandomState::new();
    let echo = Echo {
        identifier: random.hash_one(1) as u16,
        sequence: 1,
        cookie: random.build_hasher().finish(),
    };
    let socket = IcmpSocket::for_address(to).map_err(|error| error.to_string())?;
    let readiness = readiness(&socket).map_err(|error| plain_io(&error))?;
    let frame = if to.is_ipv4() { echo.encode_request_v4() } else { echo.encode_request_v6() };
    phase.set("waiting for the echo reply");
    socket.send(to, target.scope(), &frame).map_err(|error| error.to_string())?;
    let mut buffer = [0; BUFFER_LENGTH];
    loop {
        let received = readiness.async_io(Interest::READABLE, || {
            let received = socket.receive(&mut buffer).map_err(io::Error::other)?;
            let received = received.ok_or(io::ErrorKind::WouldBlock)?;
            let reply = if to.is_ipv4() {
                parse_reply_v4(received.message)
            } else {
                parse_reply_v6(received.message)
            };
            // Every raw socket gets the replies to everybody's questions.
            Ok(received.source == to && reply == Ok(echo))
        });
        if received.await.map_err(|error| plain_io(&error))? {
            return Ok(());
        }
    }
}

/// Tells when there is something to read. To the system one socket is like another: tokio waits for a
/// second number of it, as it would for UDP, and never reads.
fn readiness(socket: &IcmpSocket) -> io::Result<UdpSocket> {
    let number = socket.as_fd().try_clone_to_owned()?;
    UdpSocket::from_std(number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_vip_or_an_address() {
        for (text, shown) in
            [("{vip}", "icmp:{vip}"), ("10.0.0.9", "icmp:10.0.0.9"), ("fd00::9", "icmp:[fd00::9]")]
        {
            assert_eq!(IcmpProbe::parse(text).map(|probe| probe.to_string()), Ok(shown.into()));
        }
        for (text, reason) in
            [("web", "neither {vip} nor"), ("{vip}:80", "no ports"), ("", "host is missing")]
        {
            let error = IcmpProbe::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
