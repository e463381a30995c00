//! What goes into the core and what comes out of it.
//!
//! Owns [`Input`] and [`Action`]; never interprets them. Invariant: neither carries a file
//! descriptor, a clock or anything else of an operating system.

use alloc::string::String;
use core::net::IpAddr;
use core::time::Duration;

use crate::config::{CheckId, LinkId, LinkState, PeerId, VipId};
use crate::report::Report;
use crate::wire::frame::Frame;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// An Ethernet frame with ARP or NDP in it was received.
    Frame {
        /// Where.
        link: LinkId,
        /// The whole frame, from the destination address on.
        bytes: &'a [u8],
    },
    /// An ICMP or `ICMPv6` message was received.
    Echo {
        /// The IP source address.
        from: IpAddr,
        /// The message without its IP header.
        bytes: &'a [u8],
    },
    /// A probe could not be sent, so its silence means nothing.
    ProbeNotSent {
        /// Whom it was for.
        peer: PeerId,
        /// The operating system's word for why.
        why: &'a str,
    },
    /// The kernel's acknowledgement of [`Action::AddAddress`].
    AddressAdded {
        /// Which.
        vip: VipId,
        /// Refused, with the operating system's word for why.
        result: Result<(), String>,
    },
    /// The kernel's acknowledgement of [`Action::RemoveAddress`]. An address that was not there is
    /// removed.
    AddressRemoved {
        /// Which.
        vip: VipId,
        /// Refused, with the operating system's word for why.
        result: Result<(), String>,
    },
    /// The kernel says that a VIP has gone from its interface (by anybody's hand).
    AddressLost {
        /// Which.
        vip: VipId,
    },
    /// An interface changed.
    Link {
        /// Which.
        link: LinkId,
        /// What it is now.
        state: LinkState,
    },
    /// A check has run.
    Check {
        /// Which.
        check: CheckId,
        /// The target it was run against, as in [`Action::RunCheck`].
        target: CheckTarget,
        /// Failed, and why, in words.
        result: Result<(), String>,
    },
    /// Release everything and say [`Action::Stopped`] when it is done.
    Stop,
    /// Every socket was found empty: all that has arrived has been handed in.
    Idle,
}

/// At whom a check is aimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckTarget {
    /// The VIP itself, from outside.
    Vip,
    /// The home's real address, while the VIP is here.
    Home(IpAddr),
}

/// Something to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an Ethernet frame. Those that follow each other on one link may go as one batch.
    SendFrame {
        /// Where.
        link: LinkId,
        /// The whole frame.
        frame: Frame,
        /// The host it probes, where it does: a failure to send comes back as
        /// [`Input::ProbeNotSent`].
        probes: Option<PeerId>,
    },
    /// Send an ICMP or `ICMPv6` message.
    SendEcho {
        /// The host it probes.
        peer: PeerId,
        /// The IP destination.
        to: IpAddr,
        /// The interface, for an IPv6 link-local destination.
        link: Option<LinkId>,
        /// The message without its IP header.
        message: Frame,
    },
    /// Install a VIP or renew its lifetime (create or replace), and acknowledge.
    AddAddress {
        /// Which.
        vip: VipId,
        /// After which the kernel is to remove it by itself.
        lifetime: Duration,
    },
    /// Remove a VIP, and acknowledge.
    RemoveAddress {
        /// Which.
        vip: VipId,
    },
    /// Run a check and hand in [`Input::Check`].
    RunCheck {
        /// Which.
        check: CheckId,
        /// Against what.
        target: CheckTarget,
    },
    /// Tell people.
    Report(Report),
    /// After [`Input::Stop`]: nothing of ours is left on the host.
    Stopped,
}
