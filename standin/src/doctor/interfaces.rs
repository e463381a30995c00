//! The interfaces that carry VIPs here, and the addresses that are there already.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Finding, Findings, Patient};
use crate::file::{AddressRange, VipGroup};

/// More VIPs than this that cannot be held here are counted: they have the same trouble.
const MOST_UNFIT: usize = 8;

/// An interface that carries VIPs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The kernel's number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// It carries IPv4 VIPs.
    pub ipv4: bool,
    /// It carries IPv6 VIPs.
    pub ipv6: bool,
    /// A VIP on it has a prefix shorter than a whole address.
    pub subnets: bool,
}

/// Whether this host has the real addresses that the file says it has.
pub fn own_addresses(patient: &Patient<'_, '_>, findings: &mut Findings) {
    let node = patient.file.node(patient.node);
    let here = |ip: &IpAddr| patient.ground.addresses.iter().any(|address| address.ip == *ip);
    let missing: Vec<String> =
        node.addresses.iter().filter(|ip| !here(ip)).map(IpAddr::to_string).collect();
    if missing.is_empty() {
        findings.ok("node", &node.name, "its real addresses are on this host");
        return;
    }
    let verb = if missing.len() == 1 { "is" } else { "are" };
    let missing = missing.join(", ");
    findings.push(
        Finding::fail("node", &node.name, format!("{missing} {verb} not on this host: the peers would ask in vain"))
            .to_do("put [nodes] or the network configuration right, or say which node this is: --node NAME"),
    );
}

/// Judges every VIP that this host may hold, and gives the interfaces that carry them.
pub fn judge(patient: &mut Patient<'_, '_>, findings: &mut Findings) -> Vec<Used> {
    let mut used: BTreeMap<u32, Used> = BTreeMap::new();
    let mut unfit = 0;
    for group in &patient.file.vips {
        if !group.placement.eligible().contains(&patient.node) {
            continue;
        }
        for range in &group.ranges {
            let Err(finding) = judge_range(patient, group, range, &mut used) else { continue };
            unfit += 1;
            if unfit <= MOST_UNFIT {
                findings.push(finding);
            }
        }
    }
    if let Some(more @ 1..) = usize::checked_sub(unfit, MOST_UNFIT) {
        let what = format!("{more} more addresses or ranges cannot be held here either");
        findings.push(Finding::fail("vip", "more", what));
    }
    for found in used.values() {
        judge_link(patient, found, findings);
    }
    used.into_values().collect()
}

/// A range lies in one subnet when both its ends do.
fn judge_range(
    patient: &mut Patient<'_, '_>,
    group: &VipGroup,
    range: &AddressRange,
    used: &mut BTreeMap<u32, Used>,
) -> Result<(), Finding> {
    for address in range.iter() {
        patient
            .ground
            .judge_claim("the VIP", address, &[])
            .map_err(|failure| Finding::failure("vip", &address.to_string(), &failure))?;
    }
    let mut ends = vec![range.first(), range.last()];
    ends.dedup();
    for address in ends {
        let link = match &group.interface {
            Some(name) => patient.ground.interface_named(name),
            None => patient.ground.interface_of_subnet(address),
        };
        let link = link.map_err(|failure| {
            Finding::failure("vip", &range.to_string(), &failure.in_words_of_the_file())
        })?;
        let (index, name) = (link.index, link.name.clone());
        let entry = used.entry(index).or_insert_with(|| Used {
            index,
            name,
            ipv4: false,
            ipv6: false,
            subnets: false,
        });
        entry.ipv4 |= address.is_ipv4();
        entry.ipv6 |= address.is_ipv6();
        entry.subnets |= range.prefix < if address.is_ipv4() { 32 } else { 128 };
    }
    Ok(())
}

fn judge_link(patient: &Patient<'_, '_>, used: &Used, findings: &mut Findings) {
    let Some(link) = patient.ground.links.iter().find(|link| link.index == used.index) else {
        return;
    };
    if link.running {
        findings.ok("interface", &used.name, "up, with a carrier");
    } else {
        findings.push(
            Finding::fail("interface", &used.name, "no carrier: nobody can be heard or told")
                .to_do("look at the cable and the switch's port"),
        );
    }
    if let Some(master) = link.master {
        let master = patient.ground.name_of(master);
        findings.push(
            Finding::warn(
                "interface",
                &used.name,
                format!("it is a port of {master}, which has the traffic"),
            )
            .to_do(format!("interface = \"{master}\"")),
        );
    }
    let real: Vec<_> = patient.ground.real_addresses(used.index).collect();
    if used.ipv4 && !real.iter().any(|address| address.ip.is_ipv4()) {
        findings.push(Finding::warn(
            "interface",
            &used.name,
            "it has no IPv4 address of its own: peers there can be asked by ARP probes only",
        ));
    }
}
