//! The kernel's half of a lease: tables that silence a VIP the moment its lease ends.
//!
//! Owns the tables `arp NAME`, `ip NAME` and `ip6 NAME`. Each has the sets `managed` (VIPs that
//! may be answered for only under a lease), `held` (those under a lease, each with a timeout) and
//! `quiet` (those no neighbour shall learn from us), and rules that drop
//!
//! | where | what |
//! |---|---|
//! | arp output | a sender address that is managed and not held, or quiet |
//! | ip, ip6 input | a destination that is managed and not held |
//! | ip, ip6 prerouting | the same, where it is an address of this host: before DNAT sees it |
//! | ip, ip6 output | a source that is managed and not held |
//! | ip6 output | a neighbour advertisement whose target is managed and not held, or quiet |
//! | ip6 output | a neighbour solicitation from a quiet source: it would teach our MAC address |
//!
//! For addresses that are held as routes there are two sets and some rules more: see
//! [`Guard::sign_life`].
//!
//! VIPs that share a lease have a term: `term-of` maps each managed VIP to the number of its term,
//! and a VIP is also held while its term is in the set `terms`. So a renewal is one element
//! however many VIPs a group has.
//!
//! The tables outlive the process, on purpose: it is when the daemon is dead that they are
//! needed. `nft delete table ip NAME`, or [`Guard::remove_named`], takes them away.
//!
//! Never decides who may hold, and keeps no list of VIPs; the kernel does.
//!
//! # Invariant: never held longer than until the deadline
//!
//! The kernel counts a timeout from when it handles the request, and a process can be stopped for
//! any time between computing the timeout and sending it. So a renewal takes a [`Ticket`] first:
//! an element of the set `ticket` that lives 10 ms. Then it reads the clock, computes the timeout
//! as what is left until the deadline less those 10 ms, and sends a transaction that deletes the
//! ticket and renews. If the process was stopped for longer than the ticket lives, that fails as a
//! whole; however late it is sent, an old renewal never takes effect. When the transaction is done
//! the clock is read again: had the kernel itself taken longer than the 10 ms (and 1 ms more for
//! each 100 VIPs), it is undone or made anew. A lease is thus cut by that and at most one tick
//! (`CONFIG_HZ`, 1 to 10 ms), always to the safe side: the kernel rounds timeouts of a tick and
//! more down.
//!
//! The 10 ms are more than a renewal takes, which is 0.1 ms, and more than the ticket needs: one that
//! lives for two ticks would be enough to let a renewal be late by one tick at most. They stay,
//! since the tick of a virtual machine may itself be late by some milliseconds, and a timeout with it.
//!
//! What it rests on: the kernel's tick goes on, as fast as the clock; and the process is not both
//! held up inside that system call and then kept from reading the clock. The tick stands still
//! while the machine is suspended, as all of the machine does: after it resumes a lease that
//! should have ended lives on for what was left of it, until the daemon is back to release it.
//!
//! # What it does not see
//!
//! Frames that packet sockets send (our own announcements, `arping`) pass no chain: who announces
//! must look at the lease itself. And where [`Support::routing_lookup`] is missing, packets whose
//! destination a rule rewrites before routing (DNAT: a container engine's published ports) no
//! longer have the VIP when they reach the input hook.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::alive;
use super::managed::{self, Leased, Managed, ips_of};
use super::ranges::{Range, ranges_of};
use super::scheme::{self, Extent};
use super::set::Key;
use super::socket::NetfilterSocket;
use super::transaction::{Family, Table, Transaction, is_plain_name};
use crate::clock::boottime_ns;
use crate::error::{Error, Result};

/// How long a renewal may take from reading the clock to the kernel's handling of it. Less than
/// one tick at the slowest usual `CONFIG_HZ` (100) would never succeed.
const TICKET_MS: u64 = 10;
/// What the kernel's work on many VIPs adds to that: renewing 1000 took 1 to 9 ms, by the older of
/// the two ways and on a slow machine.
const VIPS_PER_MS: u64 = 100;
/// More than so many are renewed one part after another: writing down a transaction for 10 000
/// takes longer than a ticket lives.
const VIPS_PER_TICKET: usize = 1000;
/// A ticket may be stale by the time it is used where the machine is busy, or because less than a
/// tick was left of it.
const TICKET_ATTEMPTS: u32 = 4;
/// For asking the kernel whether it would accept our tables.
const TRIAL_NAME: &str = "standin-trial";
/// `NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST` (Linux 6.9): nobody else may change the tables while
/// this socket is open, so that `nft flush ruleset` leaves them alone; they stay when it closes.
const OWNED: u32 = 2 | 4;
/// One tick at the slowest usual `CONFIG_HZ`: the kernel rounds what is less up to a tick.
const TIMEOUT_MIN_MS: u64 = 10;
const NS_PER_MS: u64 = 1_000_000;

/// What the kernel can do for a guard.
#[derive(Debug)]
pub struct Support {
    /// The families in which it accepts all of our tables' parts.
    pub(super) families: Vec<Family>,
    /// Why it does not accept the others.
    missing: Vec<Error>,
    /// Whether tables can be kept from others' hands (Linux 6.9).
    pub ownership: bool,
    /// Whether rules can ask if an address is this host's (`CONFIG_NFT_FIB`).
    pub routing_lookup: bool,
    /// Whether it accepts the parts for what is held as routes.
    pub(super) ranges: bool,
}

impl Support {
    /// Asks the kernel of the calling thread's network namespace. Changes nothing. An error where
    /// nothing can be asked: no netfilter at all, or no rights.
    pub fn probe() -> Result<Self> {
        Self::ask(&mut NetfilterSocket::open()?)
    }

    fn ask(socket: &mut NetfilterSocket) -> Result<Self> {
        let (mut families, mut missing) = (vec![], vec![]);
        let (mut routing_lookup, mut ranges) = (true, true);
        for family in scheme::FAMILIES {
            let mut tried = |lookup, routed| {
                let mut trial = socket.transaction();
                let extent = Extent { lookup, routed };
                scheme::create(&mut trial, Table { family, name: TRIAL_NAME }, 0, extent);
                socket.check(trial)
            };
            match tried(false, false) {
                Ok(()) => {
                    routing_lookup &= tried(true, false).is_ok();
                    ranges &= tried(false, true).is_ok();
                    families.push(family);
                }
                Err(error) if error.is_permission() => return Err(error),
                Err(error) => missing.push(error),
            }
        }
        let mut ownership = !families.is_empty();
        for &family in &families {
            let mut trial = socket.transaction();
            trial.create_table(Table { family, name: TRIAL_NAME }, OWNED);
            ownership &= socket.check(trial).is_ok();
        }
        Ok(Self { families, missing, ownership, routing_lookup, ranges })
    }

    /// Whether VIPs of this address's version can be guarded.
    pub fn covers(&self, ip: IpAddr) -> bool {
        scheme::families_of(ip).iter().all(|family| self.families.contains(family))
    }

    /// What the kernel refuses, one error for each family that cannot be used.
    pub fn missing(&self) -> &[Error] {
        &self.missing
    }
}

/// What becomes of the tables that a process before us left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// They go, with every lease in them.
    Replace,
    /// Leases run on until their own end: for a restart that moves nothing.
    KeepHeld,
}

/// A VIP under a lease, as the kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The VIP.
    pub ip: IpAddr,
    /// What is left of its timeout.
    pub remaining: Duration,
}

/// The right to renew within the next 10 ms; see the invariant above.
#[derive(Debug)]
pub struct Ticket {
    number: u32,
    /// When it was certainly taken already, in boot time.
    taken_ns: u64,
}

/// How a renewal went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    InTime,
    /// The kernel did it, but so late that the timeouts may end after the deadline.
    Late,
    /// The ticket had timed out; nothing changed.
    Refused,
}

/// The tables of one instance, and the socket that owns them.
///
/// Every call is one or two transactions and returns with their outcome; none waits for anything
/// but the kernel's work, so the fast loop may call them. Each is made for all of its VIPs or for
/// none. Dropping a guard leaves the tables as they are, as a crash does.
#[derive(Debug)]
pub struct Guard {
    pub(super) socket: NetfilterSocket,
    pub(super) name: String,
    pub(super) families: Vec<Family>,
    /// `NFT_TABLE_F_*` of the tables.
    pub(super) flags: u32,
    pub(super) extent: Extent,
    pub(super) renews_in_place: bool,
    ticket: u32,
}

impl Guard {
    /// Creates the tables `name` in the network namespace of the calling thread, with these VIPs
    /// managed and none quiet. Without [`Leftover::KeepHeld`] none is held: from now on no managed
    /// VIP is answered for.
    ///
    /// `EAFNOSUPPORT` where the kernel cannot guard one of the VIPs, `EPERM` without
    /// `CAP_NET_ADMIN` and while another process owns tables of that name, `EINVAL` for a name
    /// that `nft` would have to quote.
    pub fn install<M: Copy + Into<Managed>>(
        name: &str,
        managed: &[M],
        leftover: Leftover,
    ) -> Result<Self> {
        Self::install_routed(name, managed, &[], leftover)
    }

    /// The same, with addresses that are held as routes: at no moment are they answered for without
    /// a sign of life.
    pub fn install_routed<M: Copy + Into<Managed>>(
        name: &str,
        managed: &[M],
        routed: &[Ipv4Addr],
        leftover: Leftover,
    ) -> Result<Self> {
        check_name(name)?;
        let managed: Vec<Managed> = managed.iter().map(|one| (*one).into()).collect();
        let mut socket = NetfilterSocket::open()?;
        let support = Support::ask(&mut socket)?;
        let routed = ranges_of(routed.iter().copied());
        let extent = Extent { lookup: support.routing_lookup, routed: !routed.is_empty() };
        let mut guard = Self {
            socket,
            name: name.to_owned(),
            families: support.families,
            flags: if support.ownership { OWNED } else { 0 },
            extent,
            renews_in_place: false,
            ticket: 0,
        };
        guard.check_covered(&ips_of(&managed))?;
        guard.check_routes(&routed)?;
        let kept = leftover == Leftover::KeepHeld && guard.create(&managed, &routed, true).is_ok();
        if !kept {
            guard.create(&managed, &routed, false)?;
        }
        guard.renews_in_place = guard.ask_how_to_renew()?;
        Ok(guard)
    }

    /// Creates the tables anew, or makes them what they should be around the leases in them: in
    /// one transaction either way, so that there is no moment without rules.
    fn create(&mut self, managed: &[Managed], routed: &[Range], keep: bool) -> Result<()> {
        let mut transaction = self.socket.transaction();
        for &family in &self.families {
            let table = Table { family, name: &self.name };
            if !keep {
                transaction.create_table(table, 0).delete_table(table);
            }
            scheme::create(&mut transaction, table, self.flags, self.extent);
            alive::fill(&mut transaction, table, routed);
            for set in [scheme::MANAGED, scheme::QUIET] {
                transaction.clear_set(table, set);
            }
            managed::fill(&mut transaction, table, managed);
        }
        self.socket.commit(transaction)
    }

    /// Whether adding an element anew renews its timeout, as it does since Linux 6.12 (and in
    /// kernels that took the change over, so the version does not tell).
    fn ask_how_to_renew(&mut self) -> Result<bool> {
        const SHORT_MS: u64 = 60_000;
        let Some(family) = self.families.first().copied() else { return Ok(false) };
        for timeout_ms in [SHORT_MS, 2 * SHORT_MS] {
            let mut transaction = self.socket.transaction();
            let table = Table { family, name: &self.name };
            let number = [Key::Number(0)];
            transaction.add_elements(table, scheme::TICKET, &number, Some(timeout_ms));
            self.socket.commit(transaction)?;
        }
        let table = Table { family, name: &self.name };
        let found = self.socket.elements(table, scheme::TICKET)?;
        let renewed = found.iter().any(|e| e.expires_in_ms.is_some_and(|left| left > SHORT_MS));
        let mut transaction = self.socket.transaction();
        transaction.clear_set(table, scheme::TICKET);
        self.socket.commit(transaction)?;
        Ok(renewed)
    }

    /// Whether a renewal changes the timeout of an element (Linux 6.12), or takes the element out
    /// and puts it in again within one transaction. Before Linux 6.17 a packet that is looked up
    /// at the very moment of the latter may be dropped.
    pub fn renews_in_place(&self) -> bool {
        self.renews_in_place
    }

    /// Renews the old way on a kernel that knows the new one, so that both can be tested.
    pub fn renew_by_replacement(&mut self) {
        self.renews_in_place = false;
    }

    /// Lets these VIPs be answered for until `deadline_ns` of boot time
    /// ([`clock`](crate::clock)), less what a renewal may take and a tick (see the invariant). Others that are held stay so
    /// until their own time.
    ///
    /// `ETIMEDOUT` where the deadline is too near, `ENOENT` where somebody removed the tables:
    /// nothing was changed. `ESTALE` where the machine was too busy to do it in time, again and
    /// again: the VIPs are held no longer than before, perhaps not at all. Of more than 1000 VIPs
    /// some may have been renewed all the same, until the deadline and no longer.
    pub fn renew(&mut self, vips: &[IpAddr], deadline_ns: u64) -> Result<()> {
        self.check_covered(vips)?;
        for some in vips.chunks(VIPS_PER_TICKET) {
            self.renew_leased(Leased::Vips(some), Leased::Vips(vips), deadline_ns)?;
        }
        Ok(())
    }

    /// As [`renew`](Self::renew), for all VIPs of these terms: one element for each term, however
    /// many VIPs it has.
    pub fn renew_terms(&mut self, terms: &[u32], deadline_ns: u64) -> Result<()> {
        for some in terms.chunks(VIPS_PER_TICKET) {
            self.renew_leased(Leased::Terms(some), Leased::Terms(terms), deadline_ns)?;
        }
        Ok(())
    }

    /// What was renewed of `all` before `some` is held until the deadline and no longer.
    fn renew_leased(&mut self, some: Leased<'_>, all: Leased<'_>, deadline_ns: u64) -> Result<()> {
        let mut too_long = false;
        for _ in 0..TICKET_ATTEMPTS {
            let ticket = self.ticket()?;
            match self.attempt(&ticket, some, deadline_ns)? {
                Attempt::InTime => return Ok(()),
                Attempt::Late => too_long = true,
                Attempt::Refused => {}
            }
        }
        self.give_up(all, too_long)
    }

    /// Takes a ticket. What is decided between taking and using it is decided in time.
    pub fn ticket(&mut self) -> Result<Ticket> {
        self.ticket = self.ticket.wrapping_add(1);
        let number = self.ticket;
        let mut transaction = self.socket.transaction();
        if let Some(&family) = self.families.first() {
            let table = Table { family, name: &self.name };
            // The old ones would only wait for the kernel's collector of what timed out.
            transaction.clear_set(table, scheme::TICKET);
            let number = [Key::Number(number)];
            transaction.add_elements(table, scheme::TICKET, &number, Some(TICKET_MS));
        }
        self.socket.commit(transaction)?;
        Ok(Ticket { number, taken_ns: boottime_ns() })
    }

    /// As [`renew`](Self::renew), once, with a ticket taken before.
    pub fn renew_with(&mut self, ticket: &Ticket, vips: &[IpAddr], deadline_ns: u64) -> Result<()> {
        self.check_covered(vips)?;
        let leased = Leased::Vips(vips);
        match self.attempt(ticket, leased, deadline_ns)? {
            Attempt::InTime => Ok(()),
            Attempt::Late => self.give_up(leased, true),
            Attempt::Refused => self.give_up(leased, false),
        }
    }

    fn attempt(
        &mut self,
        ticket: &Ticket,
        leased: Leased<'_>,
        deadline_ns: u64,
    ) -> Result<Attempt> {
        let allowance_ms = TICKET_MS + leased.count() as u64 / VIPS_PER_MS;
        let left_ms = deadline_ns.saturating_sub(ticket.taken_ns) / NS_PER_MS;
        let timeout_ms = left_ms.saturating_sub(allowance_ms);
        if timeout_ms < TIMEOUT_MIN_MS {
            return Err(Error::from_errno(self.holding(leased), libc::ETIMEDOUT)
                .with_explanation("the lease ends too soon to be renewed"));
        }
        let mut transaction = self.socket.transaction();
        if let Some(&family) = self.families.first() {
            let table = Table { family, name: &self.name };
            transaction.delete_elements(table, scheme::TICKET, &[Key::Number(ticket.number)]);
        }
        let in_place = self.renews_in_place;
        let set = leased.set();
        self.each_family(&mut transaction, leased, |transaction, table, keys| {
            transaction.add_elements(table, set, keys, Some(timeout_ms));
            if !in_place {
                transaction.delete_elements(table, set, keys);
                transaction.add_elements(table, set, keys, Some(timeout_ms));
            }
        });
        match self.socket.commit(transaction) {
            Ok(()) => {}
            // The ticket timed out; or a lease did, between two changes of its replacement on an
            // old kernel.
            Err(error) if error.errno() == Some(libc::ENOENT) && !self.is_gone()? => {
                return Ok(Attempt::Refused);
            }
            Err(error) => return Err(error),
        }
        let took_ns = boottime_ns().saturating_sub(ticket.taken_ns);
        Ok(if took_ns <= allowance_ms * NS_PER_MS { Attempt::InTime } else { Attempt::Late })
    }

    /// Whether somebody removed a table of ours.
    fn is_gone(&mut self) -> Result<bool> {
        let found = self.socket.tables()?;
        let there =
            |family| found.iter().any(|(other, name)| (*other, name) == (family, &self.name));
        Ok(!self.families.iter().all(|&family| there(family)))
    }

    fn give_up(&mut self, leased: Leased<'_>, too_long: bool) -> Result<()> {
        if too_long {
            self.take_out(leased.set(), leased, Some(TIMEOUT_MIN_MS))?;
        }
        Err(Error::from_errno(self.holding(leased), libc::ESTALE)
            .with_explanation("more than 10 ms passed before the kernel had done it"))
    }

    fn holding(&self, leased: Leased<'_>) -> String {
        match leased {
            Leased::Vips([ip]) => format!("hold {ip} in tables {}", self.name),
            Leased::Vips(vips) => format!("hold {} VIPs in tables {}", vips.len(), self.name),
            Leased::Terms(terms) => format!("hold {} leases in tables {}", terms.len(), self.name),
        }
    }

    /// Ends the lease of these VIPs at once, whether or not they are held.
    pub fn release(&mut self, vips: &[IpAddr]) -> Result<()> {
        self.check_covered(vips)?;
        self.take_out(scheme::HELD, Leased::Vips(vips), Some(TIMEOUT_MIN_MS))
    }

    /// Ends these terms at once, whether or not they run.
    pub fn release_terms(&mut self, terms: &[u32]) -> Result<()> {
        self.take_out(scheme::TERMS, Leased::Terms(terms), Some(TIMEOUT_MIN_MS))
    }

    /// While a VIP is quiet the kernel answers neither ARP nor NDP for it, nor asks in its name;
    /// traffic that still comes is served.
    pub fn quiet(&mut self, vips: &[IpAddr], quiet: bool) -> Result<()> {
        if quiet {
            self.put_in(scheme::QUIET, vips)
        } else {
            self.check_covered(vips)?;
            self.take_out(scheme::QUIET, Leased::Vips(vips), None)
        }
    }

    fn put_in(&mut self, set: &str, vips: &[IpAddr]) -> Result<()> {
        self.check_covered(vips)?;
        let mut transaction = self.socket.transaction();
        self.each_family(&mut transaction, Leased::Vips(vips), |transaction, table, keys| {
            transaction.add_elements(table, set, keys, None);
        });
        self.socket.commit(transaction)
    }

    /// Adding before deleting makes it no error that one is not there.
    pub(super) fn take_out(
        &mut self,
        set: &str,
        leased: Leased<'_>,
        timeout_ms: Option<u64>,
    ) -> Result<()> {
        let mut transaction = self.socket.transaction();
        self.each_family(&mut transaction, leased, |transaction, table, keys| {
            transaction.add_elements(table, set, keys, timeout_ms);
            transaction.delete_elements(table, set, keys);
        });
        self.socket.commit(transaction)
    }

    fn each_family(
        &self,
        transaction: &mut Transaction,
        leased: Leased<'_>,
        mut change: impl FnMut(&mut Transaction, Table<'_>, &[Key]),
    ) {
        for &family in &self.families {
            let keys = leased.keys(family);
            if !keys.is_empty() {
                change(transaction, Table { family, name: &self.name }, &keys);
            }
        }
    }

    pub(super) fn check_covered(&self, vips: &[IpAddr]) -> Result<()> {
        let uncovered = vips.iter().find(|&&ip| {
            !scheme::families_of(ip).iter().all(|family| self.families.contains(family))
        });
        let Some(ip) = uncovered else { return Ok(()) };
        let error = Error::from_errno(format!("guard {ip}"), libc::EAFNOSUPPORT);
        Err(error.with_explanation("this kernel's nf_tables lacks a part for it"))
    }

    /// Which VIPs are held at the moment, and for how long yet, as the kernel says.
    pub fn held(&mut self) -> Result<Vec<Held>> {
        let mut held = vec![];
        for &family in self.families.iter().filter(|&&family| family != Family::Arp) {
            let table = Table { family, name: &self.name };
            for element in self.socket.elements(table, scheme::HELD)? {
                if let (Key::Ip(ip), Some(left)) = (element.key, element.expires_in_ms) {
                    held.push(Held { ip, remaining: Duration::from_millis(left) });
                }
            }
        }
        held.sort_unstable_by_key(|held| held.ip);
        // Of a set that the kernel makes larger meanwhile, it shows some elements twice.
        held.dedup_by_key(|held| held.ip);
        Ok(held)
    }

    /// Removes the tables: nothing keeps the kernel from answering any more, so remove the VIPs
    /// from the interfaces first.
    pub fn remove(mut self) -> Result<()> {
        remove(&mut self.socket, &self.name)
    }

    /// Removes what a process that is no more left behind; whether there was anything. `EPERM`
    /// while it still lives and owns the tables.
    pub fn remove_named(name: &str) -> Result<bool> {
        check_name(name)?;
        let mut socket = NetfilterSocket::open()?;
        let there = socket.tables()?.iter().any(|(_, found)| found == name);
        if there {
            remove(&mut socket, name)?;
        }
        Ok(there)
    }
}

/// Removes the tables of all families, those that are there.
fn remove(socket: &mut NetfilterSocket, name: &str) -> Result<()> {
    let found = socket.tables()?;
    let mut transaction = socket.transaction();
    for (family, _) in found.iter().filter(|(_, found)| found == name) {
        let table = Table { family: *family, name };
        // Whoever else removes it in this moment is not in our way.
        transaction.create_table(table, 0).delete_table(table);
    }
    socket.commit(transaction)
}

fn check_name(name: &str) -> Result<()> {
    if is_plain_name(name) {
        return Ok(());
    }
    let error = Error::from_errno(format!("name tables {name:?}"), libc::EINVAL);
    Err(error.with_explanation(
        "begin with a letter; letters, digits, '-', '_' and '.', at most 63 bytes",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_need_quotes_are_refused_before_the_kernel_is_asked() {
        let error = Guard::install::<IpAddr>("a b", &[], Leftover::Replace).unwrap_err();
        assert_eq!(
            error.to_string(),
            "name tables \"a b\": Invalid argument (begin with a letter; letters, digits, '-', \
             '_' and '.', at most 63 bytes)"
        );
        assert_eq!(Guard::remove_named("").unwrap_err().errno(), Some(libc::EINVAL));
    }

    #[test]
    fn an_address_has_its_families() {
        let (v4, v6): (IpAddr, IpAddr) =
            ([10, 0, 0, 1].into(), [0xfd00, 0, 0, 0, 0, 0, 0, 1].into());
        assert_eq!(Leased::Vips(&[v4, v6]).keys(Family::Arp), [Key::Ip(v4)]);
        assert_eq!(Leased::Vips(&[v4, v6]).keys(Family::Ip), [Key::Ip(v4)]);
        assert_eq!(Leased::Vips(&[v4, v6]).keys(Family::Ip6), [Key::Ip(v6)]);
    }
}
