//! Kernel settings that get in the way of an address that moves, each with its reason and the
//! command that changes it. The kernel's documentation is `Documentation/networking/ip-sysctl.rst`.

use std::net::IpAddr;

use super::interfaces::Used;
use super::{Files, Finding, Findings, Patient};

/// How the kernel joins the value for all interfaces with an interface's own.
#[derive(Clone, Copy)]
enum Joined {
    /// The larger one counts.
    Greater,
    /// One that is not zero is enough.
    Either,
    /// Only the interface's own counts.
    Own,
}

/// The value in effect on an interface; 0 when the kernel does not know the setting.
fn in_effect(files: &Files, version: u8, interface: &str, setting: &str, joined: Joined) -> i64 {
    let read = |place: &str| files.sysctl(&format!("net/ipv{version}/conf/{place}/{setting}"));
    let (all, own) = (read("all").unwrap_or(0), read(interface).unwrap_or(0));
    match joined {
        Joined::Greater => all.max(own),
        Joined::Either => i64::from(all != 0 || own != 0),
        Joined::Own => own,
    }
}

/// The command that sets it. A value for `all` cannot be undone by one for the interface.
fn command(files: &Files, version: u8, interface: &str, setting: &str, value: i64) -> String {
    let all = files.sysctl(&format!("net/ipv{version}/conf/all/{setting}")).unwrap_or(0);
    // An interface's name may hold dots; sysctl(8) takes slashes for separators then.
    let key = |place: &str| format!("net/ipv{version}/conf/{place}/{setting}");
    if value >= all {
        format!("sysctl -w {}={value}", key(interface))
    } else {
        format!("sysctl -w {}={value} {}={value}", key("all"), key(interface))
    }
}

/// Judges the settings of every interface that carries VIPs.
pub fn judge(patient: &Patient<'_, '_>, used: &[Used], findings: &mut Findings) {
    let before = findings.iter().count();
    for interface in used {
        if interface.ipv4 {
            ipv4(patient, interface, findings);
        }
        if interface.ipv6 {
            ipv6(patient, interface, findings);
        }
        shared_segment(patient, interface, findings);
    }
    if findings.iter().count() == before && !used.is_empty() {
        let names: Vec<&str> = used.iter().map(|interface| interface.name.as_str()).collect();
        findings.ok("sysctl", &names.join(", "), "nothing in the way");
    }
}

fn ipv4(patient: &Patient<'_, '_>, interface: &Used, findings: &mut Findings) {
    let (files, name) = (patient.files, interface.name.as_str());
    let value = |setting, joined| in_effect(files, 4, name, setting, joined);
    let set = |setting, to| command(files, 4, name, setting, to);
    let mut say = |finding| findings.push(finding);
    match value("arp_ignore", Joined::Greater) {
        0 | 1 | 3 => {}
        2 if interface.subnets => {}
        mode @ 2 => say(Finding::fail("sysctl", name, format!("arp_ignore is {mode}: a /32 address answers nobody, every asker is outside its subnet"))
            .to_do(set("arp_ignore", 1))),
        mode => say(Finding::fail("sysctl", name, format!("arp_ignore is {mode}: the kernel does not answer for its own addresses"))
            .to_do(set("arp_ignore", 0))),
    }
    if value("rp_filter", Joined::Greater) == 1 && is_multihomed(patient) {
        say(Finding::warn("sysctl", name, "rp_filter is strict and this host has several interfaces: heartbeats and probes on a second path are dropped when the way back leads elsewhere")
            .to_do(format!("sysctl -w net/ipv4/conf/{name}/rp_filter=2")));
    }
    if interface.subnets && value("promote_secondaries", Joined::Either) == 0 {
        say(Finding::warn("sysctl", name, "promote_secondaries is 0 and a VIP has a subnet's prefix: when the first address of the subnet goes, the kernel removes the others with it")
            .to_do(set("promote_secondaries", 1))
            .to_do("or leave the prefix length out: a /32 takes nothing along"));
    }
    if value("drop_gratuitous_arp", Joined::Either) == 1 {
        say(Finding::warn("sysctl", name, "drop_gratuitous_arp is 1: this host does not learn that a VIP has moved to another node")
            .to_do(set("drop_gratuitous_arp", 0)));
    }
    if value("proxy_arp", Joined::Either) == 1 {
        say(Finding::warn(
            "sysctl",
            name,
            "proxy_arp is 1: this host may answer for VIPs that other nodes hold",
        )
        .to_do(set("proxy_arp", 0)));
    }
}

fn ipv6(patient: &Patient<'_, '_>, interface: &Used, findings: &mut Findings) {
    let (files, name) = (patient.files, interface.name.as_str());
    let value = |setting, joined| in_effect(files, 6, name, setting, joined);
    if !files.path("/proc/sys/net/ipv6").exists() || value("disable_ipv6", Joined::Own) == 1 {
        findings.push(
            Finding::fail("sysctl", name, "IPv6 is switched off: its VIPs cannot be added")
                .to_do(command(files, 6, name, "disable_ipv6", 0)),
        );
    }
    if value("drop_unsolicited_na", Joined::Either) == 1 {
        findings.push(
            Finding::warn("sysctl", name, "drop_unsolicited_na is 1: this host does not learn that a VIP has moved to another node")
                .to_do(command(files, 6, name, "drop_unsolicited_na", 0)),
        );
    }
}

fn is_multihomed(patient: &Patient<'_, '_>) -> bool {
    patient.ground.links.iter().filter(|link| link.up && !link.loopback).count() > 1
}

/// Two interfaces on one segment: by default both answer for every address of the host, and
/// neighbours see it hop between two MAC addresses.
fn shared_segment(patient: &Patient<'_, '_>, interface: &Used, findings: &mut Findings) {
    let subnet = |ip: IpAddr, prefix: u8| match ip {
        IpAddr::V4(ip) if (1..32).contains(&prefix) => {
            Some((u32::from(ip) >> (32 - u32::from(prefix)), prefix))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    };
    let ours: Vec<_> = patient
        .ground
        .real_addresses(interface.index)
        .filter_map(|address| subnet(address.ip, address.prefix))
        .collect();
    let other = patient.ground.addresses.iter().find(|address| {
        address.ifindex != interface.index
            && subnet(address.ip, address.prefix).is_some_and(|theirs| ours.contains(&theirs))
    });
    let Some(other) = other else { return };
    let name = interface.name.as_str();
    let value = |setting| in_effect(patient.files, 4, name, setting, Joined::Greater);
    if value("arp_ignore") >= 1 && value("arp_announce") == 2 {
        return;
    }
    let elsewhere = patient.ground.name_of(other.ifindex);
    findings.push(
        Finding::warn("sysctl", name, format!("{elsewhere} is in the same subnet: each answers for the other's addresses, and the VIP hops between two MAC addresses"))
            .to_do(format!("sysctl -w net/ipv4/conf/{name}/arp_ignore=1 net/ipv4/conf/{name}/arp_announce=2"))
            .to_do(format!("sysctl -w net/ipv4/conf/{elsewhere}/arp_ignore=1 net/ipv4/conf/{elsewhere}/arp_announce=2")),
    );
}
