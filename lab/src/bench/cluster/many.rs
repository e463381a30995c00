//! The measurement with as many nodes as a cluster may have.
//!
//! Owns the 64 nodes and what 'converged' means: every address whose holder went has been
//! announced by a node that lives. An address is announced only once the kernel has it.
//!
//! Times are in multiples of `dead-after`, which is 4 s here: at the default of 1 s the heartbeats of
//! 64 nodes, four times a second from each to each, take two processors for themselves.
//!
//! All of it runs on one host, and some of a kernel is one for all network namespaces: its table of
//! neighbours has 1024 places, and 64 nodes that know each other need 4032. So the nodes know each
//! other by permanent entries, which are not counted; 64 real hosts have a table each. And a bridge
//! floods what is for a port without carrier, at the cost of one host where 63 network cards would
//! discard it; so the carrier of the lost nodes stays, and nothing passes at their ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use standin_core::wire::Mac;

use super::measure::milliseconds;
use super::pair::{Side, keygen, start_node};
use crate::capture::Capture;
use crate::daemon::Daemon;
use crate::story::Lab;
use crate::wait;
use crate::world::{Family, Host, LAN, World};

/// As many as there may be, and so many are measured unless it is said otherwise.
const MOST_NODES: u8 = 64;
/// Of the first node in its address; the others follow.
const FIRST: u8 = 2;
/// Of the first VIP in its address.
const FIRST_VIP: u8 = 100;
pub const DEAD_AFTER: Duration = Duration::from_secs(4);
/// 64 daemons start on a few processors.
const BOOT_WITHIN: Duration = Duration::from_secs(90);
const CONVERGED_WITHIN: Duration = Duration::from_mins(1);
/// Later announcements are waited for so long, to see whether anything moves again.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// The daemons come to rest before anything is cut.
const REST: Duration = Duration::from_secs(4);

/// How the VIPs belong to nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A single VIP, at home on Brain.
    One,
    /// One VIP at home on each node; the next node of the file takes what a dead one had.
    Homes,
    /// A pool that is spread over all.
    Pool,
}

/// `homes-16`: the shape, and how many nodes lose their power at once; `homes-4-32` is the same
/// of 32 nodes.
pub fn measure(lab: &Lab, subject: &str) -> Result<Value> {
    let mut words = subject.split('-');
    let shape = match words.next() {
        Some("homes") => Shape::Homes,
        Some("pool") => Shape::Pool,
        _ => bail!("{subject}: expected homes or pool first"),
    };
    let lost: usize =
        words.next().and_then(|word| word.parse().ok()).context("how many nodes are lost?")?;
    let nodes = words.next().map_or(Ok(MOST_NODES), str::parse).context("of how many nodes?")?;
    ensure!(
        (2..=MOST_NODES).contains(&nodes) && (1..usize::from(nodes)).contains(&lost),
        "{subject}"
    );
    let world = World::new(lab)?;
    Fleet::start(&world, shape, nodes)?.lose(lost)
}

/// Many nodes on one host.
pub struct Fleet<'w, 'l> {
    world: &'w World<'l>,
    /// Pinky, Brain, and the others.
    hosts: Vec<Rc<Host>>,
    daemons: Vec<Daemon>,
    shape: Shape,
    boot: Boot,
}

/// What the start of all of them took.
struct Boot {
    time: Duration,
    /// Frames of ARP that a bystander heard meanwhile.
    frames: usize,
}

/// Every VIP that there may be.
fn vips(shape: Shape, nodes: u8) -> Vec<IpAddr> {
    let count = if shape == Shape::One { 1 } else { nodes };
    (0..count).map(|number| Family::V4.of(LAN, FIRST_VIP + number)).collect()
}

impl<'w, 'l> Fleet<'w, 'l> {
    /// Starts all and waits until each has one VIP, or one of them the only one.
    pub fn start(world: &'w World<'l>, shape: Shape, nodes: u8) -> Result<Self> {
        let mut hosts = vec![world.pinky.clone(), world.brain.clone()];
        for number in FIRST + 2..FIRST + nodes {
            hosts.push(world.add_quiet_host(&format!("node{number}"), number)?);
        }
        introduce(&hosts)?;
        keygen(world.lab, &world.pinky)?;
        let (begun, wire) = (Instant::now(), world.capture_lan()?);
        let text = file(&hosts, shape);
        let daemons: Result<Vec<Daemon>> = hosts
            .iter()
            .map(|host| {
                let socket = super::pair::socket(host);
                start_node(world.lab, host, &format!("{text}[control]\nsocket = \"{socket}\"\n"))
            })
            .collect();
        let daemons = daemons?;
        let heard = || format!("{} frames of ARP in {:?}", wire.mark(), begun.elapsed());
        for daemon in &daemons {
            daemon.wait_after(0, "ready", BOOT_WITHIN).with_context(heard)?;
        }
        world.lab.say(format!("all are ready: {}", heard()));
        let boot = Boot { time: begun.elapsed(), frames: wire.mark() };
        drop(wire);
        let fleet = Self { world, hosts, daemons, shape, boot };
        let even = |shares: &[usize]| match shape {
            Shape::One => shares[1] == 1,
            Shape::Homes | Shape::Pool => shares.iter().all(|share| *share == 1),
        };
        let what = "each VIP is where it belongs";
        wait::until(what, BOOT_WITHIN, || {
            fleet.shares(&fleet.hosts).filter(|shares| even(shares))
        })?;
        world.lab.say(what);
        std::thread::sleep(REST);
        Ok(fleet)
    }

    /// As many as nodes.
    fn vips(&self) -> Vec<IpAddr> {
        vips(self.shape, u8::try_from(self.hosts.len()).unwrap_or(MOST_NODES))
    }

    /// The daemon of Pinky, or of Brain.
    pub fn daemon(&self, side: Side) -> &Daemon {
        &self.daemons[side as usize]
    }

    /// Brain loses its power: how long until Pinky has judged it to be dead.
    pub fn detect(&self) -> Result<Duration> {
        let mark = self.daemons[0].mark();
        let cut_at = now_ns();
        self.world.switch.silence(&["brain"])?;
        self.world.brain.kill_processes()?;
        let dead = self.daemons[0].wait_after(mark, "peer-dead", CONVERGED_WITHIN)?;
        Ok(Duration::from_nanos(dead.at_ns.saturating_sub(cut_at)))
    }

    /// How many VIPs each of some hosts has, when each VIP is on exactly one of them.
    fn shares(&self, hosts: &[Rc<Host>]) -> Option<Vec<usize>> {
        // Looking costs time that the daemons want.
        std::thread::sleep(Duration::from_millis(100));
        let all = self.vips();
        let mut held = BTreeMap::new();
        let mut shares = Vec::new();
        for host in hosts {
            let addresses = host.route(standin_sys::netlink::RouteSocket::addresses).ok()?;
            let here = addresses.iter().filter(|address| all.contains(&address.ip));
            let here: Vec<IpAddr> = here.map(|address| address.ip).collect();
            shares.push(here.len());
            for vip in here {
                *held.entry(vip).or_insert(0) += 1;
            }
        }
        (held.len() == all.len() && held.values().all(|count| *count == 1)).then_some(shares)
    }

    /// Some nodes lose their power: how long until somebody else has announced each of their VIPs.
    fn lose(&self, count: usize) -> Result<Value> {
        ensure!(count < self.hosts.len(), "somebody has to live");
        let step = self.hosts.len() / count;
        let (mut lost, mut left) = (Vec::new(), Vec::new());
        for (place, host) in self.hosts.iter().enumerate() {
            let goes = place.is_multiple_of(step) && lost.len() < count;
            if goes { lost.push(host.clone()) } else { left.push(host.clone()) }
        }
        let orphans: BTreeSet<IpAddr> =
            self.vips().into_iter().filter(|vip| lost.iter().any(|host| host.has(*vip))).collect();
        let wire = self.world.capture_lan()?;
        let ports: Vec<&str> = lost.iter().map(|host| host.name()).collect();
        let cut_at = now_ns();
        self.world.switch.silence(&ports)?;
        let cut = Duration::from_nanos(now_ns() - cut_at);
        for host in &lost {
            host.kill_processes()?;
        }
        let macs: BTreeSet<[u8; 6]> = left.iter().map(|host| host.mac().0).collect();
        let what = "every orphan is announced by somebody who lives";
        let first = wait::until(what, CONVERGED_WITHIN, || {
            let first = first_announcements(&wire, cut_at, &macs);
            let all = orphans.iter().all(|vip| first.keys().any(|(known, _)| known == vip));
            std::thread::sleep(Duration::from_millis(50));
            all.then_some(first)
        });
        let first = first.with_context(|| self.missing(&wire, cut_at, &macs, &orphans))?;
        let mut times: Vec<Duration> = orphans
            .iter()
            .filter_map(|vip| {
                first.iter().filter(|((known, _), _)| known == vip).map(|(_, at)| *at).min()
            })
            .collect();
        times.sort_unstable();
        wait::until("each VIP is on one node", CONVERGED_WITHIN, || self.shares(&left))?;
        std::thread::sleep(AFTERWARDS);
        wait::until("each VIP stays on one node", CONVERGED_WITHIN, || self.shares(&left))?;
        let claims = first_announcements(&wire, cut_at, &macs);
        let settled = claims.iter().filter(|((vip, _), _)| orphans.contains(vip));
        let settled = settled.map(|(_, at)| *at).max().unwrap_or_default();
        let converged = times.last().copied().unwrap_or_default();
        Ok(json!({
            "converged": (converged.as_secs_f64() / DEAD_AFTER.as_secs_f64() * 1e3).round() / 1e3,
            "converged_ms": milliseconds(converged),
            "first_ms": milliseconds(times.first().copied().unwrap_or_default()),
            "settled_ms": milliseconds(settled),
            "orphans": orphans.len(),
            "claims": claims.keys().filter(|(vip, _)| orphans.contains(vip)).count(),
            "cut_ms": milliseconds(cut),
            "boot_ms": milliseconds(self.boot.time),
            "boot_frames": self.boot.frames,
        }))
    }

    fn missing(
        &self,
        wire: &Capture,
        since_ns: u64,
        macs: &BTreeSet<[u8; 6]>,
        orphans: &BTreeSet<IpAddr>,
    ) -> String {
        let first = first_announcements(wire, since_ns, macs);
        let known: BTreeSet<IpAddr> = first.keys().map(|(vip, _)| *vip).collect();
        let missing: Vec<String> = orphans.difference(&known).map(IpAddr::to_string).collect();
        self.world.lab.say(format!("nobody has announced {}", missing.join(", ")));
        format!("{} of {} were taken over", orphans.len() - missing.len(), orphans.len())
    }
}

/// Since a moment, when each address was first announced by each of some hosts.
fn first_announcements(
    wire: &Capture,
    since_ns: u64,
    macs: &BTreeSet<[u8; 6]>,
) -> BTreeMap<(IpAddr, [u8; 6]), Duration> {
    let mut first = BTreeMap::new();
    for seen in wire.all() {
        let Some((Mac(mac), vip)) = seen.asserts() else { continue };
        if seen.at_ns > since_ns && macs.contains(&mac) && seen.announces(Mac(mac), vip) {
            let after = Duration::from_nanos(seen.at_ns - since_ns);
            first.entry((vip, mac)).or_insert(after);
        }
    }
    first.retain(|(vip, _), _| vips(Shape::Homes, MOST_NODES).contains(vip));
    first
}

/// Wall-clock time in nanoseconds since 1970, as the capture has it.
fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Each host knows where the others are.
fn introduce(hosts: &[Rc<Host>]) -> Result<()> {
    for host in hosts {
        let ifindex = host.nic().ifindex;
        for (number, other) in (FIRST..).zip(hosts) {
            if other.name() != host.name() {
                let real = Family::V4.real(number);
                host.route(|route| route.set_neighbour(ifindex, real, other.mac().0, true))?;
            }
        }
    }
    Ok(())
}

fn file(hosts: &[Rc<Host>], shape: Shape) -> String {
    let nodes: Vec<String> = (FIRST..)
        .zip(hosts)
        .map(|(number, host)| format!("{} = \"{}\"", host.name(), Family::V4.real(number)))
        .collect();
    let vips = vips(shape, u8::try_from(hosts.len()).unwrap_or(MOST_NODES));
    let groups: Vec<String> = match shape {
        Shape::One => vec![format!("[[vip]]\naddress = \"{}\"\nhome = \"brain\"\n", vips[0])],
        Shape::Pool => {
            let (first, last) = (vips[0], vips[vips.len() - 1]);
            vec![format!("[[vip]]\naddress = \"{first}-{last}\"\nspread = true\n")]
        }
        Shape::Homes => vips
            .iter()
            .zip(hosts)
            .map(|(vip, host)| {
                format!("[[vip]]\naddress = \"{vip}\"\nhome = \"{}\"\n", host.name())
            })
            .collect(),
    };
    format!(
        "cluster = \"bench\"\nkey-file = \"{}/key\"\n[nodes]\n{}\n{}\
         [timing]\ndead-after = \"{}s\"\n",
        Lab::directory().display(),
        nodes.join("\n"),
        groups.concat(),
        DEAD_AFTER.as_secs()
    )
}
