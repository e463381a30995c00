//! Addresses that are held as local routes: from the core's word for each to as few messages as
//! there may be, and back.
//!
//! Owns which blocks this process has in the kernel's table, and the sign of life without which the
//! kernel answers for none of them. Decides nothing. Invariant: an addition is acknowledged only
//! after its block is in the table and the sign was given for its lifetime; a removal only after no
//! block has its address.
//!
//! A route that is there needs no renewal, the sign does: the core asks for it as such, and each addition
//! needs it as well, so it is given once for all that is asked for in a turn.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use standin_core::config::VipId;
use standin_core::{Input, Instant, step};
use standin_sys::netlink::{LocalRoute, RouteQueue, RouteSocket};
use standin_sys::netns::LOOPBACK_INDEX;

use super::{FastLoop, now};
use crate::host::{ADDRESS_PROTO, Install, Prepared};

/// What the kernel says of a route that is not there.
const NOT_THERE: i32 = 3;
/// Of routes that this process removed the kernel tells as of any other; so many are waited for.
const EXPECTED_MOST: usize = 65_536;

/// Of so many addresses the kernel's word is handed in before what follows from it is carried out: the
/// first is announced while the last is still to come, and the memory for it is that of a few.
const ACKNOWLEDGED_AT_ONCE: usize = 256;

/// What is asked of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Add(Duration),
    Remove,
}

/// A block of addresses: the first, and how many bits they have in common.
type Block = (u32, u8);

/// The routes.
#[derive(Debug)]
pub(super) struct Routes {
    queue: RouteQueue,
    metric: u32,
    /// The length of each block's prefix, by its first address.
    blocks: BTreeMap<u32, u8>,
    /// Asked for in this turn.
    pending: Vec<(VipId, u32, Change)>,
    /// The sign of life was asked for in this turn, for so long.
    sign: Option<Duration>,
    /// Removed by this process, not yet told of by the kernel.
    expected: BTreeSet<Block>,
    /// Which VIP an address is, in the order of the addresses.
    vips: Vec<(u32, VipId)>,
}

/// Removes what an earlier run left as routes and this one does not adopt, before the tables that
/// keep them silent are replaced.
///
/// # Errors
/// The kernel refuses.
pub fn sweep_routes(prepared: &Prepared) -> standin_sys::Result<()> {
    Routes::of(prepared).map(drop)
}

impl Routes {
    /// Those of a run.
    pub(super) fn of(prepared: &Prepared) -> standin_sys::Result<Option<Self>> {
        let Some(metric) = prepared.route_metric else { return Ok(None) };
        let vips = prepared.config.vips();
        Self::open(metric, &prepared.installs, |vip| vips[vip.index()].adopted)
    }

    /// Finds what an earlier run left, and removes of it what is not adopted; none where nothing
    /// is or was held as a route.
    fn open(
        metric: u32,
        installs: &[Install],
        adopted: impl Fn(VipId) -> bool,
    ) -> standin_sys::Result<Option<Self>> {
        let routed = (0..).map(VipId).zip(installs).filter(|(_, install)| install.route);
        let mut vips: Vec<(u32, VipId)> =
            routed.filter_map(|(vip, install)| Some((number(install.address)?, vip))).collect();
        vips.sort_unstable();
        vips.shrink_to_fit();
        let mut found = RouteSocket::open()?.local_routes(ADDRESS_PROTO)?;
        found.retain(|route| route.metric == metric);
        if vips.is_empty() && found.is_empty() {
            return Ok(None);
        }
        let blocks = found.iter().map(|route| (u32::from(route.address), route.prefix)).collect();
        let mut this = Self {
            queue: RouteQueue::open()?,
            metric,
            blocks,
            pending: Vec::new(),
            sign: None,
            expected: BTreeSet::new(),
            vips,
        };
        let kept: BTreeSet<u32> =
            this.vips.iter().filter(|(_, vip)| adopted(*vip)).map(|(ip, _)| *ip).collect();
        let all: Vec<u32> =
            this.blocks.iter().flat_map(|(first, prefix)| *first..=last(*first, *prefix)).collect();
        let strange: Vec<u32> = all.into_iter().filter(|ip| !kept.contains(ip)).collect();
        this.remove(&strange);
        Ok(Some(this))
    }

    /// Adds what is missing of some addresses; the kernel's word for each that it refused.
    fn add(&mut self, addresses: &[u32]) -> BTreeMap<u32, String> {
        let missing = addresses.iter().copied().filter(|ip| self.block_of(*ip).is_none());
        let blocks = blocks_of(missing.collect());
        let refused = self.exchange(true, &blocks);
        let mut words = BTreeMap::new();
        for (first, prefix) in blocks {
            match refused.get(&(first, prefix)) {
                None => {
                    self.blocks.insert(first, prefix);
                }
                Some((_, why)) => {
                    words.extend((first..=last(first, prefix)).map(|ip| (ip, why.clone())));
                }
            }
        }
        words
    }

    /// Removes addresses; what else is in their blocks stays, and is there throughout.
    fn remove(&mut self, addresses: &[u32]) -> BTreeMap<u32, String> {
        let mut leaving: BTreeMap<Block, BTreeSet<u32>> = BTreeMap::new();
        for ip in addresses {
            if let Some(block) = self.block_of(*ip) {
                leaving.entry(block).or_default().insert(*ip);
            }
        }
        let stays = leaving.iter().flat_map(|((first, prefix), gone)| {
            (*first..=last(*first, *prefix)).filter(|ip| !gone.contains(ip))
        });
        let stays = blocks_of(stays.collect());
        let gone: Vec<Block> = leaving.keys().copied().collect();
        let unplaced = self.exchange(true, &stays);
        if let Some((_, why)) = unplaced.values().next() {
            return addresses.iter().map(|ip| (*ip, why.clone())).collect();
        }
        let refused = self.exchange(false, &gone);
        let mut words = BTreeMap::new();
        for (block, addresses) in leaving {
            match refused.get(&block) {
                Some((errno, why)) if *errno != Some(NOT_THERE) => {
                    words.extend(addresses.iter().map(|ip| (*ip, why.clone())));
                }
                Some(_) | None => {
                    self.blocks.remove(&block.0);
                    if self.expected.len() < EXPECTED_MOST && !refused.contains_key(&block) {
                        self.expected.insert(block);
                    }
                }
            }
        }
        // A part may begin where the whole began.
        self.blocks.extend(stays);
        words
    }

    /// Sends one request for each block; the kernel answers within the call. Gives what it refused.
    fn exchange(&mut self, add: bool, blocks: &[Block]) -> BTreeMap<Block, (Option<i32>, String)> {
        let mut asked = BTreeMap::new();
        for block in blocks {
            let route = self.route(*block);
            let sequence = if add {
                self.queue.push_route(route)
            } else {
                self.queue.push_route_removal(route)
            };
            asked.insert(sequence, *block);
        }
        let mut refused = BTreeMap::new();
        let mut trouble = self.queue.flush().err();
        while trouble.is_none() && !asked.is_empty() {
            match self.queue.poll() {
                Ok(Some(answer)) => {
                    let block = asked.remove(&answer.sequence);
                    if let (Some(block), Err(error)) = (block, answer.outcome) {
                        refused.insert(block, (error.errno(), error.to_string()));
                    }
                }
                Ok(None) => break,
                Err(error) => trouble = Some(error),
            }
        }
        // What was not answered for may be there or not: the core asks again.
        let why = trouble.map_or("the kernel did not answer".to_owned(), |why| why.to_string());
        refused.extend(asked.into_values().map(|block| (block, (None, why.clone()))));
        refused
    }

    fn route(&self, (first, prefix): Block) -> LocalRoute {
        LocalRoute {
            address: Ipv4Addr::from(first),
            prefix,
            ifindex: LOOPBACK_INDEX,
            protocol: ADDRESS_PROTO,
            metric: self.metric,
        }
    }

    fn block_of(&self, ip: u32) -> Option<Block> {
        let (first, prefix) = self.blocks.range(..=ip).next_back()?;
        (ip <= last(*first, *prefix)).then_some((*first, *prefix))
    }

    /// The VIPs of a block.
    fn vips_of(&self, (first, prefix): Block) -> Vec<VipId> {
        let from = self.vips.partition_point(|(ip, _)| *ip < first);
        let inside = self.vips[from..].iter().take_while(|(ip, _)| *ip <= last(first, prefix));
        inside.map(|(_, vip)| *vip).collect()
    }

    /// A route has gone: the VIPs that went with it by another's hand.
    fn lost(&mut self, route: LocalRoute) -> Vec<VipId> {
        let block = (u32::from(route.address), route.prefix);
        let ours = (route.protocol, route.metric) == (ADDRESS_PROTO, self.metric);
        if !ours || self.expected.remove(&block) || self.blocks.get(&block.0) != Some(&block.1) {
            return Vec::new();
        }
        self.blocks.remove(&block.0);
        self.vips_of(block)
    }

    /// Looks at the table again: the VIPs that are gone from it.
    fn find_lost(&mut self) -> standin_sys::Result<Vec<VipId>> {
        self.expected.clear();
        let found = RouteSocket::open()?.local_routes(ADDRESS_PROTO)?;
        let found: BTreeSet<Block> = found
            .iter()
            .filter(|route| route.metric == self.metric)
            .map(|route| (u32::from(route.address), route.prefix))
            .collect();
        let blocks = self.blocks.iter().map(|(first, prefix)| (*first, *prefix));
        let lost: Vec<Block> = blocks.filter(|block| !found.contains(block)).collect();
        for (first, _) in &lost {
            self.blocks.remove(first);
        }
        Ok(lost.into_iter().flat_map(|block| self.vips_of(block)).collect())
    }
}

impl FastLoop<'_> {
    /// Gathers an address that is to be held as a route, or renewed.
    pub(super) fn add_route(&mut self, vip: VipId, lifetime: Duration) {
        self.gather_route(vip, Change::Add(lifetime));
    }

    /// Gathers a sign of life.
    pub(super) fn gather_sign(&mut self, lifetime: Duration) {
        if let Some(routes) = &mut self.routes {
            routes.sign = Some(lifetime);
        }
    }

    /// Gathers an address whose route is to go.
    pub(super) fn remove_route(&mut self, vip: VipId) {
        self.gather_route(vip, Change::Remove);
    }

    fn gather_route(&mut self, vip: VipId, change: Change) {
        let Some(ip) = number(self.installs[vip.index()].address) else { return };
        if let Some(routes) = &mut self.routes {
            routes.pending.push((vip, ip, change));
        }
    }

    /// Carries out what was gathered, in its order, and hands in what came of it; whether there was
    /// anything.
    pub(super) fn exchange_routes(&mut self) -> bool {
        let Some(routes) = &mut self.routes else { return false };
        let pending = std::mem::take(&mut routes.pending);
        let sign = routes.sign.take();
        if pending.is_empty() && sign.is_none() {
            return false;
        }
        if pending.len() > ACKNOWLEDGED_AT_ONCE {
            self.hold_back();
        }
        let adds = |change: Change| matches!(change, Change::Add(_));
        for run in pending.chunk_by(|one, other| adds(one.2) == adds(other.2)) {
            let addresses: Vec<u32> = run.iter().map(|(_, ip, _)| *ip).collect();
            let is_addition = run.first().is_some_and(|(_, _, change)| adds(*change));
            let refused = if is_addition {
                self.add_routes(run, &addresses)
            } else {
                self.routes.as_mut().map(|routes| routes.remove(&addresses)).unwrap_or_default()
            };
            for some in run.chunks(ACKNOWLEDGED_AT_ONCE) {
                let at = now();
                for (vip, ip, _) in some {
                    let result = refused.get(ip).map_or(Ok(()), |why| Err(why.clone()));
                    let vip = *vip;
                    let input = if is_addition {
                        Input::AddressAdded { vip, result }
                    } else {
                        Input::AddressRemoved { vip, result }
                    };
                    step(&mut self.node, at, input);
                }
                // The kernel has all of them: what follows for some need not wait for the others.
                self.drain_actions();
            }
        }
        self.tell_held_back();
        if let Some(lifetime) = sign {
            // Behind what is removed; and what was added to stay for longer stays for longer.
            let result = self.sign_life(longest(&pending).max(lifetime));
            step(&mut self.node, now(), Input::LifeSigned { result });
        }
        if let Some(routes) = &mut self.routes
            && routes.pending.is_empty()
        {
            // The room is used again.
            routes.pending = pending;
            routes.pending.clear();
        }
        true
    }

    fn add_routes(
        &mut self,
        run: &[(VipId, u32, Change)],
        addresses: &[u32],
    ) -> BTreeMap<u32, String> {
        match (self.sign_life(longest(run)), &mut self.routes) {
            (Ok(()), Some(routes)) => routes.add(addresses),
            // Without the sign the kernel answers for none of them.
            (Err(why), _) => addresses.iter().map(|ip| (*ip, why.clone())).collect(),
            (Ok(()), None) => BTreeMap::new(),
        }
    }

    fn sign_life(&mut self, lifetime: Duration) -> Result<(), String> {
        let guard = self.leases()?.guard()?;
        guard.sign_life(lifetime).map_err(|error| error.to_string())
    }

    /// The kernel tells of a route that is gone.
    pub(super) fn lose_route(&mut self, at: Instant, route: LocalRoute) {
        let lost = self.routes.as_mut().map(|routes| routes.lost(route)).unwrap_or_default();
        for vip in lost {
            step(&mut self.node, at, Input::AddressLost { vip });
        }
    }

    /// News was lost: a route that is no longer there may have gone unnoticed.
    pub(super) fn find_lost_routes(&mut self, at: Instant) {
        let Some(Ok(lost)) = self.routes.as_mut().map(Routes::find_lost) else { return };
        for vip in lost {
            step(&mut self.node, at, Input::AddressLost { vip });
        }
    }
}

/// The longest lifetime of what is added.
fn longest(some: &[(VipId, u32, Change)]) -> Duration {
    let lifetimes = some.iter().map(|(_, _, change)| match change {
        Change::Add(lifetime) => *lifetime,
        Change::Remove => Duration::ZERO,
    });
    lifetimes.max().unwrap_or_default()
}

fn number(address: IpAddr) -> Option<u32> {
    match address {
        IpAddr::V4(address) => Some(address.into()),
        IpAddr::V6(_) => None,
    }
}

/// The last address of a block.
fn last(first: u32, prefix: u8) -> u32 {
    first | u32::MAX.checked_shr(prefix.into()).unwrap_or(0)
}

/// The fewest blocks that are these addresses and no others.
fn blocks_of(mut addresses: Vec<u32>) -> Vec<Block> {
    addresses.sort_unstable();
    addresses.dedup();
    let mut blocks = Vec::new();
    for run in addresses.chunk_by(|one, other| one.checked_add(1) == Some(*other)) {
        let mut rest = run;
        while let Some(first) = rest.first() {
            // As large as the first address allows, and as there are addresses.
            let aligned = first.trailing_zeros().min(31);
            let bits = aligned.min(rest.len().ilog2());
            blocks.push((*first, (32 - bits) as u8));
            rest = &rest[1 << bits..];
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(ranges: &[(u32, u32)]) -> Vec<Block> {
        blocks_of(ranges.iter().flat_map(|(first, last)| *first..=*last).collect())
    }

    #[test]
    fn blocks_are_as_few_as_may_be() {
        let base = u32::from(Ipv4Addr::new(10, 200, 0, 0));
        assert_eq!(blocks(&[(base, base)]), [(base, 32)]);
        assert_eq!(blocks(&[(base + 1, base + 2)]), [(base + 1, 32), (base + 2, 32)]);
        assert_eq!(blocks(&[(base, base + 255)]), [(base, 24)]);
        let ten_thousand = blocks(&[(base, base + 9_999)]);
        let prefixes: Vec<u8> = ten_thousand.iter().map(|(_, prefix)| *prefix).collect();
        assert_eq!(prefixes, [19, 22, 23, 24, 28]);
        let odd = blocks(&[(base + 1, base + 6), (base + 8, base + 8)]);
        assert_eq!(
            odd,
            [(base + 1, 32), (base + 2, 31), (base + 4, 31), (base + 6, 32), (base + 8, 32)]
        );
        assert_eq!(blocks(&[(u32::MAX - 1, u32::MAX)]), [(u32::MAX - 1, 31)]);
        assert_eq!(blocks(&[]), []);
    }

    #[test]
    fn blocks_are_their_addresses_and_no_others() {
        // xorshift32: the same sets every time.
        let mut state = 0x9e37_79b9_u32;
        for _ in 0..200 {
            let mut addresses = BTreeSet::new();
            for _ in 0..40 {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                let first = state % 512;
                addresses.extend(first..first + (state >> 16) % 16);
            }
            let blocks = blocks_of(addresses.iter().copied().collect());
            let covered: Vec<u32> =
                blocks.iter().flat_map(|(first, prefix)| *first..=last(*first, *prefix)).collect();
            assert_eq!(covered, addresses.into_iter().collect::<Vec<u32>>());
        }
    }

    #[test]
    fn the_last_address_of_a_block() {
        assert_eq!((last(8, 32), last(8, 31), last(8, 29), last(0, 0)), (8, 9, 15, u32::MAX));
    }
}
