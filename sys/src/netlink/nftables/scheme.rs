//! What is in a guard's tables: the sets, the chains and the rules, nothing else.
//!
//! Owns their names, hooks and offsets. Knows no VIP.

use std::net::IpAddr;

use super::rule::{Base, Comparison, Expression, MetaKey, Verdict};
use super::set::{KeyType, Set};
use super::transaction::{Chain, ChainKind, Family, Hook, Table, Transaction};

pub(super) const FAMILIES: [Family; 3] = [Family::Arp, Family::Ip, Family::Ip6];

/// VIPs that may be answered for only while held.
pub(super) const MANAGED: &str = "managed";
/// VIPs under a lease, each with a timeout.
pub(super) const HELD: &str = "held";
/// VIPs that no neighbour shall learn from us.
pub(super) const QUIET: &str = "quiet";
/// Managed VIPs that have a lease of their own.
pub(super) const ALONE: &str = "alone";
/// Managed VIPs that share a lease, each with the chain of its term.
pub(super) const TERM_OF: &str = "term-of";
/// The terms that run, each with a timeout.
pub(super) const TERMS: &str = "terms";
/// None.
pub(super) const NO_TERM: u32 = 0;
/// Proof that a renewal comes in time; in every family, though one is enough.
pub(super) const TICKET: &str = "ticket";

/// IPv4 addresses that are held as routes, which have no lifetime of their own, as ranges.
pub(super) const ROUTED: &str = "routed";
/// The sign that whoever holds the routes lives: [`SIGN`], with a timeout.
pub(super) const ALIVE: &str = "alive";
/// The one element of [`ALIVE`].
pub(super) const SIGN: u32 = 1;

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

/// Which rules a table has beside those of every table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// Those that ask the routing tables.
    pub(super) lookup: bool,
    /// Those for what is held as routes.
    pub(super) routed: bool,
}

/// The families in whose tables routes are guarded: IPv4 addresses alone are held as routes.
pub(super) const ROUTED_FAMILIES: [Family; 2] = [Family::Arp, Family::Ip];

/// Creates a table and all in it, or makes one that is there the same: rules are written anew,
/// elements stay.
pub(super) fn create(transaction: &mut Transaction, table: Table<'_>, flags: u32, extent: Extent) {
    transaction.create_table(table, flags);
    let key = match table.family {
        Family::Arp | Family::Ip => KeyType::Ipv4,
        Family::Ip6 => KeyType::Ipv6,
    };
    for (name, key, timeout) in [
        (MANAGED, key, false),
        (ALONE, key, false),
        (HELD, key, true),
        (QUIET, key, false),
        (TICKET, KeyType::Number, true),
        (TERMS, KeyType::Number, true),
    ] {
        transaction.create_set(table, Set { name, key, timeout, ranges: false, verdicts: false });
    }
    let terms = Set { name: TERM_OF, key, timeout: false, ranges: false, verdicts: true };
    transaction.create_set(table, terms);
    let routed = extent.routed && ROUTED_FAMILIES.contains(&table.family);
    if routed {
        let set = Set { name: ROUTED, key, timeout: false, ranges: true, verdicts: false };
        transaction.create_set(table, set);
        let set = Set {
            name: ALIVE,
            key: KeyType::Number,
            timeout: true,
            ranges: false,
            verdicts: false,
        };
        transaction.create_set(table, set);
    }
    for (name, hook, rules) in chains(table.family, Extent { routed, ..extent }) {
        let kind = ChainKind::Filter;
        transaction.create_chain(table, Chain { name, kind, hook, priority: PRIORITY });
        transaction.delete_rules(table, name);
        for rule in rules {
            transaction.append_rule(table, name, &rule);
        }
    }
}

type Rule = Vec<Expression>;

fn chains(family: Family, extent: Extent) -> Vec<(&'static str, Hook, Vec<Rule>)> {
    let (source, destination) = match family {
        Family::Arp => {
            let mut output = unleased(&[], &ARP_SENDER).to_vec();
            output.push(quiet(&[], &ARP_SENDER));
            output.extend(extent.routed.then(|| orphaned(&ARP_SENDER, &[])));
            return vec![(OUTPUT, Hook::Output, output)];
        }
        Family::Ip => (IPV4_SOURCE, IPV4_DESTINATION),
        Family::Ip6 => (IPV6_SOURCE, IPV6_DESTINATION),
    };
    let mut output = unleased(&[], &source).to_vec();
    if family == Family::Ip6 {
        let advertisement = icmpv6(NEIGHBOUR_ADVERTISEMENT);
        output.extend(unleased(&advertisement, &ADVERTISED_TARGET));
        output.push(quiet(&advertisement, &ADVERTISED_TARGET));
        output.push(quiet(&icmpv6(NEIGHBOUR_SOLICITATION), &source));
    }
    let mut input = unleased(&[], &destination).to_vec();
    output.extend(extent.routed.then(|| orphaned(&source, &[])));
    input.extend(extent.routed.then(|| orphaned(&destination, &[])));
    let mut chains = vec![(INPUT, Hook::Input, input), (OUTPUT, Hook::Output, output)];
    if extent.lookup {
        // What is only passing on its way to another holder is none of our business. Asked last:
        // few packets come so far.
        let mut alone = selected(&[], &destination, ALONE);
        alone.push(Expression::Lookup { set: HELD.into(), inverse: true });
        alone.extend(is_local());
        alone.extend(drop_counted());
        let mut shared = selected(&[], &destination, MANAGED);
        shared.extend(is_local());
        shared.extend(dispatched(&destination));
        let mut rules = vec![alone, shared];
        rules.extend(extent.routed.then(|| orphaned(&destination, &is_local())));
        chains.push((PREROUTING, Hook::Prerouting, rules));
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

/// Drops what has an address that is managed and not held: neither by itself nor by its term.
fn unleased(condition: &[Expression], address: &Expression) -> [Rule; 2] {
    let mut alone = selected(condition, address, ALONE);
    // A look-up keeps the register.
    alone.push(Expression::Lookup { set: HELD.into(), inverse: true });
    alone.extend(drop_counted());
    let mut shared = condition.to_vec();
    shared.extend(dispatched(address));
    [alone, shared]
}

/// Goes through the chain of the address's term. That `nft` can print it (1.0.6 aborts over every
/// list of rules with one in which something is looked up that a map has given) is why there are
/// chains.
fn dispatched(address: &Expression) -> [Expression; 2] {
    [address.clone(), Expression::Dispatch { map: TERM_OF.into() }]
}

/// The name of a term's chain.
pub(super) fn term_chain(term: u32) -> String {
    format!("term-{term}")
}

/// Creates the chain of a term, which drops what comes through it while the term does not run.
pub(super) fn create_term(transaction: &mut Transaction, table: Table<'_>, term: u32) {
    let chain = term_chain(term);
    let mut rule = vec![
        Expression::Constant(term.to_ne_bytes().to_vec()),
        Expression::Lookup { set: TERMS.into(), inverse: true },
    ];
    rule.extend(drop_counted());
    transaction.create_inner_chain(table, &chain);
    transaction.delete_rules(table, &chain).append_rule(table, &chain, &rule);
}

fn is_local() -> [Expression; 2] {
    let local = LOCAL.to_ne_bytes().to_vec();
    [Expression::DestinationType, Expression::Compare(Comparison::Equal, local)]
}

/// Drops what has an address that is held as a route, when nobody has said for a while that he
/// lives; asked last is a condition.
fn orphaned(address: &Expression, condition: &[Expression]) -> Rule {
    let mut rule = selected(&[], address, ROUTED);
    rule.push(Expression::Constant(SIGN.to_ne_bytes().to_vec()));
    rule.push(Expression::Lookup { set: ALIVE.into(), inverse: true });
    rule.extend_from_slice(condition);
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
