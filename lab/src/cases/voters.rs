//! Voters of a quorum, and what they run.
//!
//! Owns their hosts, files and daemons, and the questions that cases ask them. The address is
//! Brain's, who is home.

use std::cell::RefCell;
use std::fs;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use standin_sys::process::CommandExt;
use standin_sys::signal::SIGHUP;

use super::cluster::run;
use crate::daemon::Daemon;
use crate::event::Event;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::watcher::Watcher;
use crate::world::{BRAIN, Family, Host, LAN, OTHER_LAN, OUTSIDE, PINKY, SNOWBALL, World};

/// Longer than a busy machine keeps a process waiting: a lease that lapses for that is no failure of
/// anybody's, but says nothing either.
pub(super) const LEASE: Duration = Duration::from_millis(400);
/// The voters, the nodes first.
const VOTERS: [(&str, u8); 5] =
    [("pinky", PINKY), ("brain", BRAIN), ("snowball", SNOWBALL), ("edward", 5), ("larry", 6)];

/// What voters have in common.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct Shape {
    /// So many hold addresses; the others are witnesses.
    pub nodes: usize,
    /// So many are in the file at first.
    pub listed: usize,
    /// Of heartbeats and of the address.
    pub family: Family,
    pub lease: Duration,
    /// `on-doubt = "hold"`.
    pub holds: bool,
    /// The kernel has nftables, as far as the daemons know.
    pub nftables: bool,
    /// Each has a second wire, to a segment beside the first.
    pub two_paths: bool,
    /// The last of them is on the other side of the router.
    pub last_outside: bool,
}

impl Shape {
    /// Three voters, of which so many are nodes.
    pub(super) const fn three(nodes: usize) -> Self {
        Self {
            nodes,
            listed: 3,
            family: Family::V4,
            lease: LEASE,
            holds: false,
            nftables: true,
            two_paths: false,
            last_outside: false,
        }
    }
}

/// Voters and what they run.
pub(super) struct Voters<'w, 'l> {
    world: &'w World<'l>,
    shape: Shape,
    pub(super) hosts: Vec<Rc<Host>>,
    /// How many of them are in the file.
    pub(super) listed: RefCell<usize>,
    addresses: Vec<Vec<IpAddr>>,
    daemons: RefCell<Vec<Option<Daemon>>>,
}

impl<'w, 'l> Voters<'w, 'l> {
    /// Voters of that shape, not started yet. There are four hosts at least: one may come later.
    pub(super) fn of(world: &'w World<'l>, shape: Shape) -> Result<Self> {
        let mut hosts = vec![world.pinky.clone(), world.brain.clone()];
        let mut addresses = Vec::new();
        for (at, (name, number)) in VOTERS.into_iter().enumerate().take(shape.listed.max(4)) {
            let outside = shape.last_outside && at + 1 == shape.listed;
            if at >= hosts.len() {
                hosts.push(if outside {
                    world.add_host_outside(name, number)?
                } else {
                    world.add_host(name, number)?
                });
            }
            let segment = if outside { OUTSIDE } else { LAN };
            let mut paths = vec![shape.family.of(segment, number)];
            if shape.two_paths {
                world.add_wire(&hosts[at], number, true)?;
                paths.push(shape.family.of(OTHER_LAN, number));
            }
            addresses.push(paths);
        }
        let key = Lab::directory().join("key");
        if !key.exists() {
            run(world.lab, &world.pinky, &format!("keygen {}", key.display()))?;
        }
        let daemons = RefCell::new(hosts.iter().map(|_| None).collect());
        let listed = RefCell::new(shape.listed);
        Ok(Self { world, shape, hosts, listed, addresses, daemons })
    }

    /// Starts all that are listed, and waits until Brain has its address.
    pub(super) fn start_as(world: &'w World<'l>, shape: Shape) -> Result<Self> {
        let voters = Self::of(world, shape)?;
        for host in (0..shape.listed).rev() {
            voters.start_one(host)?;
        }
        voters.wait_held_by("brain")?;
        Ok(voters)
    }

    /// Starts three, of which so many are nodes, and waits until Brain has its address.
    pub(super) fn start(world: &'w World<'l>, nodes: usize) -> Result<Self> {
        Self::start_as(world, Shape::three(nodes))
    }

    /// The address that they keep.
    pub(super) fn vip(&self) -> IpAddr {
        self.shape.family.vip(BRAIN)
    }

    pub(super) fn write(&self, host: usize) -> Result<()> {
        let lines = |range: std::ops::Range<usize>| -> String {
            let line = |n: usize| format!("{} = {:?}", VOTERS[n].0, texts(&self.addresses[n]));
            range.map(line).collect::<Vec<_>>().join("\n")
        };
        let (listed, shape) = (*self.listed.borrow(), self.shape);
        // A daemon that dies is found in half a second at most, however long the lease is.
        let dead_after = shape.lease.min(Duration::from_millis(500));
        let lease = if shape.lease == dead_after {
            String::new()
        } else {
            format!("lease = \"{}ms\"", shape.lease.as_millis())
        };
        let file = format!(
            "cluster = \"lab\"\nkey-file = \"{}/key\"\nauthority = \"quorum\"\n{lease}\n\
             [nodes]\n{}\n[witnesses]\n{}\n[[vip]]\naddress = \"{}\"\nhome = \"brain\"\n\
             on-doubt = \"{}\"\n[timing]\ndead-after = \"{}ms\"\nback-after = \"300ms\"\n\
             [control]\nsocket = \"{}\"\n",
            Lab::directory().display(),
            lines(0..shape.nodes),
            lines(shape.nodes..listed),
            self.vip(),
            if shape.holds { "hold" } else { "release" },
            dead_after.as_millis(),
            path(host, "sock")
        );
        fs::write(path(host, "toml"), file).context("write the file of the cluster")
    }

    pub(super) fn start_one(&self, host: usize) -> Result<()> {
        self.write(host)?;
        let (at, file, name) = (&self.hosts[host], path(host, "toml"), VOTERS[host].0);
        let mut command = at.command(self.world.lab.standin());
        if host < self.shape.nodes {
            self.world.lab.say(format!("{name}: standin run"));
            command.args(["run", &file]);
        } else {
            self.world.lab.say(format!("{name}: standin witness"));
            command.args(["witness", &file, "--socket", &path(host, "sock")]);
        }
        command.args(["--node", name, "--log", "json", "--log-level", "debug"]);
        if !self.shape.nftables {
            command.without_nftables();
        }
        let daemon = at.start(self.world.lab, "standin", &mut command)?;
        daemon.wait("started")?;
        self.daemons.borrow_mut()[host] = Some(daemon);
        Ok(())
    }

    pub(super) fn daemon<T>(
        &self,
        host: usize,
        work: impl FnOnce(&Daemon) -> Result<T>,
    ) -> Result<T> {
        let daemons = self.daemons.borrow();
        work(daemons[host].as_ref().context("a daemon that was started")?)
    }

    pub(super) fn ask(&self, host: usize, command: &str) -> Result<Value> {
        let line = format!("{command} --json --socket {}", path(host, "sock"));
        let said = run(self.world.lab, &self.hosts[host], &line)?;
        serde_json::from_str(&said).with_context(|| format!("{command} said {said:?}"))
    }

    pub(super) fn holders(&self) -> Vec<&str> {
        let holders = self.hosts.iter().filter(|host| host.has(self.vip()));
        holders.map(|host| host.name()).collect()
    }

    pub(super) fn wait_held_by(&self, name: &str) -> Result<()> {
        let what = format!("{} is on {name} and nowhere else", self.vip());
        wait::until_true(&what, PATIENCE, || self.holders() == [name])
    }

    /// Watches the nodes; Brain answers from the beginning.
    pub(super) fn watch(&self) -> Result<Watcher> {
        let watcher = Watcher::start(self.world, self.vip(), &self.hosts[..self.shape.nodes])?;
        watcher.wait_answered_by("brain", 0)?;
        Ok(watcher)
    }

    /// A voter reads its file again; what it says to that.
    pub(super) fn reload(&self, host: usize, word: &str) -> Result<Event> {
        self.write(host)?;
        let mark = self.daemon(host, |daemon| Ok(daemon.mark()))?;
        self.daemon(host, |daemon| daemon.signal(SIGHUP))?;
        self.daemon(host, |daemon| daemon.wait_after(mark, word, PATIENCE))
    }

    pub(super) fn stop_all(self) -> Result<()> {
        let vip = self.vip();
        for daemon in self.daemons.into_inner().into_iter().flatten() {
            if daemon.process().ended().is_none() {
                daemon.stop()?;
            }
        }
        for host in &self.hosts {
            ensure!(!host.has(vip), "{} keeps {vip} after its end", host.name());
        }
        Ok(())
    }
}

fn texts(addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

/// A file of a voter's own: the hosts of the lab share a file system.
fn path(host: usize, ending: &str) -> String {
    format!("{}/{}.{ending}", Lab::directory().display(), VOTERS[host].0)
}
