//! What goes into the core and what comes out of it.
//!
//! Owns [`Input`] and [`Action`]; never interprets them. Invariant: neither carries a file
//! descriptor, a clock or anything else of an operating system.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::config::{CheckId, LinkId, LinkState, PeerId, VipId};
use crate::place::NodeId;
use crate::report::Report;
use crate::time::Instant;
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
    /// Frames of an interface were lost before they could be read: who was asked for on it may have
    /// answered. Comes before [`Input::Idle`], while [`Node::is_asking`](crate::Node::is_asking).
    FramesLost {
        /// Where.
        link: LinkId,
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
    /// The kernel's acknowledgement of [`Action::SignLife`].
    LifeSigned {
        /// Refused, with the operating system's word for why.
        result: Result<(), String>,
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
    /// The kernel was told whether to answer for a VIP that stays on the host.
    Quieted {
        /// Which.
        vip: VipId,
        /// It answers no more; or it answers again.
        quiet: bool,
        /// Refused, with the operating system's word for why.
        result: Result<(), String>,
    },
    /// The kernel's acknowledgement of [`Action::ExtendLease`].
    LeaseExtended {
        /// Which group, by its number.
        group: usize,
        /// Until when its addresses are answered for, as it was asked.
        until: Instant,
        /// Refused, or too late for this end; with the operating system's word for why.
        result: Result<(), String>,
    },
    /// The kernel's acknowledgement of [`Action::EndLease`]. What was not under a lease is not.
    LeaseEnded {
        /// Which group, by its number.
        group: usize,
        /// Refused, with the operating system's word for why.
        result: Result<(), String>,
    },
    /// A fencing command has run.
    Fenced {
        /// The node that it was to cut off.
        node: NodeId,
        /// It failed, and why, in words.
        result: Result<(), String>,
    },
    /// A datagram came to the port of the heartbeats.
    Heartbeat {
        /// The IP source address.
        from: IpAddr,
        /// What it holds.
        bytes: &'a [u8],
    },
    /// A host's kernel says that nobody takes our heartbeats there.
    HeartbeatRefused {
        /// Whose kernel.
        from: IpAddr,
    },
    /// The operator drains a node, or takes that back.
    Drain {
        /// Which.
        node: NodeId,
        /// Drained, or no longer.
        drained: bool,
    },
    /// The operator places a group, by its number, or takes an earlier placement back.
    Place {
        /// Which.
        group: usize,
        /// Where.
        node: Option<NodeId>,
    },
    /// Release everything and say [`Action::Stopped`] when it is done. A node of a cluster hands
    /// over what others can take first.
    Stop,
    /// Leave everything to the next run of this program, and say [`Action::Stopped`].
    StopKeeping,
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
    /// Have the kernel answer for all VIPs that share a lifetime and are on this host, for so long from
    /// when it hears of this; and acknowledge. An [`Action::AddAddress`] of one of them does the same.
    SignLife {
        /// After which the kernel is to answer for none of them.
        lifetime: Duration,
    },
    /// Remove a VIP, and acknowledge.
    RemoveAddress {
        /// Which.
        vip: VipId,
    },
    /// Have the kernel answer no ARP and NDP for a VIP that stays on the host, or answer again; and
    /// acknowledge.
    QuietAddress {
        /// Which.
        vip: VipId,
        /// Whether it is to be quiet.
        quiet: bool,
    },
    /// Let the kernel answer for the addresses of a group until then and not a moment longer,
    /// whatever becomes of this process; and acknowledge. Those that follow each other with one
    /// end may go to the kernel as one. Only with [`Authority::Quorum`] and a guard.
    ///
    /// [`Authority::Quorum`]: crate::cluster::settings::Authority::Quorum
    ExtendLease {
        /// Which group, by its number.
        group: usize,
        /// Its addresses.
        vips: Arc<[VipId]>,
        /// The end, on this host's clock.
        until: Instant,
    },
    /// Let the kernel answer for the addresses of a group no more, from now on; and acknowledge.
    EndLease {
        /// Which group, by its number.
        group: usize,
        /// Its addresses.
        vips: Arc<[VipId]>,
    },
    /// Run the fencing command against a node and hand in [`Input::Fenced`]: success means that
    /// nothing of that node answers any more.
    Fence {
        /// The node.
        node: NodeId,
    },
    /// Send a heartbeat to a member of the cluster, the same bytes on each of its addresses.
    SendHeartbeat {
        /// The member.
        peer: PeerId,
        /// The datagram.
        bytes: Vec<u8>,
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
