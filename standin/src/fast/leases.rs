//! The kernel's half of the leases: what it is told, and what it says to that.
//!
//! Owns the nftables tables of this instance and which addresses are under them. Decides nothing:
//! the core says until when, the kernel ends it. Invariant: the tables are there before the first
//! address is; an address that is taken out of them is not on an interface any more, or may be
//! answered for without a lease.
//!
//! The tables outlive the process whenever an address may: killed, hung, or stopped with `--keep`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use standin_core::config::{PeerId, VipId};
use standin_core::wire::frame::Frame;
use standin_core::wire::{Message, arp, ndp};
use standin_core::{Input, Instant, step};
use standin_sys::netlink::nftables::{Guard, Leftover, Managed};

use super::{FastLoop, now};

/// From a look at the sign of life until the first of this run's own.
const ADOPTABLE: Duration = Duration::from_millis(250);

/// Which tables a run has, and what they keep silent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuardPlan {
    /// The tables' name, in the families `arp`, `ip` and `ip6`.
    pub name: String,
    /// The addresses that are answered for under a lease only; those of one group have one term.
    pub managed: Vec<Managed>,
    /// The addresses that are held as routes: they are answered for only while this process says
    /// that it lives.
    pub routed: Vec<Ipv4Addr>,
    /// Whether a run without the tables would break a promise.
    pub needed: bool,
}

impl GuardPlan {
    /// The same with addresses that are held as routes.
    #[must_use]
    pub fn with_routes(self, routed: Vec<Ipv4Addr>) -> Self {
        let needed = self.needed || !routed.is_empty();
        Self { routed, needed, ..self }
    }
}

/// The tables.
#[derive(Debug)]
pub(super) struct Leases {
    guard: Option<Guard>,
    /// Their terms.
    managed: BTreeMap<IpAddr, u32>,
    /// Until when the kernel was last told to answer, by term.
    term_ends: BTreeMap<u32, Instant>,
    /// The same of addresses without a term.
    ends: BTreeMap<IpAddr, Instant>,
    routed: Vec<Ipv4Addr>,
    /// The addresses that the kernel was told not to answer for.
    quieted: BTreeSet<IpAddr>,
}

/// What some groups are to the tables.
#[derive(Debug, Default)]
struct Leased {
    /// The terms of those with several addresses.
    terms: Vec<u32>,
    /// The addresses of the others.
    addresses: Vec<IpAddr>,
}

/// Groups whose lease is to end at one moment: one transaction, however many they are.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    groups: Vec<(usize, Arc<[VipId]>)>,
    until: Option<Instant>,
}

/// Addresses that the kernel is told not to answer for, or to answer for again: one transaction,
/// however many they are.
#[derive(Debug, Default)]
pub(super) struct Quieting {
    quiet: bool,
    vips: Vec<VipId>,
}

/// The addresses that a killed run with these tables kept quiet, as the giver of a move that it did
/// not live to end. Where nftables cannot be asked there are none.
pub fn left_quiet(tables: &str) -> Vec<IpAddr> {
    Guard::left_quiet(tables).unwrap_or_default()
}

/// Whether the kernel still answers for what a killed run with these tables held as routes, and will
/// until this one can say that it lives. If not, another may have them by now. Where nftables cannot be
/// asked nothing is adopted.
pub fn left_alive(tables: &str) -> bool {
    Guard::sign_left(tables).ok().flatten().is_some_and(|left| left >= ADOPTABLE)
}

impl Leases {
    /// Installs the tables. What an earlier run of this instance was granted runs on to its end:
    /// this one may find its addresses on the interfaces.
    pub(super) fn install(plan: &GuardPlan) -> standin_sys::Result<Self> {
        let leftover = if plan.needed { Leftover::KeepHeld } else { Leftover::Replace };
        let installed = Guard::install_routed(&plan.name, &plan.managed, &plan.routed, leftover);
        let guard = match installed {
            Ok(guard) => Some(guard),
            Err(error) if plan.needed => return Err(error),
            // A planned move goes without its moment of quiet.
            Err(_) => None,
        };
        let managed = plan.managed.iter().map(|one| (one.ip, one.term)).collect();
        let routed = plan.routed.clone();
        let (term_ends, ends) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { guard, managed, term_ends, ends, routed, quieted: BTreeSet::new() })
    }

    /// Other addresses from here on; those that are no longer managed stay so until
    /// [`Leases::forget`].
    pub(super) fn change(&mut self, plan: &GuardPlan) -> standin_sys::Result<()> {
        if self.guard.is_none() && plan.needed {
            // It was not needed before.
            *self = Self::install(plan)?;
            return Ok(());
        }
        let quieted: Vec<IpAddr> = std::mem::take(&mut self.quieted).into_iter().collect();
        let known = |one: &&Managed| self.managed.get(&one.ip) == Some(&one.term);
        let changed = plan.managed.iter().any(|one| !known(&one));
        let Some(guard) = &mut self.guard else { return Ok(()) };
        if self.routed != plan.routed {
            // What is no longer in the file is on this host yet.
            let both: Vec<Ipv4Addr> = self.routed.iter().chain(&plan.routed).copied().collect();
            guard.route(&both)?;
        }
        if !quieted.is_empty() {
            guard.quiet(&quieted, false)?;
        }
        if changed {
            guard.manage(&plan.managed)?;
            // Whose they are is known from the next renewals on.
            self.term_ends.clear();
        }
        self.managed.extend(plan.managed.iter().map(|one| (one.ip, one.term)));
        Ok(())
    }

    /// Takes everything out that is not managed any more. What went out of the file has left its
    /// interface; what stays on one may be answered for without a lease from now on.
    pub(super) fn forget(&mut self, plan: &GuardPlan) -> standin_sys::Result<()> {
        let kept: BTreeMap<IpAddr, u32> =
            plan.managed.iter().map(|one| (one.ip, one.term)).collect();
        let gone = self.managed.keys().filter(|ip| !kept.contains_key(ip));
        let gone: Vec<IpAddr> = gone.copied().collect();
        if let Some(guard) = &mut self.guard
            && !gone.is_empty()
        {
            guard.unmanage(&gone)?;
        }
        if let Some(guard) = &mut self.guard
            && self.routed != plan.routed
        {
            guard.route(&plan.routed)?;
            self.routed.clone_from(&plan.routed);
        }
        self.managed = kept;
        Ok(())
    }

    /// Removes the tables, at the end of a run that leaves nothing behind.
    pub(super) fn remove(self) {
        if let Some(guard) = self.guard {
            // What cannot be removed binds nobody: its addresses are gone.
            let _ = guard.remove();
        }
    }

    /// Whether a frame may leave at this moment. One that says to the neighbours where a managed
    /// address is passes no chain of the tables: packet sockets send behind them. So a process that
    /// was stopped after it decided to announce has to look again, as late as it can.
    pub(super) fn may_leave(&self, at: Instant, frame: &[u8]) -> bool {
        let Some(ip) = announced(frame) else { return true };
        let end = match self.managed.get(&ip) {
            None => return true,
            Some(0) => self.ends.get(&ip),
            Some(term) => self.term_ends.get(term),
        };
        end.is_some_and(|end| at < *end)
    }

    fn renew(&mut self, leased: &Leased, until: Instant) -> Result<(), String> {
        let (guard, end) = (self.guard()?, until.as_nanos());
        let mut renew = || -> standin_sys::Result<()> {
            if !leased.terms.is_empty() {
                guard.renew_terms(&leased.terms, end)?;
            }
            if !leased.addresses.is_empty() {
                guard.renew(&leased.addresses, end)?;
            }
            Ok(())
        };
        renew().map_err(|error| error.to_string())?;
        self.term_ends.extend(leased.terms.iter().map(|term| (*term, until)));
        self.ends.extend(leased.addresses.iter().map(|ip| (*ip, until)));
        Ok(())
    }

    fn release(&mut self, leased: &Leased) -> Result<(), String> {
        for term in &leased.terms {
            self.term_ends.remove(term);
        }
        for ip in &leased.addresses {
            self.ends.remove(ip);
        }
        let guard = self.guard()?;
        let mut release = || -> standin_sys::Result<()> {
            if !leased.terms.is_empty() {
                guard.release_terms(&leased.terms)?;
            }
            guard.release(&leased.addresses)
        };
        release().map_err(|error| error.to_string())
    }

    pub(super) fn guard(&mut self) -> Result<&mut Guard, String> {
        self.guard.as_mut().ok_or_else(|| "nftables is missing".to_owned())
    }

    fn quiet(&mut self, addresses: &[IpAddr], quiet: bool) -> Result<(), String> {
        self.guard()?.quiet(addresses, quiet).map_err(|error| error.to_string())?;
        if quiet {
            self.quieted.extend(addresses);
        } else {
            for address in addresses {
                self.quieted.remove(address);
            }
        }
        Ok(())
    }
}

/// The address that a frame says to be at some host.
fn announced(frame: &[u8]) -> Option<IpAddr> {
    if let Ok((_, packet)) = arp::parse(frame) {
        return Some(packet.sender_ip.into());
    }
    match ndp::parse(frame).ok()?.1 {
        Message::Solicitation(ask) => Some(ask.source.into()),
        Message::Advertisement(answer) => Some(answer.target.into()),
    }
}

impl FastLoop<'_> {
    /// Leaves out what must not leave any more.
    pub(super) fn leave_out_stale(&self, frames: &mut Vec<(Frame, Option<PeerId>)>) {
        let leases = self.beats.as_ref().and_then(|beats| beats.leases.as_ref());
        let Some(leases) = leases.filter(|leases| !leases.managed.is_empty()) else { return };
        let at = now();
        frames.retain(|(frame, _)| leases.may_leave(at, frame));
    }

    /// Gathers an address; where others are to be quiet and this one is not, or the other way round,
    /// they go to the kernel first.
    pub(super) fn gather_quiet(&mut self, quieting: &mut Quieting, vip: VipId, quiet: bool) {
        if quieting.quiet != quiet {
            self.quiet_addresses(quieting);
        }
        quieting.quiet = quiet;
        quieting.vips.push(vip);
    }

    /// One transaction for all that were gathered.
    pub(super) fn quiet_addresses(&mut self, quieting: &mut Quieting) {
        let Quieting { quiet, vips } = std::mem::take(quieting);
        if vips.is_empty() {
            return;
        }
        let addresses: Vec<IpAddr> =
            vips.iter().map(|vip| self.installs[vip.index()].address).collect();
        let result = self.leases().and_then(|leases| leases.quiet(&addresses, quiet));
        self.answered = true;
        let at = now();
        for vip in vips {
            let result = result.clone();
            step(&mut self.node, at, Input::Quieted { vip, quiet, result });
        }
    }

    /// Gathers a group; what was gathered for another end goes to the kernel first.
    pub(super) fn gather_lease(
        &mut self,
        renewal: &mut Renewal,
        group: usize,
        vips: Arc<[VipId]>,
        until: Instant,
    ) {
        if renewal.until != Some(until) {
            self.extend_leases(renewal);
        }
        renewal.until = Some(until);
        renewal.groups.push((group, vips));
    }

    /// One transaction for all groups of several addresses that were gathered, and one for all others.
    pub(super) fn extend_leases(&mut self, renewal: &mut Renewal) {
        let Some(until) = renewal.until.take() else { return };
        let groups = std::mem::take(&mut renewal.groups);
        let vips: Vec<&[VipId]> = groups.iter().map(|(_, vips)| &**vips).collect();
        let leased = self.leased(&vips);
        let result = self.leases().and_then(|leases| leases.renew(&leased, until));
        self.answered = true;
        let at = now();
        for (group, _) in groups {
            let result = result.clone();
            step(&mut self.node, at, Input::LeaseExtended { group, until, result });
        }
    }

    pub(super) fn end_lease(&mut self, group: usize, vips: &[VipId]) {
        let leased = self.leased(&[vips]);
        let result = self.leases().and_then(|leases| leases.release(&leased));
        self.answered = true;
        step(&mut self.node, now(), Input::LeaseEnded { group, result });
    }

    /// What these groups are to the tables.
    fn leased(&self, groups: &[&[VipId]]) -> Leased {
        let mut found = Leased::default();
        let tables = self.beats.as_ref().and_then(|beats| beats.leases.as_ref());
        for vips in groups {
            let addresses = vips.iter().map(|vip| self.installs[vip.index()].address);
            let first = addresses.clone().next();
            match tables.zip(first).and_then(|(tables, first)| tables.managed.get(&first)) {
                Some(0) | None => found.addresses.extend(addresses),
                Some(term) => found.terms.push(*term),
            }
        }
        found
    }

    pub(super) fn leases(&mut self) -> Result<&mut Leases, String> {
        let leases = self.beats.as_mut().and_then(|beats| beats.leases.as_mut());
        leases.ok_or_else(|| "nftables is missing".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use standin_core::wire::{ArpPacket, Mac, Operation};

    use super::*;

    fn says(sender: [u8; 4]) -> Frame {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let (sender_ip, target_ip) = (Ipv4Addr::from(sender), Ipv4Addr::from([10, 0, 0, 9]));
        let packet = ArpPacket {
            operation: Operation::Request,
            sender_mac: mac,
            sender_ip,
            target_mac: Mac([0; 6]),
            target_ip,
        };
        packet.encode(mac, Mac([0xff; 6]))
    }

    #[test]
    fn an_announcement_that_comes_too_late_stays_here() {
        let end = Instant::from_nanos(1_000_000_000);
        let mut leases = Leases {
            guard: None,
            managed: [([10, 0, 0, 9].into(), 7), ([10, 0, 0, 8].into(), 0)].into(),
            term_ends: BTreeMap::new(),
            ends: BTreeMap::new(),
            routed: Vec::new(),
            quieted: BTreeSet::new(),
        };
        let before = Instant::from_nanos(999_000_000);
        let passes = |leases: &Leases, last, at| leases.may_leave(at, &says([10, 0, 0, last]));
        assert!(!passes(&leases, 9, before), "no lease was ever there");
        leases.term_ends.insert(7, end);
        assert!(passes(&leases, 9, before) && !passes(&leases, 8, before), "of one there is one");
        leases.ends.insert([10, 0, 0, 8].into(), end);
        for last in [8, 9] {
            assert!(passes(&leases, last, before));
            let late = end + Duration::from_secs(1);
            assert!(!passes(&leases, last, end) && !passes(&leases, last, late));
        }
        // A question without a sender, another's address, and what is no ARP at all.
        assert!(leases.may_leave(end, &says([0, 0, 0, 0])));
        assert!(leases.may_leave(end, &says([10, 0, 0, 1])));
        assert!(leases.may_leave(end, b"narf"));
    }
}
