//! Which cluster a seed is about: its nodes, groups, paths, routers and times.
//!
//! Owns the numbering of hosts and addresses, and the way from a scenario to a node of the core.
//! Never looks at what happens in a world. Invariant: every node of a scenario is told the same.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use standin_core::cluster::settings::{
    Authority, GroupSettings, MemberSettings, OnDoubt, Quorum, Settings,
};
use standin_core::config::{
    Check, Failback, Home, Link, LinkId, LinkState, OnAnswer, OnCheckFailure, Peer, PeerAddress,
    PeerId, Timing, Vantage, Vip, VipId,
};
use standin_core::heartbeat::{ClusterId, ConfigDigest, KeyRing, fingerprint};
use standin_core::lease::Key;
use standin_core::lease::electorate::{Electorate, Electorates};
use standin_core::place::{GroupRules, NodeId, NodeSet, PoolId, Preference, address_key};
use standin_core::wire::mac::Mac;
use standin_core::{Config, Instant, Node};

use crate::file::File;
use crate::kernel::Nic;
use crate::random::Random;

/// The position of a host in a world: the nodes first, then the witnesses, the routers, and the
/// bystander.
pub type HostId = usize;

/// What the nodes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `standin run`, as a cluster.
    Cluster,
    /// `standin for`: the first is Pinky, who stands in for the second, Brain, who does as much for
    /// his own address.
    Pair,
}

/// How rough a seed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Operators, stops, kills and power failures on a sound network: no two nodes ever answer for
    /// one address, not even for a moment.
    Gentle,
    /// Besides, the network falls apart and is whole again.
    Split,
    /// Everything at once.
    Rough,
}

/// Addresses that move as one.
#[derive(Clone, Debug)]
pub struct GroupPlan {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Where it may and should be.
    pub rules: GroupRules,
    /// What becomes of it without a majority.
    pub on_doubt: OnDoubt,
}

/// Authority `quorum`.
#[derive(Clone, Copy, Debug)]
pub struct QuorumPlan {
    /// For how long a voter binds itself.
    pub length: Duration,
    /// The kernels have nftables.
    pub guarded: bool,
    /// There is a fencing command.
    pub fence: bool,
}

/// How often and for how long a process is stopped in the middle of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stall {
    /// In 100 000 steps.
    pub chance: u64,
    /// For so long at most.
    pub most: Duration,
}

/// A router on the first segment.
#[derive(Clone, Copy, Debug)]
pub struct RouterPlan {
    /// Its `arp_accept`.
    pub accepts_untracked: bool,
    /// How long it trusts an entry before it asks again; `None`: for ever.
    pub refresh: Option<Duration>,
}

/// What a seed is about.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Scenario {
    /// What the nodes run.
    pub kind: Kind,
    /// How rough it is.
    pub manner: Manner,
    /// The nodes.
    pub names: Vec<String>,
    /// Voters that hold nothing.
    pub witnesses: usize,
    /// Authority `quorum`, where it is not `none`.
    pub quorum: Option<QuorumPlan>,
    /// How processes are held up.
    pub stall: Stall,
    /// The groups.
    pub groups: Vec<GroupPlan>,
    /// The times.
    pub timing: Timing,
    /// Segments that the nodes share; VIPs are on the first.
    pub paths: usize,
    /// Heartbeats go over IPv6.
    pub heartbeats_v6: bool,
    /// Every group has a check.
    pub checked: bool,
    /// Who makes it.
    pub vantage: Vantage,
    /// The first router is the `isolated-when-unreachable`.
    pub references: bool,
    /// On the first segment.
    pub routers: Vec<RouterPlan>,
    /// From a host to another.
    pub latency: Duration,
    /// From something that arrives until a process reads it.
    pub scheduling: Duration,
    /// Nodes hold what they hold as routes.
    pub routes: bool,
    /// So many frames fit into a socket.
    pub queue: usize,
    /// Files are changed while the nodes run.
    pub reloads: bool,
    /// The file of all hosts at first.
    pub file: File,
}

const NAMES: [&str; 5] = ["pinky", "brain", "snowball", "larry", "billie"];
const CLUSTER: &str = "acme";

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Scenario {
    /// So many nodes and a single ordered group, on a sound network.
    pub fn plain(nodes: usize) -> Self {
        let order = (0..nodes as u16).map(NodeId).collect();
        let dead_after = ms(1000);
        let interval = Timing::default_interval(dead_after);
        Self {
            kind: Kind::Cluster,
            manner: Manner::Gentle,
            names: NAMES[..nodes].iter().map(ToString::to_string).collect(),
            witnesses: 0,
            quorum: None,
            stall: Stall::default(),
            groups: vec![group(0, &[false], Preference::Order(order), Failback::Yes)],
            timing: Timing { dead_after, interval, back_after: ms(1000) },
            paths: 1,
            heartbeats_v6: false,
            checked: false,
            vantage: Vantage::OnItself,
            references: false,
            routers: vec![RouterPlan { accepts_untracked: false, refresh: Some(ms(20_000)) }],
            latency: ms(1) / 10,
            scheduling: ms(1) / 20,
            routes: false,
            queue: 1000,
            reloads: false,
            file: File::default(),
        }
    }

    /// The article's pair.
    pub fn pair(v6: bool) -> Self {
        let order = vec![NodeId(1), NodeId(0)];
        let groups = vec![group(0, &[v6], Preference::Order(order), Failback::Yes)];
        Self { kind: Kind::Pair, groups, heartbeats_v6: v6, ..Self::plain(2) }
    }

    /// What a seed is about.
    pub fn draw(random: &mut Random) -> Self {
        let mut scenario = match random.below(10) {
            0 => Self::pair(random.percent(50)),
            1..=3 => Self::plain(2),
            4..=8 => Self::plain(3),
            _ => Self::plain(5),
        };
        scenario.manner = match random.below(4) {
            0 => Manner::Gentle,
            1 => Manner::Split,
            _ => Manner::Rough,
        };
        let dead_after = random.pick(&[100, 200, 200, 500, 500, 1000, 1000, 1000].map(ms));
        scenario.timing.dead_after = dead_after;
        scenario.timing.interval = Timing::default_interval(dead_after);
        scenario.latency = random.length(ms(1) / 50, ms(1));
        scenario.scheduling = random.length(ms(1) / 100, ms(1) / 3);
        scenario.draw_routers(random);
        if scenario.kind == Kind::Pair {
            return scenario;
        }
        scenario.heartbeats_v6 = random.percent(40);
        scenario.paths = 1 + random.index(2);
        let mut never = false;
        if scenario.manner == Manner::Split && scenario.paths == 1 && random.percent(60) {
            // Such a router believes what it was told last for ever.
            // One that was out of reach itself is told again at once only where it is watched.
            scenario.routers.iter_mut().for_each(|router| router.refresh = None);
            never = true;
        }
        scenario.checked = random.percent(40);
        scenario.references = never || (scenario.manner != Manner::Gentle && random.percent(40));
        scenario.draw_groups(random);
        if random.percent(50) {
            scenario.draw_quorum(random);
        }
        scenario.reloads = random.percent(25);
        if scenario.reloads && scenario.quorum.is_some() && random.percent(60) {
            // Up to so many may come, one by one.
            scenario.witnesses = scenario.witnesses.max(2);
        }
        scenario.file.voters = scenario.witnesses;
        if scenario.reloads {
            scenario.file.voters = random.index(scenario.witnesses + 1);
        }
        if random.percent(if scenario.quorum.is_some() { 50 } else { 15 }) {
            scenario.draw_stall(random);
        }
        scenario.routes = scenario.quorum.is_none_or(|plan| plan.guarded) && random.percent(30);
        scenario.queue = random.pick(&[1000, 1000, 1000, 12]);
        scenario
    }

    /// Who votes, and for how long a vote binds.
    fn draw_quorum(&mut self, random: &mut Random) {
        let nodes = self.nodes();
        self.witnesses = usize::from(nodes.is_multiple_of(2) || random.percent(10));
        if nodes == 5 && random.percent(50) {
            self.names.truncate(4);
            self.witnesses = 1;
            self.draw_groups(random);
        }
        let guarded = random.percent(90);
        let dead_after = self.timing.dead_after;
        let length = match random.below(12) {
            0 => ms(50),
            1 => random.length(ms(51), ms(110)),
            2 | 3 => dead_after / 2,
            4..8 => dead_after,
            8 => dead_after * 2,
            _ => random.length(ms(200), ms(4000)),
        };
        let length = if guarded { length } else { ms(5000) };
        self.quorum = Some(QuorumPlan { length, guarded, fence: random.percent(15) });
        let nodes: NodeSet = (0..self.nodes() as u16).map(NodeId).collect();
        for group in &mut self.groups {
            group.rules.members = nodes;
            if random.percent(15) {
                group.on_doubt = OnDoubt::Hold;
            }
        }
    }

    /// Between any two steps, mostly for an instant. Where kernels have no nftables an address
    /// that is asked for late lives late, so that only short stops are promised to be safe there.
    fn draw_stall(&mut self, random: &mut Random) {
        let most = random.pick(&[ms(5), ms(50), ms(500), ms(5000)]);
        let guarded = self.quorum.is_none_or(|plan| plan.guarded);
        self.stall = Stall {
            chance: random.pick(&[10, 100, 1000]),
            most: if guarded { most } else { most.min(ms(500)) },
        };
    }

    fn draw_routers(&mut self, random: &mut Random) {
        let count = 1 + random.index(2);
        let never = self.manner == Manner::Gentle && random.percent(70);
        let refresh = (!never).then_some(ms(10_000));
        let plan = |accepts_untracked| RouterPlan { accepts_untracked, refresh };
        self.routers = (0..count).map(|number| plan(number == 1)).collect();
    }

    fn draw_groups(&mut self, random: &mut Random) {
        let nodes = self.names.len();
        let failback = match random.below(4) {
            0 => Failback::No,
            1 => Failback::After(random.length(ms(500), ms(4000))),
            _ => Failback::Yes,
        };
        let family = random.below(3);
        let families = |random: &mut Random| match family {
            0 => false,
            1 => true,
            _ => random.percent(50),
        };
        let spread = random.percent(35);
        let count = 1 + random.index(if spread { 5 } else { 3 });
        let mut number = 0;
        self.groups.clear();
        for _ in 0..count {
            let addresses: Vec<bool> =
                (0..=random.index(if spread { 1 } else { 3 })).map(|_| families(random)).collect();
            let preference = if spread {
                Preference::Spread(PoolId(0))
            } else {
                let mut order: Vec<NodeId> = (0..nodes as u16).map(NodeId).collect();
                order.rotate_left(random.index(nodes));
                if random.percent(20) {
                    order.truncate(1);
                }
                Preference::Order(order)
            };
            self.groups.push(group(number, &addresses, preference, failback));
            number += addresses.len();
        }
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.names.len()
    }

    /// How many nodes and witnesses there are.
    pub fn members(&self) -> usize {
        self.nodes() + self.witnesses
    }

    /// Whether a host is a witness.
    pub fn is_witness(&self, host: HostId) -> bool {
        (self.nodes()..self.members()).contains(&host)
    }

    /// All hosts: nodes, witnesses, routers and one that is none of them.
    pub fn hosts(&self) -> usize {
        self.members() + self.routers.len() + 1
    }

    /// The routers.
    pub fn routers(&self) -> std::ops::Range<HostId> {
        self.members()..self.bystander()
    }

    /// The host that is neither node nor router.
    pub fn bystander(&self) -> HostId {
        self.hosts() - 1
    }

    /// The name of a host.
    pub fn name(&self, host: HostId) -> String {
        match self.names.get(host) {
            Some(name) => name.clone(),
            None if host == self.bystander() => "a stranger".to_owned(),
            None if self.is_witness(host) => format!("witness{}", host - self.nodes()),
            None => format!("router{}", host - self.members()),
        }
    }

    /// Every VIP with the number of its group, in the order of the core's ids.
    pub fn vips(&self) -> impl Iterator<Item = (usize, IpAddr)> + '_ {
        let groups = self.groups.iter().enumerate();
        groups.flat_map(|(number, group)| group.addresses.iter().map(move |vip| (number, *vip)))
    }

    /// The interfaces of a host.
    pub fn nics(&self, host: HostId) -> Vec<Nic> {
        let paths = if host < self.members() { self.paths } else { 1 };
        let number = host as u8 + 10;
        let each = (0..paths as u8).map(|segment| Nic {
            mac: Mac([2, 0, 0, segment, 0, number]),
            ipv4: Ipv4Addr::new(10, segment, 0, number),
            ipv6: Ipv6Addr::new(0xfd00, u16::from(segment), 0, 0, 0, 0, 0, u16::from(number)),
            up: true,
        });
        each.collect()
    }

    /// What a node is told of one of its interfaces.
    pub fn link_state(&self, nics: &[Nic], segment: usize) -> LinkState {
        let nic = &nics[segment];
        let routers = self.routers().filter(|_| segment == 0);
        let gateways = routers.flat_map(|router| {
            let nic = &self.nics(router)[0];
            [IpAddr::V4(nic.ipv4), IpAddr::V6(nic.ipv6)]
        });
        LinkState {
            up: nic.up,
            mac: nic.mac,
            ipv4: Some(nic.ipv4),
            ipv6: Some(nic.ipv6),
            gateways: gateways.collect(),
            router: false,
        }
    }

    /// `by`: a witness has no links.
    fn peer(&self, by: HostId, host: HostId) -> Peer {
        let nics = self.nics(host);
        let addresses = nics.iter().zip(0..).map(|(nic, segment)| {
            let (v4, v6) = (IpAddr::V4(nic.ipv4), IpAddr::V6(nic.ipv6));
            let ip = if self.heartbeats_v6 { v6 } else { v4 };
            PeerAddress { ip, link: (!self.is_witness(by)).then_some(LinkId(segment)) }
        });
        Peer { name: Arc::from(self.name(host)), addresses: addresses.collect() }
    }

    /// The hosts that a node watches, in the order of the core's ids.
    pub fn watched(&self, host: HostId) -> impl Iterator<Item = HostId> + '_ {
        let others = (0..self.members()).filter(move |other| *other != host);
        let reference = self.references && !self.is_witness(host);
        others.chain(reference.then(|| self.members()))
    }

    /// What a node's core is told; `adopted`: what its kernel has of an earlier run.
    fn config(
        &self,
        host: HostId,
        file: File,
        nics: &[Nic],
        adopted: &dyn Fn(IpAddr) -> bool,
    ) -> Config {
        let paths = if self.is_witness(host) { 0 } else { self.paths };
        let links = (0..paths).map(|segment| Link {
            name: Arc::from(format!("eth{segment}")),
            state: self.link_state(nics, segment),
        });
        let vips = self.vips().map(|(group, address)| Vip {
            address,
            link: LinkId(0),
            home: match (self.kind, host) {
                (Kind::Cluster, _) => Home::Cluster,
                (Kind::Pair, 0) => Home::Peer(PeerId(0)),
                (Kind::Pair, _) => Home::Here,
            },
            failback: self.groups[group].rules.failback,
            on_answer: OnAnswer::Wait,
            on_check_failure: OnCheckFailure::Takeover,
            adopted: adopted(address),
            shares_lifetime: self.routes,
        });
        let vips: Vec<Vip> = vips.filter(|_| !self.is_witness(host)).collect();
        let first_of = |group| self.vips().position(|(of, _)| of == group).unwrap_or(0) as u32;
        let checks = (0..self.groups.len()).filter(|_| self.checked && !self.is_witness(host)).map(
            |group| Check {
                name: Arc::from("web"),
                vip: VipId(first_of(group)),
                interval: ms(500),
                timeout: ms(200),
                rise: 2,
                fall: 2,
                vantage: self.vantage,
            },
        );
        let peers = self.watched(host).map(|other| self.peer(host, other)).collect();
        Config::new(links.collect(), peers, vips, checks.collect(), self.timing_of(file))
            .expect("a scenario is a valid configuration")
    }

    /// The keys in a file.
    pub fn ring(&self, file: File) -> KeyRing {
        file.keys.ring(CLUSTER)
    }

    fn timing_of(&self, file: File) -> Timing {
        Timing { interval: file.interval(self.timing.interval), ..self.timing }
    }

    /// The names of those who vote where the first so many of the witnesses do.
    pub fn voters(&self, witnesses: usize) -> Vec<String> {
        (0..self.nodes() + witnesses).map(|member| self.name(member)).collect()
    }

    /// Those voters.
    pub fn electorate(&self, witnesses: usize) -> Electorate {
        let names = self.voters(witnesses);
        let numbered = (0..).map(|number| Some(NodeId(number)));
        Electorate::new(names.iter().map(|name| &**name).zip(numbered))
    }

    /// `before`: who voted in the file before this one.
    fn settings(&self, host: HostId, file: File, before: Option<usize>) -> Settings {
        let names: Vec<Arc<str>> =
            (0..self.members()).map(|member| Arc::from(self.name(member))).collect();
        let nodes = fingerprint("nodes", self.names.iter().map(String::as_bytes));
        let mut next = 0;
        let groups = self.groups.iter().map(|group| {
            let first = next;
            next += group.addresses.len() as u32;
            GroupSettings {
                name: Arc::from(&*group.name),
                // A witness has no addresses.
                vips: (first..next).map(VipId).filter(|_| !self.is_witness(host)).collect(),
                rules: group.rules.clone(),
                key: address_key(group.addresses[0]),
                on_doubt: group.on_doubt,
                lease: Key::of(group.addresses.iter().copied()),
            }
        });
        let groups = groups.collect();
        let others = (0..self.members()).filter(|other| *other != host);
        let members = others
            .zip(0..)
            .map(|(other, peer)| MemberSettings { node: NodeId(other as u16), peer: PeerId(peer) });
        let references = self.references && !self.is_witness(host);
        let references = references.then(|| PeerId(self.members() as u32 - 1));
        let before = before.filter(|before| *before != file.voters);
        let before = before.map(|before| self.electorate(before));
        let voters = Electorates { present: self.electorate(file.voters), before };
        let authority = self.quorum.map_or(Authority::None, |plan| {
            let QuorumPlan { length, guarded, fence } = plan;
            Authority::Quorum(Quorum { voters, length, guarded, fence })
        });
        Settings {
            cluster: ClusterId::of(CLUSTER),
            digest: ConfigDigest { nodes, vips: 1 },
            me: NodeId(host as u16),
            names,
            witnesses: (self.nodes()..self.members()).map(|host| NodeId(host as u16)).collect(),
            authority,
            members: members.collect(),
            groups,
            references: references.into_iter().collect(),
            timing: self.timing_of(file),
        }
    }

    /// Whether an address stays where nobody can know whether another has it.
    pub fn is_held_in_doubt(&self, vip: IpAddr) -> bool {
        let mut groups = self.groups.iter();
        let group = groups.find(|group| group.addresses.contains(&vip));
        group.is_some_and(|group| group.on_doubt == OnDoubt::Hold)
    }

    /// The addresses that a host's kernel answers for under a lease alone.
    pub fn managed(&self, host: HostId) -> BTreeSet<IpAddr> {
        let guarded = self.quorum.is_some_and(|plan| plan.guarded) && host < self.nodes();
        let released = |group: &&GroupPlan| guarded && group.on_doubt == OnDoubt::Release;
        let groups = self.groups.iter().filter(released);
        groups.flat_map(|group| group.addresses.iter().copied()).collect()
    }

    /// A node that starts; `before`: goes on with the memory of one whose file had these voters.
    pub fn start(
        &self,
        host: HostId,
        (file, before): (File, Option<usize>),
        nics: &[Nic],
        adopted: &dyn Fn(IpAddr) -> bool,
        secret: [u8; 32],
        now: Instant,
    ) -> Node {
        let config = self.config(host, file, nics, adopted);
        match self.kind {
            Kind::Cluster => {
                let settings = self.settings(host, file, before);
                Node::in_cluster(config, settings, self.ring(file), secret, now)
            }
            Kind::Pair => {
                let (seed, _) = secret.split_first_chunk().expect("32 bytes");
                Node::new(config, u64::from_le_bytes(*seed), now)
            }
        }
    }
}

/// A group whose addresses have these families (`true`: IPv6), numbered from `first`.
fn group(first: usize, v6: &[bool], preference: Preference, failback: Failback) -> GroupPlan {
    let address = |(number, v6): (usize, &bool)| {
        if *v6 {
            IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, number as u16))
        } else {
            IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100 + number as u8))
        }
    };
    GroupPlan {
        name: format!("vip{first}"),
        addresses: (first..).zip(v6).map(address).collect(),
        rules: GroupRules { preference, failback, members: NodeSet::ALL },
        on_doubt: OnDoubt::Release,
    }
}
