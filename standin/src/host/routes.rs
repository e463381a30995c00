//! Which groups are held as routes on this host, and which routes of an earlier run it has.
//!
//! Owns the conditions: a kernel that silences routes when their holder dies, and interfaces that
//! answer ARP for them. Changes nothing.

use std::net::IpAddr;

use standin_core::heartbeat::fingerprint;
use standin_sys::netlink::LocalRoute;
use standin_sys::sysctl;

use super::quorum::table_name;
use crate::failure::{Code, Failure, Result};
use crate::file::{HeldAs, VipGroup};

/// The metric of every route of a cluster: two clusters on one host leave each other's alone.
pub fn metric(cluster: &str) -> u32 {
    // 0 is what the kernel gives the routes of addresses.
    (fingerprint("standin routes", [table_name(cluster).as_bytes()]) as u32).max(1)
}

/// Why this kernel cannot silence routes whose holder dies; none where it can.
pub fn unguarded() -> Option<String> {
    match super::quorum::support() {
        Ok(support) if support.covers_routes() => None,
        Ok(support) => Some(match support.missing().first() {
            Some(error) => error.to_string(),
            None => "its nf_tables has no sets of ranges".to_owned(),
        }),
        Err(error) => Some(error.to_string()),
    }
}

/// Why the kernel would answer no ARP on this interface for an address that is a route.
pub fn unanswered(interface: &str, read: impl Fn(&str) -> Option<i64>) -> Option<String> {
    // The kernel takes the greater of both.
    let names = ["all", interface];
    let asked = names.map(|name| format!("net/ipv4/conf/{name}/arp_ignore"));
    let set = asked.iter().find(|key| read(key).is_some_and(|value| value != 0))?;
    Some(format!(
        "{} is not 0, so the kernel answers ARP for addresses alone",
        set.replace('/', ".")
    ))
}

/// A sysctl of this host that is a number.
pub fn sysctl_of_host(key: &str) -> Option<i64> {
    sysctl::read(key).ok()?.trim().parse().ok()
}

/// What stands against holding a group as routes: a refusal where the file demands it, otherwise a
/// sentence for the log.
///
/// # Errors
/// The file says `as = "routes"`.
pub fn refused(group: &VipGroup, why: &str) -> Result<String> {
    let count = group.count_v4();
    if group.held_as == Some(HeldAs::Routes) {
        return Err(Failure::new(
            Code::Unavailable,
            format!("{}: its addresses cannot be held as routes on this host: {why}", group.name),
        )
        .expected("nf_tables, which silences routes when the daemon dies, and arp_ignore = 0")
        .advice("as = \"addresses\": each has a lifetime; slower to claim, the more there are"));
    }
    Ok(format!(
        "{}: {count} addresses are added one by one, which takes the kernel longer than routes \
         would: {why}",
        group.name
    ))
}

/// Whether a block of an earlier run has this address.
pub fn covers(route: &LocalRoute, address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let differing = u32::from(route.address) ^ u32::from(address);
    differing.checked_shr(32 - u32::from(route.prefix.min(32))).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_have_metrics_of_their_own() {
        assert_ne!(metric("web"), metric("mail"));
        assert_eq!(metric("web"), metric("web"));
        assert_ne!(metric("web"), 0);
    }

    #[test]
    fn a_block_covers_its_addresses() {
        let block = |prefix| LocalRoute {
            address: [10, 0, 1, 0].into(),
            prefix,
            ifindex: 1,
            protocol: 93,
            metric: 1,
        };
        let covered = |prefix, last| covers(&block(prefix), [10, 0, 1, last].into());
        assert!(covered(32, 0) && !covered(32, 1) && covered(31, 1) && covered(24, 255));
        assert!(covered(0, 9) && !covers(&block(24), [10, 0, 2, 0].into()));
        assert!(!covers(&block(0), "fd00::1".parse().expect("an address")));
    }
}
