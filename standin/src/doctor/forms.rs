//! How the addresses of a group are held here, as addresses of an interface or as routes, and what
//! that means.

use std::net::IpAddr;

use super::{Finding, Findings, Patient};
use crate::file::{HeldAs, ROUTES_FROM, VipGroup};
use crate::host::routes;

/// Judges every group for which it matters.
pub fn judge(patient: &mut Patient<'_, '_>, findings: &mut Findings) {
    for group in &patient.file.vips {
        let here = group.placement.eligible().contains(&patient.node);
        let first = group.addresses().map(|(address, _)| address).find(IpAddr::is_ipv4);
        let Some(first) = first.filter(|_| here) else { continue };
        let (name, count) = (group.name.as_str(), group.count_v4());
        if !group.wants_routes() {
            if count >= ROUTES_FROM {
                let what = format!(
                    "its {count} IPv4 addresses are added one by one: `ip address` shows them, and \
                     a claim takes the kernel up to {} ms",
                    added_one_by_one_ms(count)
                );
                findings.push(
                    Finding::warn("vip", name, what).to_do("as = \"routes\", or leave `as` out"),
                );
            }
            continue;
        }
        match stands_against(patient, group, first) {
            None => findings.ok(
                "vip",
                name,
                format!(
                    "its {count} IPv4 addresses are held as routes: a claim is a few messages, \
                     `ip route show table local proto {}` shows them and `ip address` does not, \
                     and nftables silences them 2 s after the daemon dies",
                    crate::host::ADDRESS_PROTO
                ),
            ),
            Some(why) if group.held_as == Some(HeldAs::Routes) => findings.push(
                Finding::fail("vip", name, format!("cannot be held as routes: {why}"))
                    .to_do("mend it, or as = \"addresses\""),
            ),
            Some(why) => {
                let what = format!(
                    "its {count} IPv4 addresses are added one by one, which takes the kernel up to \
                     {} ms; as routes it would be a few messages: {why}",
                    added_one_by_one_ms(count)
                );
                findings.push(
                    Finding::warn("vip", name, what)
                        .to_do("mend it, or say as = \"addresses\" if that is meant"),
                );
            }
        }
    }
}

fn stands_against(
    patient: &mut Patient<'_, '_>,
    group: &VipGroup,
    first: IpAddr,
) -> Option<String> {
    let link = match &group.interface {
        Some(name) => patient.ground.interface_named(name),
        None => patient.ground.interface_of_subnet(first),
    };
    // That it has no interface is told by others.
    let name = link.ok()?.name.clone();
    let files = patient.files;
    routes::unanswered(&name, |key| files.sysctl(key)).or_else(routes::unguarded)
}

/// The kernel compares each address with all that are there: 10 000 took 2 s.
fn added_one_by_one_ms(count: u32) -> u32 {
    (count / 100).saturating_pow(2) / 5 + count / 50
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_addresses_cost_is_about_what_was_measured() {
        let measured = [(1000, 23), (5000, 448), (10_000, 2000)];
        for (count, took) in measured {
            let said = added_one_by_one_ms(count);
            assert!((took / 2..=took * 2).contains(&said), "{count}: {said}, {took}");
        }
    }
}
