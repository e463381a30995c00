//! `standin announce` and `standin send-arp`: telling neighbours who has an address.
//!
//! Owns which frames are sent and in which order. It adds no address and asks nobody; who
//! announces what they do not hold misleads the network, and may.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;

use standin_core::wire::{Advertisement, ArpPacket, Frame, Mac, Operation};
use standin_sys::capability::Capability;
use standin_sys::packet::PacketSocket;

use crate::cli::{AnnounceArgs, SendArpArgs};
use crate::failure::{Failure, Result};
use crate::host::{Ground, Kernel, RealKernel, os, require};

/// Which ARP forms are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forms {
    /// The gratuitous request (arping -U).
    Request,
    /// The gratuitous reply (arping -A).
    Reply,
    /// Both: some neighbours learn only from one of them.
    Both,
}

/// A frame with the words for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// What is sent.
    pub frame: Frame,
    /// `ARP reply: 10.0.0.9 is at 02:…`.
    pub sentence: String,
}

/// The interface an announcement leaves by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exit {
    ifindex: u32,
    name: String,
    mac: Mac,
    is_router: bool,
}

/// Runs `standin announce`; `say` prints a line.
///
/// # Errors
/// A missing capability, no interface, or a frame that cannot be sent.
pub fn announce(args: &AnnounceArgs, say: &mut dyn FnMut(&str)) -> Result<()> {
    if args.address.is_ipv6() && args.names_a_form() {
        return Err(Failure::usage("--request, --reply and --both are forms of ARP")
            .expected("none of them with an IPv6 address, which has one form only"));
    }
    judge(args.address)?;
    require(&[Capability::NetRaw])?;
    let exit = find_exit(args.interface.as_deref(), args.address)?;
    let mac = args.mac.unwrap_or(exit.mac);
    let round = match args.address {
        IpAddr::V4(address) => arp_round(address, mac, &exit, args.to, args.forms()),
        IpAddr::V6(address) => vec![advertisement(address, mac, &exit, args.to)],
    };
    let socket = open(&exit)?;
    for number in 0..args.count {
        if number > 0 {
            thread::sleep(args.interval);
        }
        send(&socket, &round, say)?;
    }
    Ok(())
}

/// Runs `standin send-arp`: one reply, as its namesake sends it.
///
/// # Errors
/// A missing capability, no interface, or a frame that cannot be sent.
pub fn send_arp(args: &SendArpArgs, say: &mut dyn FnMut(&str)) -> Result<()> {
    judge(args.source_ip.into())?;
    require(&[Capability::NetRaw])?;
    let exit = find_exit(args.interface.as_deref(), args.target_ip.into())?;
    let packet = ArpPacket {
        operation: Operation::Reply,
        sender_mac: args.source_mac,
        sender_ip: args.source_ip,
        target_mac: args.target_mac,
        target_ip: args.target_ip,
    };
    let announcement = Announcement {
        frame: packet.encode(args.source_mac, args.target_mac),
        sentence: format!(
            "ARP reply to {} ({}): {} is at {}",
            args.target_ip, args.target_mac, args.source_ip, args.source_mac
        ),
    };
    let socket = open(&exit)?;
    send(&socket, &[announcement], say)
}

/// Refuses what no host can have.
fn judge(address: IpAddr) -> Result<()> {
    if standin_core::config::can_be_a_host(address) {
        return Ok(());
    }
    Err(Failure::usage(format!("{address} is no address that a host can have"))
        .expected("a unicast address"))
}

fn arp_round(
    address: Ipv4Addr,
    mac: Mac,
    exit: &Exit,
    to: Option<Mac>,
    forms: Forms,
) -> Vec<Announcement> {
    let destination = to.unwrap_or(Mac::BROADCAST);
    let whom = to.map_or_else(|| "everyone".into(), |mac| mac.to_string());
    let form = |packet: ArpPacket, kind: &str| Announcement {
        // The Ethernet source is the sender's address too: switches learn from it, and it is what
        // must be learnt.
        frame: packet.encode(mac, destination),
        sentence: format!("ARP {kind} to {whom} on {}: {address} is at {mac}", exit.name),
    };
    let request = || form(ArpPacket::gratuitous_request(mac, address), "request");
    let reply = || form(ArpPacket::gratuitous_reply(mac, address), "reply");
    match forms {
        Forms::Request => vec![request()],
        Forms::Reply => vec![reply()],
        Forms::Both => vec![request(), reply()],
    }
}

fn advertisement(address: Ipv6Addr, mac: Mac, exit: &Exit, to: Option<Mac>) -> Announcement {
    let mut packet = Advertisement::unsolicited(mac, address, exit.is_router);
    if let Some(to) = to {
        packet.link_destination = to;
    }
    let whom = to.map_or_else(|| "everyone".into(), |mac| mac.to_string());
    Announcement {
        frame: packet.encode(),
        sentence: format!(
            "neighbour advertisement to {whom} on {}: {address} is at {mac}",
            exit.name
        ),
    }
}

/// The interface named, or the one on whose link `near` is. An address that this host has is
/// announced from where it has it.
fn find_exit(named: Option<&str>, near: IpAddr) -> Result<Exit> {
    let mut kernel = RealKernel::open().map_err(|error| os(&error))?;
    exit_on(&mut kernel, named, near)
}

fn exit_on(kernel: &mut dyn Kernel, named: Option<&str>, near: IpAddr) -> Result<Exit> {
    let mut ground = Ground::survey(kernel)?;
    let link = if let Some(name) = named {
        ground.interface_named(name)?
    } else {
        let held_on = ground.addresses.iter().find(|found| found.ip == near);
        match held_on.map(|found| found.ifindex) {
            Some(ifindex) => ground.interface(ifindex)?,
            None => ground.interface_of_subnet(near)?,
        }
    };
    let (ifindex, name) = (link.index, link.name.clone());
    let mac = Mac(link.mac.unwrap_or_default());
    let is_router = ground.is_router(&name);
    Ok(Exit { ifindex, name, mac, is_router })
}

fn open(exit: &Exit) -> Result<PacketSocket> {
    PacketSocket::sender(exit.ifindex).map_err(|error| os(&error))
}

/// Sends one round, and says each frame that was sent.
fn send(socket: &PacketSocket, round: &[Announcement], say: &mut dyn FnMut(&str)) -> Result<()> {
    for announcement in round {
        socket.send(&announcement.frame).map_err(|error| os(&error))?;
        say(&announcement.sentence);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use standin_core::wire::{arp, ndp};

    use super::*;

    const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

    fn exit() -> Exit {
        Exit { ifindex: 2, name: "eth0".into(), mac: OURS, is_router: false }
    }

    #[test]
    fn both_forms_are_sent_to_everyone_from_the_announced_mac() {
        let round = arp_round(VIP, OURS, &exit(), None, Forms::Both);
        let parsed: Vec<_> =
            round.iter().map(|one| arp::parse(&one.frame).expect("an ARP frame")).collect();
        assert_eq!(parsed[0].1, ArpPacket::gratuitous_request(OURS, VIP));
        assert_eq!(parsed[1].1, ArpPacket::gratuitous_reply(OURS, VIP));
        assert!(parsed.iter().all(|(header, _)| header.source == OURS));
        assert!(parsed.iter().all(|(header, _)| header.destination == Mac::BROADCAST));
        assert_eq!(
            round[1].sentence,
            "ARP reply to everyone on eth0: 10.0.0.9 is at 02:00:00:00:00:01"
        );
    }

    #[test]
    fn one_form_can_be_sent_to_one_neighbour() {
        for (forms, operation) in
            [(Forms::Request, Operation::Request), (Forms::Reply, Operation::Reply)]
        {
            let round = arp_round(VIP, OURS, &exit(), Some(THEIRS), forms);
            assert_eq!(round.len(), 1);
            let (header, packet) = arp::parse(&round[0].frame).expect("an ARP frame");
            assert_eq!((header.destination, packet.operation), (THEIRS, operation));
        }
    }

    #[test]
    fn ipv6_has_the_unsolicited_advertisement() {
        let vip: Ipv6Addr = "2001:db8::9".parse().expect("an address");
        let announcement = advertisement(vip, OURS, &exit(), Some(THEIRS));
        let (header, message) = ndp::parse(&announcement.frame).expect("an NDP frame");
        assert_eq!((header.source, header.destination), (OURS, THEIRS));
        let ndp::Message::Advertisement(packet) = message else { panic!("{message:?}") };
        assert_eq!((packet.target, packet.target_mac), (vip, Some(OURS)));
        assert!(packet.override_flag && !packet.solicited && !packet.router);
    }

    #[test]
    fn what_no_host_can_have_is_not_announced() {
        for text in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1", "::", "ff02::1"] {
            assert!(judge(text.parse().expect("an address")).is_err(), "{text}");
        }
        assert!(judge(IpAddr::V4(VIP)).is_ok());
    }
}
