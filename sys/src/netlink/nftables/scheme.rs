//! What is in a guard's tables: the sets, the chains and the rules, nothing else.
//!
//! Owns their names, hooks and offsets. Knows no VIP.

use std::net::IpAddr;

use super::rule::{Base, Comparison, Expression, MetaKey, Verdict};
use super::transaction::{Chain, ChainKind, Family, Hook, KeyType, Set, Table, Transaction};

pub(super) const FAMILIES: [Family; 3] = [Family::Arp, Family::Ip, Family::Ip6];

/// VIPs that may be answered for only while held.
pub(super) const MANAGED: &str = "managed";
/// VIPs under a lease, each with a timeout.
pub(super) const HELD: &str = "held";
/// VIPs that no neighbour shall learn from us.
pub(super) const QUIET: &str = "quiet";
/// Proof that a renewal comes in time; in every family, though one is enough.
pub(super) const TICKET: &str = "ticket";

const PREROUTING: &str = "prerouting";
const INPUT: &str = "input";
const OUTPUT: &str = "output";
/// Before connection tracking (-200), address translation and everybody's filters (0).
const PRIORITY: i32 = -300;

/// RFC 826: the sender's protocol address behind 8 bytes and a MAC address of 6.
const ARP_SENDER: Expression = Expression::Load { base: Base::Network, offset: 14, length: 4 };
const IPV4_SOURCE: Expression = Expression::Load { base: Base::Network, offset: 12, length: 4 };
const IPV4_DESTINATION: Expression =
    Expression::Load { base: Base::Network, offset: 16, length: 4 };
const IPV6_SOURCE: Expression = Expression::Load { base: Base::Network, offset: 8, length: 16 };
const IPV6_DESTINATION: Expression =
    Expression::Load { base: Base::Network, offset: 24, length: 16 };
const ICMPV6_TYPE: Expression = Expression::Load { base: Base::Transport, offset: 0, length: 1 };
/// RFC 4861, 4.4: behind type, code, checksum and the flags.
const ADVERTISED_TARGET: Expression =
    Expression::Load { base: Base::Transport, offset: 8, length: 16 };

/// `RTN_LOCAL`.
const LOCAL: u32 = 2;
const ICMPV6: u8 = 58;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// In which families' tables an address is.
pub(super) fn families_of(ip: IpAddr) -> &'static [Family] {
    match ip {
        IpAddr::V4(_) => &[Family::Arp, Family::Ip],
        IpAddr::V6(_) => &[Family::Ip6],
    }
}

/// Creates a table and all in it, or makes one that is there the same: rules are written anew,
/// elements stay. `lookup`: with rules that ask the routing tables.
pub(super) fn create(transaction: &mut Transaction, table: Table<'_>, flags: u32, lookup: bool) {
    transaction.create_table(table, flags);
    let key = match table.family {
        Family::Arp | Family::Ip => KeyType::Ipv4,
        Family::Ip6 => KeyType::Ipv6,
    };
    for (name, key, timeout) in [
        (MANAGED, key, false),
        (HELD, key, true),
        (QUIET, key, false),
        (TICKET, KeyType::Number, true),
    ] {
        transaction.create_set(table, Set { name, key, timeout });
    }
    for (name, hook, rules) in chains(table.family, lookup) {
        let kind = ChainKind::Filter;
        transaction.create_chain(table, Chain { name, kind, hook, priority: PRIORITY });
        transaction.delete_rules(table, name);
        for rule in rules {
            transaction.append_rule(table, name, &rule);
        }
    }
}

type Rule = Vec<Expression>;

fn chains(family: Family, lookup: bool) -> Vec<(&'static str, Hook, Vec<Rule>)> {
    let (source, destination) = match family {
        Family::Arp => {
            let output = vec![unheld(&[], &ARP_SENDER), quiet(&[], &ARP_SENDER)];
            return vec![(OUTPUT, Hook::Output, output)];
        }
        Family::Ip => (IPV4_SOURCE, IPV4_DESTINATION),
        Family::Ip6 => (IPV6_SOURCE, IPV6_DESTINATION),
    };
    let mut output = vec![unheld(&[], &source)];
    if family == Family::Ip6 {
        let advertisement = icmpv6(NEIGHBOUR_ADVERTISEMENT);
        output.push(unheld(&advertisement, &ADVERTISED_TARGET));
        output.push(quiet(&advertisement, &ADVERTISED_TARGET));
        output.push(quiet(&icmpv6(NEIGHBOUR_SOLICITATION), &source));
    }
    let input = vec![unheld(&[], &destination)];
    let mut chains = vec![(INPUT, Hook::Input, input), (OUTPUT, Hook::Output, output)];
    if lookup {
        // What is only passing on its way to another holder is none of our business. Asked last:
        // few packets come so far.
        let mut rule = selected(&[], &destination, MANAGED);
        rule.push(Expression::Lookup { set: HELD.into(), inverse: true });
        rule.push(Expression::DestinationType);
        rule.push(Expression::Compare(Comparison::Equal, LOCAL.to_ne_bytes().to_vec()));
        rule.extend(drop_counted());
        chains.push((PREROUTING, Hook::Prerouting, vec![rule]));
    }
    chains
}

fn icmpv6(kind: u8) -> Rule {
    vec![
        Expression::Meta(MetaKey::TransportProtocol),
        Expression::Compare(Comparison::Equal, vec![ICMPV6]),
        ICMPV6_TYPE,
        Expression::Compare(Comparison::Equal, vec![kind]),
    ]
}

/// Drops what has an address that is managed and not held.
fn unheld(condition: &[Expression], address: &Expression) -> Rule {
    let mut rule = selected(condition, address, MANAGED);
    // A look-up keeps the register.
    rule.push(Expression::Lookup { set: HELD.into(), inverse: true });
    rule.extend(drop_counted());
    rule
}

/// Drops what has an address that is quiet.
fn quiet(condition: &[Expression], address: &Expression) -> Rule {
    let mut rule = selected(condition, address, QUIET);
    rule.extend(drop_counted());
    rule
}

/// Goes on with what meets the condition and has an address of the set.
fn selected(condition: &[Expression], address: &Expression, set: &str) -> Rule {
    let mut rule = condition.to_vec();
    rule.push(address.clone());
    rule.push(Expression::Lookup { set: set.into(), inverse: false });
    rule
}

fn drop_counted() -> [Expression; 2] {
    [Expression::Counter, Expression::Verdict(Verdict::Drop)]
}
