//! The nftables tables of a host: which of its addresses are answered for only under a lease, and
//! until when each lease runs.
//!
//! Owns the sets `managed`, `held` and the ticket of a renewal, as `sys` makes them in a real kernel.
//! They outlive every process. Never decides anything. Invariant: what is held is held until a
//! moment of the kernel's own clock, whatever any process does.
//!
//! The kernel counts in ticks: a timeout begins at the tick before the request and is rounded down,
//! though never below one tick.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use standin_core::Instant;

use crate::clock::Clock;

/// How long the ticket of a renewal lives: whoever is stopped for longer renews nothing.
pub const TICKET: Duration = Duration::from_millis(10);
/// No shorter timeout is asked for.
pub const LEAST: Duration = Duration::from_millis(10);
/// The kernel's work on so many addresses is given a millisecond more.
const ADDRESSES_PER_MS: u64 = 100;

/// The tables of one host.
#[derive(Clone, Debug)]
pub struct Guard {
    clock: Clock,
    tick_ns: u64,
    managed: BTreeSet<IpAddr>,
    /// Until when in the world's time.
    held: BTreeMap<IpAddr, Instant>,
    ticket: Option<(u64, Instant)>,
    tickets: u64,
}

impl Guard {
    /// No tables. `tick`: how finely the kernel counts.
    pub fn new(clock: Clock, tick: Duration) -> Self {
        Self {
            clock,
            tick_ns: u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX).max(1),
            managed: BTreeSet::new(),
            held: BTreeMap::new(),
            ticket: None,
            tickets: 0,
        }
    }

    /// Tables with these addresses managed; the leases in tables that are there already run on.
    pub fn install(&mut self, managed: BTreeSet<IpAddr>) {
        self.managed = managed;
        self.ticket = None;
    }

    /// No tables any more.
    pub fn remove(&mut self) {
        self.managed.clear();
        self.held.clear();
        self.ticket = None;
    }

    /// Whether an address may be answered for.
    pub fn permits(&self, address: IpAddr, now: Instant) -> bool {
        !self.managed.contains(&address) || self.held.get(&address).is_some_and(|end| now < *end)
    }

    /// Until when an address is held, in the world's time.
    pub fn held_until(&self, address: IpAddr) -> Option<Instant> {
        self.held.get(&address).copied()
    }

    /// A ticket: the right to renew within its life.
    pub fn take_ticket(&mut self, now: Instant) -> u64 {
        self.tickets += 1;
        self.ticket = Some((self.tickets, self.end(now, TICKET)));
        self.tickets
    }

    /// The timeout to ask for when the clock shows `own`, and whoever asks has a fresh ticket;
    /// `None` where the end is too near.
    pub fn timeout(own: Instant, until: Instant, addresses: usize) -> Option<Duration> {
        let left_ms = u64::try_from(until.since(own).as_millis()).unwrap_or(u64::MAX);
        let allowed = Self::allowance(addresses).as_millis();
        let timeout = left_ms.saturating_sub(u64::try_from(allowed).unwrap_or(u64::MAX));
        Some(Duration::from_millis(timeout)).filter(|timeout| *timeout >= LEAST)
    }

    /// How long the kernel may take for so many addresses.
    pub fn allowance(addresses: usize) -> Duration {
        TICKET + Duration::from_millis(addresses as u64 / ADDRESSES_PER_MS)
    }

    /// One transaction: gives the ticket back and renews. Nothing happens where the ticket has run
    /// out.
    pub fn renew(
        &mut self,
        ticket: u64,
        addresses: &[IpAddr],
        timeout: Duration,
        now: Instant,
    ) -> Option<Instant> {
        match self.ticket.take() {
            Some((number, end)) if number == ticket && now < end => {}
            _ => return None,
        }
        let end = self.end(now, timeout);
        self.held.extend(addresses.iter().map(|address| (*address, end)));
        Some(end)
    }

    /// Ends the lease of addresses, whether or not they are held.
    pub fn release(&mut self, addresses: &[IpAddr]) {
        for address in addresses {
            self.held.remove(address);
        }
    }

    fn end(&self, now: Instant, timeout: Duration) -> Instant {
        let ticks = self.clock.show(now).as_nanos() / self.tick_ns;
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let end = ticks.saturating_add((timeout_ns / self.tick_ns).max(1));
        self.clock.when(Instant::from_nanos(end.saturating_mul(self.tick_ns)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * MS)
    }

    #[test]
    fn what_is_managed_is_answered_for_until_its_end_alone() {
        let vip: IpAddr = [10, 0, 0, 100].into();
        let mut guard = Guard::new(Clock::new(0, 0), Duration::from_millis(4));
        assert!(guard.permits(vip, at(1)));
        guard.install([vip].into());
        assert!(!guard.permits(vip, at(1)));
        let ticket = guard.take_ticket(at(1));
        let timeout = Guard::timeout(at(1), at(101), 1).expect("far enough");
        assert_eq!(timeout, Duration::from_millis(90));
        assert_eq!(guard.renew(ticket, &[vip], timeout, at(5)), Some(at(92)));
        assert!(guard.permits(vip, at(91)) && !guard.permits(vip, at(92)));
        assert_eq!(guard.renew(ticket, &[vip], timeout, at(5)), None, "a ticket serves once");
    }

    #[test]
    fn an_old_ticket_renews_nothing() {
        let vip: IpAddr = [10, 0, 0, 100].into();
        for (rate, tick) in [(0, 1), (10_000, 4), (-10_000, 10)] {
            let mut guard = Guard::new(Clock::new(77, rate), Duration::from_millis(tick));
            guard.install([vip].into());
            let ticket = guard.take_ticket(at(0));
            assert!(guard.renew(ticket, &[vip], LEAST, at(11)).is_none());
            assert!(!guard.permits(vip, at(11)));
        }
    }

    #[test]
    fn too_near_an_end_is_no_lease() {
        assert_eq!(Guard::timeout(at(100), at(119), 1), None);
        assert_eq!(Guard::timeout(at(100), at(90), 1), None);
        assert_eq!(Guard::timeout(at(100), at(120), 1), Some(LEAST));
    }
}
