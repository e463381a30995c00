//! Which VIPs a guard keeps silent, and which of them share a lease.
//!
//! Owns the sets `managed` and `alone` and the map `term-of`, and a chain for each term. Invariant:
//! every VIP of the first is in one of the others, in the same transaction; in neither of them a rule
//! would let it through.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::guard::Guard;
use super::scheme;
use super::set::Key;
use super::socket::NetfilterSocket;
use super::transaction::{Family, Table, Transaction};
use crate::error::Result;

/// A VIP that may be answered for only under a lease: its own, or that of its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Managed {
    /// The VIP.
    pub ip: IpAddr,
    /// The number of the term that it shares with others, which is renewed as one element however
    /// many they are; 0 for none.
    pub term: u32,
}

impl From<IpAddr> for Managed {
    fn from(ip: IpAddr) -> Self {
        Self { ip, term: scheme::NO_TERM }
    }
}

/// What a renewal is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leased<'a> {
    /// Single VIPs.
    Vips(&'a [IpAddr]),
    /// Whole terms.
    Terms(&'a [u32]),
}

impl Leased<'_> {
    pub(super) fn set(self) -> &'static str {
        match self {
            Self::Vips(_) => scheme::HELD,
            Self::Terms(_) => scheme::TERMS,
        }
    }

    pub(super) fn count(self) -> usize {
        match self {
            Self::Vips(vips) => vips.len(),
            Self::Terms(terms) => terms.len(),
        }
    }

    pub(super) fn keys(self, family: Family) -> Vec<Key> {
        match self {
            Self::Vips(vips) => keys_of(vips, family),
            Self::Terms(terms) => terms.iter().map(|term| Key::Number(*term)).collect(),
        }
    }
}

impl Guard {
    /// Puts these VIPs under the guard, or leaves them there: from now on they are answered for only
    /// while they are held or their term is. Those under it besides belong to no term any more.
    pub fn manage<M: Copy + Into<Managed>>(&mut self, managed: &[M]) -> Result<()> {
        let managed: Vec<Managed> = managed.iter().map(|one| (*one).into()).collect();
        self.check_covered(&ips_of(&managed))?;
        let mut all = managed.clone();
        for ip in self.managed()? {
            if managed.iter().all(|one| one.ip != ip) {
                all.push(ip.into());
            }
        }
        let mut transaction = self.socket.transaction();
        for &family in &self.families {
            fill(&mut transaction, Table { family, name: &self.name }, &all);
        }
        self.socket.commit(transaction)
    }

    fn managed(&mut self) -> Result<Vec<IpAddr>> {
        let mut managed = vec![];
        for &family in self.families.iter().filter(|&&family| family != Family::Arp) {
            let table = Table { family, name: &self.name };
            for element in self.socket.elements(table, scheme::MANAGED)? {
                if let Key::Ip(ip) = element.key {
                    managed.push(ip);
                }
            }
        }
        // As in `held`: some may be shown twice.
        managed.sort_unstable();
        managed.dedup();
        Ok(managed)
    }

    /// The VIPs for which a process that died had the kernel answer nothing: its tables outlive it.
    /// None where there are no tables of that name.
    pub fn left_quiet(name: &str) -> Result<Vec<IpAddr>> {
        let mut socket = NetfilterSocket::open()?;
        let mut quiet = vec![];
        for (family, found) in socket.tables()? {
            if found != name {
                continue;
            }
            let table = Table { family, name };
            let elements = match socket.elements(table, scheme::QUIET) {
                Ok(elements) => elements,
                // Another's table, or one that goes at this moment.
                Err(error) if error.errno() == Some(libc::ENOENT) => continue,
                Err(error) => return Err(error),
            };
            quiet.extend(elements.into_iter().filter_map(|element| match element.key {
                Key::Ip(ip) => Some(ip),
                Key::Number(_) => None,
            }));
        }
        quiet.sort_unstable();
        quiet.dedup();
        Ok(quiet)
    }

    /// Takes VIPs out of the guard: from now on nothing keeps the kernel from answering for them.
    pub fn unmanage(&mut self, vips: &[IpAddr]) -> Result<()> {
        self.check_covered(vips)?;
        let mut transaction = self.socket.transaction();
        let mut shared = vec![];
        for &family in &self.families {
            let table = Table { family, name: &self.name };
            let keys = keys_of(vips, family);
            let found = self.socket.elements(table, scheme::TERM_OF)?;
            let found = found.into_iter().map(|element| element.key);
            shared.push((family, found.filter(|key| keys.contains(key)).collect::<Vec<_>>()));
        }
        for (family, shared) in shared {
            let table = Table { family, name: &self.name };
            let keys = keys_of(vips, family);
            for set in [scheme::MANAGED, scheme::ALONE] {
                // Adding before deleting makes it no error that one is not there.
                transaction.add_elements(table, set, &keys, None);
                transaction.delete_elements(table, set, &keys);
            }
            transaction.delete_elements(table, scheme::TERM_OF, &shared);
        }
        self.socket.commit(transaction)
    }
}

/// Makes these the VIPs that belong to a term, and puts them under the guard.
pub(super) fn fill(transaction: &mut Transaction, table: Table<'_>, managed: &[Managed]) {
    let mut terms: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
    for one in managed {
        terms.entry(one.term).or_default().push(one.ip);
    }
    transaction.clear_set(table, scheme::TERM_OF).clear_set(table, scheme::ALONE);
    for (term, vips) in terms {
        let keys = keys_of(&vips, table.family);
        transaction.add_elements(table, scheme::MANAGED, &keys, None);
        if term == scheme::NO_TERM {
            transaction.add_elements(table, scheme::ALONE, &keys, None);
        } else if !keys.is_empty() {
            scheme::create_term(transaction, table, term);
            let chain = scheme::term_chain(term);
            transaction.map_to_chain(table, scheme::TERM_OF, &keys, &chain);
        }
    }
}

pub(super) fn ips_of(managed: &[Managed]) -> Vec<IpAddr> {
    managed.iter().map(|one| one.ip).collect()
}

fn keys_of(vips: &[IpAddr], family: Family) -> Vec<Key> {
    let ours = |ip: &&IpAddr| scheme::families_of(**ip).contains(&family);
    vips.iter().filter(ours).map(|&ip| Key::Ip(ip)).collect()
}
