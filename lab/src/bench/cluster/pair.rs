//! Two nodes that share one VIP: `standin run` in one of its settings, or keepalived.
//!
//! Owns how each is started, ended, and told to do something. Brain is home and holds the VIP;
//! Pinky waits.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use standin_sys::netlink::{LocalRoute, RouteSocket};
use standin_sys::process::{CommandExt, ProcessHandle};
use standin_sys::signal::SIGTERM;

use crate::bench::subject::random_fraction;
use crate::bench::usage::Processes;
use crate::daemon::Daemon;
use crate::peers::{Node, Peer, Role};
use crate::sandbox;
use crate::server::HTTP_PORT;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, Host, LAN, PINKY, World};

/// keepalived waits for three advertisements before anything.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Ten thousand addresses take the kernel two seconds, and keepalived finds its part anew after it.
const MANY_WITHIN: Duration = Duration::from_mins(1);
/// Of a group's other addresses.
const FIRST_OF_MORE: Ipv4Addr = Ipv4Addr::new(10, LAN, 100, 1);
/// As `standin` labels its routes.
const ROUTES_OF_STANDIN: u8 = 93;
/// How often a second one check may run: its shortest interval is 10 ms.
const MOST_CHECKS_HZ: u16 = 100;

/// The third voter.
const WITNESS: &str = "carl";
const WITNESS_NUMBER: u8 = 30;

/// A system in one of its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// With this `dead-after`, or as it comes.
    Standin(Option<Duration>),
    /// With this lease of a majority, a witness as the third voter, and a `dead-after` that is a
    /// little shorter.
    Quorum(Duration),
    Keepalived(Peer),
}

impl System {
    /// By the name it has in the tables: `standin`, `standin-10ms`, `keepalived-fast`.
    pub fn named(name: &str) -> Result<Self> {
        if let Some(peer) = Peer::ALL.into_iter().find(|peer| peer.name() == name) {
            return Ok(Self::Keepalived(peer));
        }
        let setting = name.strip_prefix("standin").with_context(|| format!("no system {name}"))?;
        if setting.is_empty() {
            return Ok(Self::Standin(None));
        }
        let (quorum, setting) = match setting.strip_prefix("-quorum") {
            Some(rest) => (true, rest),
            None => (false, setting),
        };
        let number = setting.strip_prefix('-').and_then(|rest| rest.strip_suffix("ms"));
        let milliseconds = number.and_then(|number| number.parse().ok());
        let milliseconds = milliseconds.with_context(|| format!("no system {name}"))?;
        let time = Duration::from_millis(milliseconds);
        Ok(if quorum { Self::Quorum(time) } else { Self::Standin(Some(time)) })
    }

    pub fn is_ours(self) -> bool {
        !matches!(self, Self::Keepalived(_))
    }

    /// Fails with a package's name where a program is missing.
    pub fn require_programs(self) -> Result<()> {
        if self.is_ours() { Ok(()) } else { sandbox::require("keepalived", "keepalived") }
    }

    /// From one sign of life to the next: a fault comes at a random phase of it.
    fn rhythm(self) -> Duration {
        match self {
            Self::Standin(dead_after) => dead_after.unwrap_or(Duration::from_secs(1)) / 4,
            Self::Quorum(lease) => dead_after_of(lease) / 4,
            Self::Keepalived(Peer::KeepalivedFast) => Duration::from_millis(10),
            Self::Keepalived(_) => Duration::from_secs(1),
        }
    }
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Pinky, which waits.
    Waiting,
    /// Brain, which holds the VIP.
    Home,
}

/// What the two of them share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub system: System,
    /// How many addresses the VIP's group has.
    pub addresses: u16,
    /// How often a second each node checks the service; only `standin` is told to.
    pub checks: u16,
}

impl Setting {
    /// One address and no checks.
    pub const fn plain(system: System) -> Self {
        Self { system, addresses: 1, checks: 0 }
    }
}

/// The two of them, started.
pub struct Pair<'w, 'l> {
    world: &'w World<'l>,
    system: System,
    daemons: RefCell<[Option<Daemon>; 2]>,
    /// The third voter and its host, under a quorum.
    witness: Option<(Daemon, Rc<Host>)>,
    setting: Setting,
}

impl<'w, 'l> Pair<'w, 'l> {
    /// Starts both with one address; returns when home has the VIP and the other watches.
    pub fn start(world: &'w World<'l>, system: System) -> Result<Self> {
        Self::start_with(world, Setting::plain(system))
    }

    /// The same with any setting.
    pub fn start_with(world: &'w World<'l>, setting: Setting) -> Result<Self> {
        let system = setting.system;
        let daemons = RefCell::default();
        let mut pair = Self { world, system, daemons, witness: None, setting };
        if system.is_ours() {
            keygen(world.lab, &world.pinky)?;
        }
        if matches!(system, System::Quorum(_)) {
            pair.witness = Some(pair.start_witness()?);
        }
        for side in [Side::Home, Side::Waiting] {
            pair.start_side(side)?;
        }
        for side in [Side::Home, Side::Waiting] {
            pair.wait_ready(side)?;
        }
        pair.wait_home_holds()?;
        Ok(pair)
    }

    /// Every address of the group, the VIP first.
    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        let IpAddr::V4(vip) = Self::vip() else { return Vec::new() };
        let more = 1..u32::from(self.setting.addresses);
        let more = more.map(|number| Ipv4Addr::from(u32::from(FIRST_OF_MORE) + number - 1));
        [vip].into_iter().chain(more).collect()
    }

    /// The VIP of both.
    pub fn vip() -> IpAddr {
        Family::V4.vip(BRAIN)
    }

    fn host(&self, side: Side) -> &'w Host {
        match side {
            Side::Waiting => &self.world.pinky,
            Side::Home => &self.world.brain,
        }
    }

    /// Waits until home holds the VIP, alone.
    pub fn wait_home_holds(&self) -> Result<()> {
        self.wait_held_by(Side::Home)
    }

    /// Waits until one has the VIP and the other has not.
    pub fn wait_held_by(&self, side: Side) -> Result<()> {
        let other = if side == Side::Home { Side::Waiting } else { Side::Home };
        let name = self.host(side).name();
        let (one, other) = (self.host(side), self.host(other));
        let within = if self.setting.addresses > 1 { MANY_WITHIN } else { READY_WITHIN };
        wait::until_true(&format!("{name} holds the VIP, alone"), within, || {
            self.has_all(one) && !self.has(other)
        })
    }

    /// Whether a host has the VIP, in whatever form its system gives it.
    fn has(&self, host: &Host) -> bool {
        if self.system.is_ours() && self.setting.addresses > 1 {
            let own = |route: &LocalRoute| IpAddr::V4(route.address) == Self::vip();
            return Self::routes(host).iter().any(own) || host.has(Self::vip());
        }
        host.has(Self::vip())
    }

    /// Whether a host has every address of the group.
    fn has_all(&self, host: &Host) -> bool {
        if self.setting.addresses == 1 {
            return host.has(Self::vip());
        }
        let routed: u64 =
            Self::routes(host).iter().map(|route| 1_u64 << (32 - u32::from(route.prefix))).sum();
        let wanted: BTreeSet<IpAddr> = self.addresses().into_iter().map(IpAddr::V4).collect();
        let all = host.route(RouteSocket::addresses).unwrap_or_default();
        let there = all.iter().filter(|address| wanted.contains(&address.ip)).count() as u64;
        routed + there == u64::from(self.setting.addresses)
    }

    /// The routes that stand for addresses.
    fn routes(host: &Host) -> Vec<LocalRoute> {
        host.route(|route| route.local_routes(ROUTES_OF_STANDIN)).unwrap_or_default()
    }

    /// Whether home has the VIP, and whether the other has. Both only where both had it at one
    /// moment: home is looked at before the other and after.
    pub fn holders(&self) -> (bool, bool) {
        let before = self.has(&self.world.brain);
        let waiting = self.has(&self.world.pinky);
        let home = if waiting { before && self.has(&self.world.brain) } else { before };
        (home, waiting)
    }

    /// Whether a holder answers under a lease only.
    pub fn is_leased(&self) -> bool {
        matches!(self.system, System::Quorum(_))
    }

    /// A moment in which nothing happens, of a random length.
    pub fn settle(&self) {
        let rhythm = self.system.rhythm();
        std::thread::sleep(Duration::from_millis(300) + rhythm + rhythm.mul_f64(random_fraction()));
    }

    /// Starts a side's daemon.
    pub fn start_side(&self, side: Side) -> Result<()> {
        let daemon = match self.system {
            System::Standin(_) | System::Quorum(_) => self.start_standin(side)?,
            System::Keepalived(peer) => self.start_keepalived(side, peer)?,
        };
        self.daemons.borrow_mut()[side as usize] = Some(daemon);
        Ok(())
    }

    /// Waits until a side's daemon knows how things are.
    pub fn wait_ready(&self, side: Side) -> Result<()> {
        self.daemon(side, |daemon| match self.system {
            System::Standin(_) | System::Quorum(_) => {
                daemon.wait_after(0, "ready", READY_WITHIN).map(drop)
            }
            System::Keepalived(_) => {
                let word = if side == Side::Home { "MASTER" } else { "BACKUP" };
                wait::until_true("keepalived has found its part", READY_WITHIN, || {
                    daemon.text().contains(&format!("Entering {word} STATE"))
                })
            }
        })
    }

    /// The file of the cluster, the same on every host but for the control socket.
    fn file(&self, host: &Host) -> String {
        let directory = Lab::directory().display();
        let timing =
            |time: Duration| format!("[timing]\ndead-after = \"{}ms\"\n", time.as_millis());
        let (head, voters, timing) = match self.system {
            System::Quorum(lease) => (
                format!("authority = \"quorum\"\nlease = \"{}ms\"\n", lease.as_millis()),
                format!("[witnesses]\n{WITNESS} = \"{}\"\n", Family::V4.real(WITNESS_NUMBER)),
                timing(dead_after_of(lease)),
            ),
            System::Standin(Some(time)) => (String::new(), String::new(), timing(time)),
            System::Standin(None) | System::Keepalived(_) => Default::default(),
        };
        let more = match self.addresses().as_slice() {
            [_, first, .., last] => format!(", \"{first}-{last}\""),
            [_, other] => format!(", \"{other}\""),
            _ => String::new(),
        };
        let checks = Checks::of(self.setting.checks);
        format!(
            "cluster = \"bench\"\nkey-file = \"{directory}/key\"\n{head}[nodes]\npinky = \"{}\"\n\
             brain = \"{}\"\n{voters}[[vip]]\naddress = [\"{}\"{more}]\ninterface = \"eth0\"\nhome = \"brain\"\n{}{timing}{}\
             [control]\nsocket = \"{}\"\n",
            Family::V4.real(PINKY),
            Family::V4.real(BRAIN),
            Self::vip(),
            checks.named(),
            checks.tables(),
            socket(host)
        )
    }

    fn start_standin(&self, side: Side) -> Result<Daemon> {
        let host = self.host(side);
        start_node(self.world.lab, host, &self.file(host))
    }

    /// A third host that votes and holds nothing.
    fn start_witness(&self) -> Result<(Daemon, Rc<Host>)> {
        let host = self.world.add_quiet_host(WITNESS, WITNESS_NUMBER)?;
        let daemon = start_as(self.world.lab, &host, "witness", &self.file(&host))?;
        Ok((daemon, host))
    }

    fn start_keepalived(&self, side: Side, peer: Peer) -> Result<Daemon> {
        let node = |side| {
            let (name, number, role) = match side {
                Side::Waiting => ("pinky", PINKY, Role::StandIn),
                Side::Home => ("brain", BRAIN, Role::Home),
            };
            Node { name, interface: "eth0", real: Ipv4Addr::new(10, LAN, 0, number), role }
        };
        let other = if side == Side::Home { Side::Waiting } else { Side::Home };
        let vips = self.addresses();
        let command = peer.unicast_command(node(side), node(other), &vips, Lab::directory());
        let mut command = command.context("keepalived's files")?.context("keepalived's command")?;
        let host = self.host(side);
        command.in_namespace(host.namespace());
        host.start(self.world.lab, peer.name(), &mut command)
    }

    /// Works with a side's daemon.
    pub fn daemon<T>(&self, side: Side, work: impl FnOnce(&Daemon) -> Result<T>) -> Result<T> {
        let daemons = self.daemons.borrow();
        work(daemons[side as usize].as_ref().context("a daemon that was started")?)
    }

    /// The processes of a side's daemon, the one that works last.
    pub fn processes(&self, side: Side) -> Result<Processes> {
        let own = self.daemon(side, |daemon| Ok(daemon.process().id()))?;
        Ok(Processes(if self.system.is_ours() {
            vec![own]
        } else {
            vec![own, self.worker_of_keepalived(side)?]
        }))
    }

    /// keepalived's parent starts a child that does the work.
    fn worker_of_keepalived(&self, side: Side) -> Result<u32> {
        let name = format!("keepalived-{}.vrrp.pid", self.host(side).name());
        let text =
            fs::read_to_string(Lab::directory().join(name)).context("keepalived's pid file")?;
        text.trim().parse().context("keepalived's pid file")
    }

    /// When the one that waits judged the other to be dead, in nanoseconds since 1970, as it says itself;
    /// of keepalived, which does not, when its line came.
    pub fn verdict_ns(&self, mark: usize, within: Duration) -> Result<u64> {
        let (now, now_ns) = (Instant::now(), standin_sys::clock::realtime_ns());
        self.daemon(Side::Waiting, |daemon| {
            if self.system.is_ours() {
                return Ok(daemon.wait_after(mark, "peer-dead", within)?.at_ns);
            }
            let at = wait::until("the verdict is told", within, || {
                let lines = daemon.log().lines();
                let mut later = lines.iter().skip(mark);
                later.find(|line| line.text.contains("Entering MASTER STATE")).map(|line| line.at)
            })?;
            let before = u64::try_from(now.saturating_duration_since(at).as_nanos())?;
            let after = u64::try_from(at.saturating_duration_since(now).as_nanos())?;
            Ok(now_ns + after - before)
        })
    }

    /// Gives an order at a side's control socket.
    pub fn order(&self, side: Side, order: &str) -> Result<()> {
        ensure!(self.system.is_ours(), "only standin takes orders");
        let host = self.host(side);
        let line = format!("{order} --json --socket {}", socket(host));
        let output = host.standin(self.world.lab, &line)?;
        ensure!(
            output.status.success(),
            "standin {order}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// Ends the holder's daemon as an administrator would, and waits for its end.
    pub fn stop_home(&self) -> Result<()> {
        self.daemon(Side::Home, |daemon| {
            daemon.signal(SIGTERM)?;
            daemon.wait_end(READY_WITHIN).map(drop)
        })
    }

    /// Ends the holder's daemon in the way that is meant for a restart.
    pub fn stop_home_for_restart(&self) -> Result<()> {
        if !self.system.is_ours() {
            return self.stop_home();
        }
        self.order(Side::Home, "stop --keep")?;
        self.daemon(Side::Home, |daemon| daemon.wait_end(PATIENCE).map(drop))
    }

    /// A signal to every process of the holder's daemon. keepalived has two.
    pub fn signal_home(&self, signal: i32) -> Result<()> {
        if !self.system.is_ours() {
            let id = self.worker_of_keepalived(Side::Home)?;
            // Its parent first: it would start another.
            self.daemon(Side::Home, |daemon| daemon.signal(signal))?;
            return Ok(ProcessHandle::open(id)?.send_signal(signal)?);
        }
        self.daemon(Side::Home, |daemon| daemon.signal(signal))
    }
}

/// Writes the key of the cluster: the hosts of the lab share a file system.
pub fn keygen(lab: &Lab, host: &Host) -> Result<()> {
    let output = host.standin(lab, &format!("keygen {}/key", Lab::directory().display()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// The control socket of a host.
pub fn socket(host: &Host) -> String {
    format!("{}/{}.sock", Lab::directory().display(), host.name())
}

/// Starts `standin run` on a host with this file.
pub fn start_node(lab: &Lab, host: &Host, text: &str) -> Result<Daemon> {
    start_as(lab, host, "run", text)
}

fn start_as(lab: &Lab, host: &Host, what: &str, text: &str) -> Result<Daemon> {
    let file = format!("{}/{}.toml", Lab::directory().display(), host.name());
    fs::write(&file, text).context("write the file of the cluster")?;
    let mut command = host.command(lab.standin());
    command.args([what, &file, "--node", host.name(), "--log", "json"]);
    host.start(lab, &format!("standin {what}"), &mut command)
}

/// Checks of a service on the node itself, by opening a TCP connection: as many kinds of them as the
/// shortest interval needs.
struct Checks {
    kinds: u16,
    interval: Duration,
}

impl Checks {
    /// So many a second.
    fn of(rate_hz: u16) -> Self {
        let kinds = rate_hz.div_ceil(MOST_CHECKS_HZ);
        let interval = Duration::from_secs(1) * u32::from(kinds) / u32::from(rate_hz.max(1));
        Self { kinds, interval }
    }

    fn names(&self) -> Vec<String> {
        (1..=self.kinds).map(|number| format!("web{number}")).collect()
    }

    /// The line of the group.
    fn named(&self) -> String {
        if self.kinds == 0 {
            return String::new();
        }
        format!("check = [\"{}\"]\n", self.names().join("\", \""))
    }

    fn tables(&self) -> String {
        let ms = self.interval.as_millis();
        let table = |name: &String| {
            format!(
                "[check.{name}]\ntcp = {HTTP_PORT}\ninterval = \"{ms}ms\"\n\
                 timeout = \"{ms}ms\"\nfall = 100\n"
            )
        };
        self.names().iter().map(table).collect()
    }
}

/// A holder that is gone should be known to be when its lease is over.
fn dead_after_of(lease: Duration) -> Duration {
    lease * 5 / 6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_have_names() {
        let named = |name| System::named(name).ok();
        assert_eq!(named("standin"), Some(System::Standin(None)));
        let ten = Duration::from_millis(10);
        assert_eq!(named("standin-10ms"), Some(System::Standin(Some(ten))));
        assert_eq!(named("keepalived-fast"), Some(System::Keepalived(Peer::KeepalivedFast)));
        let sixty = Duration::from_millis(60);
        assert_eq!(named("standin-quorum-60ms"), Some(System::Quorum(sixty)));
        for wrong in
            ["", "standin-quorum", "stand", "standin-", "standin-ms", "standin-10s", "standin10ms"]
        {
            assert_eq!(named(wrong), None, "{wrong}");
        }
    }
}
