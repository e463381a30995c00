//! What is done to a world in phase one, and how it is healed.
//!
//! Owns the choice; the operations themselves are the world's. Invariant: a plan follows from the
//! scenario and the seed alone.

use std::time::Duration;

use standin_core::Instant;

use crate::file::{Edit, Keys};
use crate::kernel::Trouble;
use crate::random::Random;
use crate::scenario::{Kind, Manner, Scenario};
use crate::world::{Operation, Wire, World};

/// When each operation of phase one happens, from the world's beginning.
pub type Plan = Vec<(Duration, Operation)>;

/// The world is left alone for so long at first: every group finds its place.
const CALM: Duration = Duration::from_secs(6);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Draws what happens in phase one, and how long that is.
pub fn draw(scenario: &Scenario, random: &mut Random) -> (Plan, Duration) {
    let length = random.length(ms(10_000), ms(24_000));
    // Some seeds are about what happens while everybody is new.
    let calm = if random.percent(85) { CALM } else { Duration::ZERO };
    let mut drawing =
        Drawing { scenario, random, plan: Vec::new(), end: length, calm, rotated: false };
    for _ in 0..2 + drawing.random.below(10) {
        let at = drawing.random.length(calm, length);
        drawing.add(at);
    }
    let mut plan = drawing.plan;
    plan.sort_by_key(|(at, _)| *at);
    (plan, length)
}

struct Drawing<'a> {
    scenario: &'a Scenario,
    random: &'a mut Random,
    plan: Plan,
    end: Duration,
    calm: Duration,
    /// The key is being exchanged.
    rotated: bool,
}

impl Drawing<'_> {
    fn add(&mut self, at: Duration) {
        let manner = self.scenario.manner;
        if self.scenario.stall.chance > 0 && self.random.percent(25) {
            return self.add_freeze(at);
        }
        if self.scenario.reloads && self.random.percent(30) {
            return self.add_reload(at);
        }
        if self.scenario.quorum.is_some() && self.random.percent(30) {
            return self.add_voter(at);
        }
        match self.random.below(100) {
            0..40 => self.add_gentle(at),
            _ if manner == Manner::Gentle => self.add_gentle(at),
            40..75 => self.add_split(at),
            _ if manner == Manner::Split => self.add_split(at),
            _ => self.add_rough(at),
        }
    }

    fn push(&mut self, at: Duration, operation: Operation) {
        if at < self.end {
            self.plan.push((at, operation));
        }
    }

    /// The operation now and its end a while later; sometimes soon, sometimes never.
    fn pair(&mut self, at: Duration, begin: Operation, end: Operation) {
        self.push(at, begin);
        let most = self.random.pick(&[ms(50), ms(500), ms(3000), ms(10_000)]);
        let until = at + self.random.length(ms(1), most);
        self.push(until, end);
    }

    fn add_gentle(&mut self, at: Duration) {
        let node = self.random.index(self.scenario.nodes());
        let cluster = self.scenario.kind == Kind::Cluster;
        match self.random.below(14) {
            0 => self.pair(at, Operation::Kill(node), Operation::Start(node)),
            1 => self.pair(at, Operation::Stop(node), Operation::Start(node)),
            2 if cluster => {
                self.pair(at, Operation::StopKeeping(node), Operation::Start(node));
            }
            3 | 4 => {
                self.pair(at, Operation::Power(node, false), Operation::Power(node, true));
            }
            5 | 6 if cluster => {
                let by = self.random.index(self.scenario.nodes());
                let drain = |drained| Operation::Drain(by, node, drained);
                self.pair(at, drain(true), drain(false));
            }
            7 if cluster => {
                let group = self.random.index(self.scenario.groups.len());
                let to = self.random.index(self.scenario.nodes());
                let to = self.random.percent(80).then_some(to);
                self.push(at, Operation::Place(node, group, to));
            }
            8 if self.scenario.checked => {
                self.pair(at, Operation::Service(node, false), Operation::Service(node, true));
            }
            9..12 if cluster => self.add_move_cut_short(at, node),
            12 => {
                let chance = self.random.draw();
                self.push(at, Operation::Replay(node, chance));
                self.push(at, Operation::Forge(node, chance));
            }
            _ => {
                let vips: Vec<_> = self.scenario.vips().map(|(_, vip)| vip).collect();
                let vip = self.random.pick(&vips);
                let strip = Operation::Strip(node, vip);
                let strips = self.random.percent(70);
                self.push(at, if strips { strip } else { Operation::StepClock(node) });
            }
        }
    }

    /// A move, and what may happen to its two ends in its first moments.
    fn add_move_cut_short(&mut self, at: Duration, by: usize) {
        let group = self.random.index(self.scenario.groups.len());
        let to = self.random.index(self.scenario.nodes());
        self.push(at, Operation::Place(by, group, Some(to)));
        let most = self.random.pick(&[ms(3), ms(60)]);
        let soon = at + self.random.length(ms(0), most);
        let victim =
            if self.random.percent(60) { to } else { self.random.index(self.scenario.nodes()) };
        let start = Operation::Start(victim);
        match self.random.below(5) {
            0 | 1 => self.pair(soon, Operation::Kill(victim), start),
            2 => {
                self.pair(soon, Operation::Power(victim, false), Operation::Power(victim, true));
            }
            3 => self.pair(soon, Operation::StopKeeping(victim), start),
            _ => {
                let on = self.random.index(self.scenario.nodes());
                self.push(soon, Operation::Place(by, group, Some(on)));
            }
        }
    }

    /// A daemon that is stopped between two steps of a turn, often while much happens.
    fn add_freeze(&mut self, at: Duration) {
        let node = self.random.index(self.scenario.members());
        let most = self.scenario.stall.most;
        let length = self.random.length(most / 10, most);
        let steps = self.random.pick(&[3, 30, 300]);
        for _ in 0..=self.random.below(3) {
            let at = at + self.random.length(ms(0), most * 2);
            let steps = self.random.below(steps) as u32;
            self.push(at, Operation::Freeze(node, steps, length));
        }
        if self.random.percent(50) {
            self.add_move_cut_short(at, node.min(self.scenario.nodes() - 1));
        }
    }

    /// Files that are changed, at one host after the other.
    fn add_reload(&mut self, at: Duration) {
        let members = self.scenario.members();
        let one = self.random.index(members);
        let apart = self.random.pick(&[ms(1), ms(100), ms(800)]);
        match self.random.below(4) {
            0 if self.rotated => {}
            0 => {
                self.rotated = true;
                for (step, keys) in (0..).zip([Keys::Learnt, Keys::Switched, Keys::New]) {
                    for member in 0..members {
                        let at = at + apart * (step * members as u32 + member as u32);
                        self.push(at, Operation::Reload(member, Edit::Keys(keys)));
                    }
                }
            }
            1 if self.scenario.manner != Manner::Gentle && !self.rotated => {
                let keys = |keys| Operation::Reload(one, Edit::Keys(keys));
                self.pair(at, keys(Keys::Wrong), keys(Keys::Old));
            }
            2 if self.scenario.witnesses > 0 => {
                let voters = self.random.index(self.scenario.witnesses + 1);
                // What is refused at first is tried again.
                for turn in 0..4 {
                    for member in 0..members {
                        let member = (one + member) % members;
                        let at = at + apart * (turn * members as u32 + member as u32);
                        self.push(at, Operation::Reload(member, Edit::Voters(voters)));
                    }
                }
            }
            _ => {
                let brisk = |brisk| Operation::Reload(one, Edit::Brisk(brisk));
                self.pair(at, brisk(true), brisk(false));
            }
        }
    }

    /// What may happen to those who vote: they restart and remember nothing, hang, go, or hear and
    /// are heard in part.
    fn add_voter(&mut self, at: Duration) {
        let members = self.scenario.members();
        let one = if self.scenario.witnesses > 0 && self.random.percent(30) {
            members - 1
        } else {
            self.random.index(members)
        };
        let gentle = self.scenario.manner == Manner::Gentle;
        match self.random.below(if gentle { 4 } else { 13 }) {
            11.. => self.add_last_vote(at, one.min(self.scenario.nodes() - 1)),
            9.. => {
                // Cut off from those who voted for it, who then forget, at once or a little later.
                for segment in 0..self.scenario.paths {
                    self.push(at, Operation::Partition(segment, 1 << one));
                }
                for voter in (0..members).filter(|voter| *voter != one) {
                    let most = self.random.pick(&[ms(1), ms(300), ms(1500)]);
                    let at = at + self.random.length(ms(0), most);
                    self.push(at, Operation::Kill(voter));
                    self.push(at + ms(1), Operation::Start(voter));
                }
                let until = at + self.random.length(ms(500), ms(8000));
                for segment in 0..self.scenario.paths {
                    self.push(until, Operation::Mend(segment));
                }
            }
            0 => self.pair(at, Operation::Kill(one), Operation::Start(one)),
            1 => {
                // All of them, one after the other.
                let apart = self.random.length(ms(1), ms(300));
                for member in 0..members {
                    let at = at + apart * member as u32;
                    self.push(at, Operation::Kill(member));
                    let again = at + self.random.length(ms(0), apart);
                    self.push(again, Operation::Start(member));
                }
            }
            2 => self.pair(at, Operation::Power(one, false), Operation::Power(one, true)),
            3 if one < self.scenario.nodes() => {
                self.pair(at, Operation::StopKeeping(one), Operation::Start(one));
            }
            3 | 4 => self.pair(at, Operation::Pause(one), Operation::Resume(one)),
            5 | 6 => {
                // Some hear it and some do not, each way.
                for segment in 0..self.scenario.paths {
                    for other in (0..members).filter(|other| *other != one) {
                        if self.random.percent(50) {
                            self.push(at, Operation::Cut(segment, one, other, true));
                        }
                        if self.random.percent(50) {
                            self.push(at, Operation::Cut(segment, other, one, true));
                        }
                    }
                    let most = self.random.pick(&[ms(300), ms(5000)]);
                    let until = at + self.random.length(ms(10), most);
                    self.push(until, Operation::Mend(segment));
                }
            }
            7 => {
                // A majority here and a minority there, and then the other way round.
                for segment in 0..self.scenario.paths {
                    let mask = self.random.below(1 << members);
                    self.push(at, Operation::Partition(segment, mask));
                    let mask = self.random.below(1 << members);
                    let later = at + self.random.length(ms(20), ms(3000));
                    self.pair(later, Operation::Partition(segment, mask), Operation::Mend(segment));
                }
            }
            _ => {
                let wire = Wire {
                    lose: self.random.pick(&[0, 5, 30]),
                    double: self.random.pick(&[10, 50]),
                    late: self.random.pick(&[ms(20), ms(200), ms(1000)]),
                };
                let segment = self.random.index(self.scenario.paths);
                self.pair(at, Operation::Wire(segment, wire), Operation::Mend(segment));
            }
        }
    }

    /// One voter alone still hears the holder, may be stopped just before it does, and then hears it
    /// no more: what it granted last is what the next has to wait for.
    fn add_last_vote(&mut self, at: Duration, holder: usize) {
        let members = self.scenario.members();
        let voter = (holder + 1 + self.random.index(members - 1)) % members;
        let length = self.scenario.quorum.map_or(ms(100), |plan| plan.length);
        for segment in 0..self.scenario.paths {
            for other in (0..members).filter(|other| *other != holder && *other != voter) {
                self.push(at, Operation::Cut(segment, holder, other, true));
            }
        }
        let least = self.scenario.timing.dead_after.max(length);
        let then = at + self.random.length(least, least + ms(800));
        let most =
            if self.scenario.quorum.is_some_and(|plan| plan.guarded) { length } else { ms(500) };
        let held_up = self.random.length(ms(5), most);
        let mut gone = then + self.random.length(ms(0), length / 2);
        if self.scenario.stall.chance > 0 {
            let steps = self.random.pick(&[0, 0, 1, 2, 3]);
            self.push(then, Operation::Freeze(voter, steps, held_up));
            gone = then + held_up + self.random.length(ms(1), ms(10) + length / 4);
        }
        for segment in 0..self.scenario.paths {
            self.push(gone, Operation::Partition(segment, 1 << holder));
            self.push(gone + length * 2 + ms(500), Operation::Mend(segment));
        }
    }

    /// Nodes that no longer hear each other, or are cut off together with others.
    fn add_split(&mut self, at: Duration) {
        let nodes = self.scenario.nodes();
        let segment = self.random.index(self.scenario.paths);
        let one = self.random.index(nodes);
        let other = (one + 1 + self.random.index(nodes - 1)) % nodes;
        match self.random.below(5) {
            0 => {
                let cut = |cut| Operation::Cut(segment, one, other, cut);
                self.pair(at, cut(true), cut(false));
            }
            1 => {
                self.pair(at, Operation::Cut(segment, one, other, true), Operation::Mend(segment));
                self.push(at, Operation::Cut(segment, other, one, true));
            }
            2 => {
                // All alone until the heal.
                for segment in 0..self.scenario.paths {
                    self.push(at, Operation::Partition(segment, 1 << one));
                }
            }
            _ => {
                let mask = 1 << one | self.random.below(1 << nodes);
                for segment in 0..self.scenario.paths {
                    self.pair(at, Operation::Partition(segment, mask), Operation::Mend(segment));
                }
            }
        }
    }

    fn add_rough(&mut self, at: Duration) {
        let nodes = self.scenario.nodes();
        let node = self.random.index(nodes);
        let segment = self.random.index(self.scenario.paths);
        match self.random.below(9) {
            0 | 1 => self.pair(at, Operation::Pause(node), Operation::Resume(node)),
            2 => {
                let carrier = |up| Operation::Carrier(node, segment, up);
                for _ in 0..=self.random.below(4) {
                    let at = at + self.random.length(ms(0), ms(500));
                    self.pair(at, carrier(false), carrier(true));
                }
            }
            3 | 4 => {
                let wire = Wire {
                    lose: self.random.pick(&[0, 5, 20, 40]),
                    double: self.random.pick(&[0, 0, 10]),
                    late: self.random.pick(&[ms(0), ms(1), ms(10), ms(50)]),
                };
                self.pair(at, Operation::Wire(segment, wire), Operation::Mend(segment));
            }
            5 => {
                let trouble = Trouble {
                    refuse: self.random.pick(&[0, 0, 30, 90]),
                    lose: self.random.pick(&[0, 30, 90]),
                    late: self.random.pick(&[ms(0), ms(30), ms(800)]),
                    undo: self.random.pick(&[0, 0, 20]),
                };
                let end = Operation::Trouble(node, Trouble::default());
                self.pair(at, Operation::Trouble(node, trouble), end);
            }
            6 => {
                let vips: Vec<_> = self.scenario.vips().map(|(_, vip)| vip).collect();
                let vip = self.random.pick(&vips);
                let stranger = |comes| Operation::Stranger(vip, comes);
                self.pair(at.max(self.calm), stranger(true), stranger(false));
            }
            7 => {
                let other = (node + 1 + self.random.index(nodes - 1)) % nodes;
                self.push(at, Operation::Refuse(node, other));
            }
            _ => {
                // To or from a router.
                let router =
                    self.scenario.members() + self.random.index(self.scenario.routers.len());
                let (from, to) =
                    if self.random.percent(50) { (node, router) } else { (router, node) };
                self.pair(at, Operation::Cut(0, from, to, true), Operation::Mend(0));
                self.push(at, Operation::Forget(segment));
            }
        }
    }
}

/// What makes a world whole: the network and the kernels always; hosts, daemons, services and
/// drains mostly, so that a cluster of some settles as well as one of all.
pub fn heal(world: &World, random: &mut Random) -> Vec<Operation> {
    let scenario = &world.scenario;
    let mut heal: Vec<Operation> = (0..scenario.paths).map(Operation::Mend).collect();
    heal.push(Operation::Smooth);
    heal.extend(scenario.vips().map(|(_, vip)| Operation::Stranger(vip, false)));
    let keys = world.latest_keys();
    heal.extend((0..scenario.members()).map(|id| Operation::Reload(id, Edit::Keys(keys))));
    for node in 0..scenario.members() {
        let host = &world.hosts[node];
        heal.push(Operation::Trouble(node, Trouble::default()));
        heal.push(Operation::Resume(node));
        heal.extend((0..scenario.paths).map(|segment| Operation::Carrier(node, segment, true)));
        if !host.powered && random.percent(60) {
            heal.push(Operation::Power(node, true));
        }
        // What was left behind waits for a daemon for a long time.
        let kept = !host.kernel.held.is_empty();
        if host.powered && !world.has_daemon(node) && (kept || random.percent(70)) {
            heal.push(Operation::Start(node));
        }
        if random.percent(70) {
            heal.push(Operation::Service(node, true));
        }
        if random.percent(70) {
            heal.push(Operation::Drain(node, node, false));
        }
    }
    heal
}

/// The change of the voters is brought to its end, in several turns.
pub fn heal_voters(world: &World) -> Plan {
    let scenario = &world.scenario;
    let length = scenario.quorum.map_or(Duration::ZERO, |plan| plan.length);
    let turns = [ms(1500), ms(2500) + length * 3 / 2].into_iter();
    let turns = turns.filter(|_| scenario.reloads);
    let each = |at| {
        let edit = Edit::Voters(world.latest_voters());
        (0..scenario.members()).map(move |id| (at, Operation::Reload(id, edit)))
    };
    turns.flat_map(each).collect()
}

/// Daemons that were just told to leave everything to the next run: there will be one, a second after
/// they could have ended.
pub fn heal_later(world: &World) -> Vec<(Instant, Operation)> {
    let keeping = (0..world.scenario.members()).filter(|node| world.is_keeping(*node));
    keeping.map(|node| (world.held_up_until(node) + ms(1000), Operation::Start(node))).collect()
}
