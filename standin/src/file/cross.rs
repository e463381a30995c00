//! What the parts of a file say about each other: addresses that are given twice, checks that
//! watch something else, and settings that are a trap.

use std::net::IpAddr;

use standin_core::config::Vantage;

use super::address::{AddressRange, MOST_VIPS};
use super::checks::CheckDraft;
use super::model::{NamedCheckId, Placement};
use super::nodes::NodeDraft;
use super::problem::{Problem, Problems, Span};
use super::vips::VipDraft;
use crate::checks::{Concerns, Probe};

/// The parts, each with its places.
pub struct Drafts<'a> {
    pub nodes: &'a [NodeDraft],
    pub witnesses: &'a [NodeDraft],
    pub checks: &'a [CheckDraft],
    pub vips: &'a [VipDraft],
    pub isolated: &'a [(IpAddr, Span)],
}

/// Judges them against each other.
pub fn judge(drafts: &Drafts<'_>, problems: &mut Problems) {
    judge_addresses(drafts, problems);
    judge_count(drafts, problems);
    judge_isolated(drafts, problems);
    judge_concerns(drafts, problems);
    judge_order(drafts, problems);
    judge_echoes(drafts, problems);
    judge_unused(drafts, problems);
}

/// Whose an address is.
#[derive(Clone, Copy)]
enum Owner<'a> {
    Node(&'a str),
    Vip(&'a AddressRange),
}

struct Claim<'a> {
    /// The family, the first and the last address as numbers.
    bounds: (bool, u128, u128),
    first: IpAddr,
    owner: Owner<'a>,
    span: Span,
}

/// Sorted by address, two claims overlap exactly when one begins before an earlier one ends.
fn judge_addresses(drafts: &Drafts<'_>, problems: &mut Problems) {
    let mut claims: Vec<Claim<'_>> = Vec::new();
    for node in drafts.nodes.iter().chain(drafts.witnesses) {
        for (address, span) in &node.addresses {
            let number = match address {
                IpAddr::V4(v4) => u128::from(u32::from(*v4)),
                IpAddr::V6(v6) => u128::from(*v6),
            };
            let bounds = (address.is_ipv6(), number, number);
            let owner = Owner::Node(&node.name);
            claims.push(Claim { bounds, first: *address, owner, span: span.clone() });
        }
    }
    for vip in drafts.vips {
        for (range, span) in vip.group.ranges.iter().zip(&vip.ranges) {
            let (bounds, owner) = (range.bounds(), Owner::Vip(range));
            claims.push(Claim { bounds, first: range.first(), owner, span: span.clone() });
        }
    }
    claims.sort_by_key(|claim| (claim.bounds, claim.span.start));
    let mut reach: Option<&Claim<'_>> = None;
    for claim in &claims {
        if let Some(earlier) = reach
            && earlier.bounds.0 == claim.bounds.0
            && claim.bounds.1 <= earlier.bounds.2
        {
            problems.push(clash(earlier, claim));
        }
        let key = |claim: &Claim<'_>| (claim.bounds.0, claim.bounds.2);
        if reach.is_none_or(|earlier| key(claim) > key(earlier)) {
            reach = Some(claim);
        }
    }
}

/// `later` begins inside `earlier`.
fn clash(earlier: &Claim<'_>, later: &Claim<'_>) -> Problem {
    let shared = later.first;
    match (earlier.owner, later.owner) {
        (Owner::Node(one), Owner::Node(other)) => {
            let (first, second) = in_file_order(earlier, later);
            let message = if one == other {
                format!("{shared} is given twice for {one}")
            } else {
                format!("{shared} is given for two nodes")
            };
            Problem::error(second.span.clone(), message)
                .label("the second time")
                .with(first.span.clone(), "the first time")
        }
        (Owner::Node(node), Owner::Vip(range)) => {
            covered(shared, node, &earlier.span, range, &later.span)
        }
        (Owner::Vip(range), Owner::Node(node)) => {
            covered(shared, node, &later.span, range, &earlier.span)
        }
        (Owner::Vip(_), Owner::Vip(_)) => {
            let (first, second) = in_file_order(earlier, later);
            Problem::error(second.span.clone(), format!("{shared} is a VIP twice"))
                .label("the second time")
                .with(first.span.clone(), "the first time")
        }
    }
}

fn in_file_order<'a, 'b>(
    one: &'a Claim<'b>,
    other: &'a Claim<'b>,
) -> (&'a Claim<'b>, &'a Claim<'b>) {
    if one.span.start <= other.span.start { (one, other) } else { (other, one) }
}

fn covered(
    address: IpAddr,
    node: &str,
    node_span: &Span,
    range: &AddressRange,
    range_span: &Span,
) -> Problem {
    let problem = if range.count() == 1 {
        Problem::error(
            range_span.clone(),
            format!("{address} is a VIP and the real address of {node}"),
        )
        .help("a node needs a real address of its own, one that never moves")
    } else {
        Problem::error(
            range_span.clone(),
            format!("the range {range} covers {address}, the real address of {node}"),
        )
        .help("give two ranges, one up to it and one from behind it")
    };
    problem.label("an address that moves").with(node_span.clone(), "an address that never moves")
}

fn judge_count(drafts: &Drafts<'_>, problems: &mut Problems) {
    let mut count = 0_u32;
    for vip in drafts.vips {
        let before = count;
        count = count.saturating_add(vip.group.count());
        if before <= MOST_VIPS && count > MOST_VIPS {
            problems.push(
                Problem::error(vip.span.clone(), format!("more than {MOST_VIPS} VIPs"))
                    .label(format!("{count} up to here")),
            );
        }
    }
}

fn judge_isolated(drafts: &Drafts<'_>, problems: &mut Problems) {
    let nodes = drafts.nodes.iter().chain(drafts.witnesses);
    for (position, (address, span)) in drafts.isolated.iter().enumerate() {
        if let Some((_, first)) =
            drafts.isolated[..position].iter().find(|(twin, _)| twin == address)
        {
            problems.push(
                Problem::error(span.clone(), format!("{address} is given twice"))
                    .label("the second time")
                    .with(first.clone(), "the first time"),
            );
        }
        let own = |node: &&NodeDraft| node.addresses.iter().any(|(own, _)| own == address);
        if let Some(node) = nodes.clone().find(own) {
            problems.push(
                Problem::error(
                    span.clone(),
                    format!("{address} is {}: nodes are asked after anyway", node.name),
                )
                .label("expected a host that is no node, such as the router")
                .with(node.span.clone(), "its line"),
            );
        }
        let Some(vip) = drafts.vips.iter().find(|vip| vip.group.contains(*address)) else {
            continue;
        };
        problems.push(
            Problem::error(
                span.clone(),
                format!("{address} is a VIP: it answers wherever it is held"),
            )
            .label("expected a host that is no node, such as the router")
            .with(vip.span.clone(), "the VIP"),
        );
    }
}

/// A check about one address has to be about one of the group's.
fn judge_concerns(drafts: &Drafts<'_>, problems: &mut Problems) {
    for vip in drafts.vips {
        for (id, span) in vip.group.checks.iter().zip(&vip.checks) {
            let draft = &drafts.checks[id.0 as usize];
            let Some(check) = &draft.check else { continue };
            match check.check.probe.concerns() {
                Concerns::One(address) if !vip.group.contains(address) => problems.push(
                    Problem::error(
                        span.clone(),
                        format!(
                            "the check '{}' is about {address}, which is not in this [[vip]]",
                            draft.name
                        ),
                    )
                    .label("used here")
                    .with(draft.target.clone(), "about another address")
                    .help("write {vip} for whichever VIP is checked"),
                ),
                Concerns::One(_) | Concerns::Every => {}
            }
        }
    }
}

/// A VIP with one eligible node never moves, so that nothing stands in, and a failing check would
/// only take it off the network.
fn judge_order(drafts: &Drafts<'_>, problems: &mut Problems) {
    if drafts.nodes.len() < 2 {
        return;
    }
    for vip in drafts.vips {
        let ([only], Some(home)) = (vip.group.placement.eligible(), &vip.home) else { continue };
        let node = &drafts.nodes[usize::from(only.0)].name;
        let (group, help) = (
            &vip.group.name,
            match vip.group.placement {
                Placement::Ordered(_) => {
                    format!("home = \"{node}\", without brackets, lets the other nodes stand in")
                }
                Placement::Spread(_) => "leave home out: all nodes share the pool then".to_owned(),
            },
        );
        let problem = match vip.checks.first() {
            Some(check) => Problem::warning(
                check.clone(),
                format!("this check can never move {group}: only {node} may hold it"),
            )
            .label("a failure would only take it off the network")
            .with(home.clone(), "one node"),
            None => Problem::warning(
                home.clone(),
                format!("nobody stands in for {group}: only {node} may hold it"),
            )
            .label("a list of one node"),
        };
        problems.push(problem.help(help));
    }
    for vip in drafts.vips {
        judge_outside(drafts, vip, problems);
    }
}

/// From outside, a command sees no difference between a holder and another node unless it looks
/// at the address it is told; a check by peers of what is on the peer itself never fails.
fn judge_outside(drafts: &Drafts<'_>, vip: &VipDraft, problems: &mut Problems) {
    let from_peers = |id: &NamedCheckId| {
        let check = drafts.checks[id.0 as usize].check.as_ref();
        check.is_some_and(|check| check.from == Vantage::Peers)
    };
    let all = !vip.group.checks.is_empty() && vip.group.checks.iter().all(from_peers);
    if let (true, Some(span)) = (all, vip.checks.first()) {
        problems.push(
            Problem::warning(
                span.clone(),
                format!(
                    "{} is checked by peers only: nobody checks a node before it takes over",
                    vip.group.name
                ),
            )
            .label("from = \"peers\"")
            .help("add a second check without from, which each node makes on itself"),
        );
    }
}

/// A node's kernel answers its own echo requests whatever is the matter.
fn judge_echoes(drafts: &Drafts<'_>, problems: &mut Problems) {
    for draft in drafts.checks {
        let Some(check) = &draft.check else { continue };
        if check.from == Vantage::OnItself && matches!(check.check.probe, Probe::Icmp(_)) {
            problems.push(
                Problem::warning(
                    draft.target.clone(),
                    format!("the check '{}' never fails: each node asks itself", draft.name),
                )
                .label("an echo request")
                .help("from = \"peers\": the other nodes ask the holder"),
            );
        }
    }
}

fn judge_unused(drafts: &Drafts<'_>, problems: &mut Problems) {
    for (position, check) in drafts.checks.iter().enumerate() {
        let id = NamedCheckId(position as u32);
        let is_used = drafts.vips.iter().any(|vip| vip.group.checks.contains(&id));
        if is_used || check.check.is_none() {
            continue;
        }
        problems.push(
            Problem::warning(check.span.clone(), format!("no VIP has the check '{}'", check.name))
                .label("never made")
                .help(format!("check = \"{}\" in a [[vip]], or leave it out", check.name)),
        );
    }
}
