//! What a quorum asks of this host: whether its kernel can end a lease, and for which addresses.
//!
//! Owns the refusal of a lease that this kernel could not end in time. Changes nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::OnceLock;

use standin_core::cluster::settings::{
    Authority, GroupSettings, OnDoubt as CoreOnDoubt, Quorum, Settings,
};
use standin_core::config::VipId;
use standin_core::lease::electorate::{self, Electorate, Electorates};
use standin_core::lease::{Key, LENGTH_MIN_UNGUARDED};
use standin_core::place::{NodeId, NodeSet};
use standin_sys::netlink::nftables::{Managed, Support};

use crate::duration;
use crate::failure::{Code, Failure, Result};
use crate::fast::GuardPlan;
use crate::file::{self, ClusterFile};

/// The longest name that nftables takes without quotes from us.
const TABLE_NAME_LENGTH_MAX: usize = 63;

/// Whether the kernel ends leases by itself. A start is refused where it cannot and the file asks
/// for less than the lifetime of an address can keep.
///
/// # Errors
/// The lease is too short for this kernel.
pub fn guarded(file: &ClusterFile) -> Result<bool> {
    let file::Authority::Quorum { lease } = file.authority else { return Ok(false) };
    let Some(why) = unguarded(file) else { return Ok(true) };
    if lease >= LENGTH_MIN_UNGUARDED {
        return Ok(false);
    }
    let (shown, least) = (duration::show(lease), duration::show(LENGTH_MIN_UNGUARDED));
    Err(Failure::new(
        Code::Unavailable,
        format!("nftables cannot end a lease of {shown} on this host: {why}"),
    )
    .expected(format!("a kernel with nf_tables, or a lease of at least {least}"))
    .advice("modprobe nf_tables; or build the kernel with CONFIG_NF_TABLES, _ARP, _IPV4 and _IPV6")
    .advice(format!("or lease = \"{least}\": then the lifetime of the addresses keeps it")))
}

/// What this kernel's nftables can do. It is asked once: each of a dozen questions is a transaction
/// that is taken back, for which the kernel waits until no processor looks at it any more. That takes
/// some hundred milliseconds on a busy host, and a reload in which they pass renews no lease.
///
/// # Errors
/// Nothing can be asked; then the next call asks again.
pub fn support() -> standin_sys::Result<&'static Support> {
    static SUPPORT: OnceLock<Support> = OnceLock::new();
    if let Some(known) = SUPPORT.get() {
        return Ok(known);
    }
    let asked = Support::probe()?;
    Ok(SUPPORT.get_or_init(|| asked))
}

/// Why the kernel cannot guard the addresses of the file; none where it can.
pub fn unguarded(file: &ClusterFile) -> Option<String> {
    let support = match support() {
        Ok(support) => support,
        Err(error) => return Some(error.to_string()),
    };
    let uncovered = file.addresses().find(|address| !support.covers(*address))?;
    Some(match support.missing().first() {
        Some(error) => error.to_string(),
        None => format!("{uncovered} cannot be guarded"),
    })
}

/// The file's authority in the core's terms.
pub fn authority(file: &ClusterFile, guarded: bool) -> Authority {
    let file::Authority::Quorum { lease } = file.authority else { return Authority::None };
    Authority::Quorum(Quorum {
        voters: Electorates { present: electorate(&voters(file), file), before: None },
        length: lease,
        guarded,
        fence: file.fence.is_some(),
    })
}

/// The names of all who vote.
pub fn voters(file: &ClusterFile) -> Vec<&str> {
    file.voter_ids().map(|id| file.node(id).name.as_str()).collect()
}

/// Those of these names, with the numbers that they have in a file.
pub fn electorate(names: &[&str], file: &ClusterFile) -> Electorate {
    let number = |name: &str| {
        let found = file.voter_ids().find(|id| file.node(*id).name == name);
        found.map(|id| NodeId(u16::from(id.0)))
    };
    Electorate::new(names.iter().map(|name| (*name, number(name))))
}

/// Whether voters may follow these in one step. They may not change their order either while an
/// earlier change is not settled: the memory of it goes by numbers.
///
/// # Errors
/// More than one comes or goes.
pub fn judge_change(old: &ClusterFile, new: &ClusterFile) -> Result<()> {
    if old.authority == file::Authority::None || new.authority == file::Authority::None {
        return Ok(());
    }
    electorate::judge_change(&voters(old), &voters(new))
        .map_err(|refused| Failure::config(refused.to_string()))
}

/// Goes on from a configuration with these voters in the same process: while not everybody has
/// changed over, both majorities are needed.
pub fn follow(settings: &mut Settings, old: &[String], file: &ClusterFile) {
    let Authority::Quorum(quorum) = &mut settings.authority else { return };
    let old: Vec<&str> = old.iter().map(String::as_str).collect();
    let before = electorate(&old, file);
    if before.tag != quorum.voters.present.tag {
        quorum.voters.before = Some(before);
    }
}

/// The witnesses, by number.
pub fn witnesses(file: &ClusterFile) -> NodeSet {
    let witnesses = file.voter_ids().filter(|id| file.is_witness(*id));
    witnesses.map(|id| NodeId(u16::from(id.0))).collect()
}

/// The tables that keep this cluster's leases, and which addresses they keep silent. `address`
/// gives the address of a VIP.
pub fn guard_plan(
    cluster: &str,
    settings: &Settings,
    guarded: bool,
    address: impl Fn(VipId) -> IpAddr,
) -> GuardPlan {
    let mut terms = BTreeSet::new();
    let mut managed = Vec::new();
    let kept = |group: &&GroupSettings| guarded && group.on_doubt == CoreOnDoubt::Release;
    for group in settings.groups.iter().filter(kept) {
        // A term is worth its chain where it stands for several.
        let term = match group.vips.as_slice() {
            [_] => 0,
            _ => term_of(group.lease, &mut terms),
        };
        managed.extend(group.vips.iter().map(|vip| Managed { ip: address(*vip), term }));
    }
    GuardPlan { name: table_name(cluster), managed, routed: Vec::new(), needed: guarded }
}

/// The number of a group's term: the same in the next run of this instance, which finds the
/// leases of this one running.
fn term_of(lease: Key, taken: &mut BTreeSet<u32>) -> u32 {
    let mut term = (lease.0 ^ (lease.0 >> 32)) as u32;
    while term == 0 || !taken.insert(term) {
        term = term.wrapping_add(1);
    }
    term
}

/// `standin-` and the cluster's name, so that two clusters on one host are in nobody's way.
pub fn table_name(cluster: &str) -> String {
    let mut name = format!("standin-{cluster}");
    if name.len() > TABLE_NAME_LENGTH_MAX {
        let short = standin_core::heartbeat::fingerprint("standin tables", [cluster.as_bytes()]);
        name.truncate(TABLE_NAME_LENGTH_MAX - 17);
        name = format!("{name}-{short:016x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_groups_never_share_a_term() {
        let mut taken = BTreeSet::new();
        let same = [Key(7 << 32), Key(7), Key(0), Key(u64::from(u32::MAX))];
        let terms = same.map(|lease| term_of(lease, &mut taken));
        assert_eq!(terms, [7, 8, 1, u32::MAX]);
    }

    #[test]
    fn two_clusters_have_tables_of_their_own_however_long_their_names() {
        assert_eq!(table_name("web"), "standin-web");
        let (one, other) = ("a".repeat(63), "a".repeat(62) + "b");
        assert_ne!(table_name(&one), table_name(&other));
        assert_eq!(table_name(&one).len(), TABLE_NAME_LENGTH_MAX);
    }
}
