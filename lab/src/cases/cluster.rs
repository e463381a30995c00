//! `standin run`: nodes that share one file hold each address once, whatever happens.

use std::cell::RefCell;
use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use standin_sys::signal::{SIGHUP, SIGKILL, SIGUSR2};

use super::{Case, alone, beside};
use crate::daemon::Daemon;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, Host, LAN, PINKY, SNOWBALL, World};

pub const CASES: &[Case] = &[
    beside("cluster_boots_two", "two nodes start: each VIP is at home, once", |lab| boots(lab, 2)),
    beside("cluster_boots_three", "the same with three", |lab| boots(lab, 3)),
    alone(
        "cluster_power_off",
        "a node dies: the client waits for little more than dead-after",
        |lab| power_off(lab, Family::V4),
    ),
    alone("cluster_power_off_ipv6", "the same with IPv6", |lab| power_off(lab, Family::V6)),
    alone("cluster_planned_moves", "ten planned moves at 1000/s: nothing is lost", planned_moves),
    alone("cluster_drain", "a node is drained and taken back: nothing is lost", drain),
    alone("cluster_graceful_stop", "the holder is stopped: nothing is lost", graceful_stop),
    alone("cluster_restart_keep", "restart with --keep: nothing lost, nothing moved", restart_keep),
    beside("cluster_daemon_killed", "the daemon is killed: no second holder", daemon_killed),
    beside("cluster_partition", "cut apart and mended: in the end one holder", partition),
    beside("cluster_cut_off", "who reaches nobody gives up what it holds", cut_off),
    beside("cluster_wrong_key", "another key: told by name, and no second holder", wrong_key),
    beside("cluster_other_file", "another file: told by name, and no second holder", other_file),
    beside("cluster_mixed_group", "IPv4 and IPv6 move together", mixed_group),
    beside("cluster_pool", "a pool is shared evenly, each address held once", pool),
    alone("cluster_reload", "a changed file: what need not move stays, unheard", reload),
    beside("cluster_reload_refused", "a bad file is refused whole", reload_refused),
    beside("cluster_hooks", "hooks in their order, and one that hangs is killed", hooks),
];

/// Short, so that nothing takes long.
pub(super) const DEAD_AFTER: Duration = Duration::from_millis(200);

/// Nodes that run one file.
pub struct Cluster<'w, 'l> {
    world: &'w World<'l>,
    pub(super) nodes: Vec<Rc<Host>>,
    daemons: RefCell<Vec<Option<Daemon>>>,
    /// What follows `[nodes]`, the same for all.
    text: RefCell<String>,
    pub(super) dead_after: Duration,
}

impl<'w, 'l> Cluster<'w, 'l> {
    /// Pinky, Brain and perhaps Snowball, not started yet.
    pub(super) fn new(world: &'w World<'l>, count: usize, text: &str) -> Result<Self> {
        let mut nodes = vec![world.pinky.clone(), world.brain.clone()];
        if count == 3 {
            nodes.push(world.add_host("snowball", SNOWBALL)?);
        }
        let key = format!("{}/key", Lab::directory().display());
        run(world.lab, &world.pinky, &format!("keygen {key}"))?;
        let daemons = RefCell::new(nodes.iter().map(|_| None).collect());
        Ok(Self {
            world,
            nodes,
            daemons,
            text: RefCell::new(text.to_owned()),
            dead_after: DEAD_AFTER,
        })
    }

    /// Starts all and waits until each has heard the others.
    pub fn start(world: &'w World<'l>, count: usize, text: &str) -> Result<Self> {
        let cluster = Self::new(world, count, text)?;
        for node in 0..count {
            cluster.start_node(node)?;
        }
        for node in 0..count {
            cluster.wait(node, "ready")?;
        }
        Ok(cluster)
    }

    fn file(&self, node: usize) -> String {
        format!("{}/{}.toml", Lab::directory().display(), self.nodes[node].name())
    }

    pub(super) fn socket(&self, node: usize) -> String {
        format!("{}/{}.sock", Lab::directory().display(), self.nodes[node].name())
    }

    /// Writes the file of a node: all are the same but for the control socket, since the hosts
    /// of the lab share a file system.
    pub(super) fn write(&self, node: usize, key: &str, text: &str) -> Result<()> {
        let directory = Lab::directory().display();
        let numbers = [("pinky", PINKY), ("brain", BRAIN), ("snowball", SNOWBALL)];
        let nodes: Vec<String> = numbers[..self.nodes.len()]
            .iter()
            .map(|(name, number)| format!("{name} = \"{}\"", Family::V4.real(*number)))
            .collect();
        let (top, rest) = text.split_once("[[vip]]").context("a VIP in the file")?;
        let file = format!(
            "cluster = \"lab\"\nkey-file = \"{directory}/{key}\"\n{top}\n[nodes]\n{}\n\
             [[vip]]{rest}\n[timing]\ndead-after = \"{}ms\"\nback-after = \"300ms\"\n\
             [control]\nsocket = \"{}\"\n",
            nodes.join("\n"),
            self.dead_after.as_millis(),
            self.socket(node)
        );
        fs::write(self.file(node), file).context("write the file of the cluster")
    }

    pub(super) fn start_node(&self, node: usize) -> Result<()> {
        self.write(node, "key", &self.text.borrow().clone())?;
        self.start_as_written(node)
    }

    fn start_as_written(&self, node: usize) -> Result<()> {
        let host = &self.nodes[node];
        let (file, name) = (self.file(node), host.name());
        self.world.lab.say(format!("{name}: standin run"));
        let mut command = host.command(self.world.lab.standin());
        command.args(["run", &file, "--node", name, "--log", "json", "--log-level", "debug"]);
        let daemon = host.start(self.world.lab, "standin run", &mut command)?;
        self.daemons.borrow_mut()[node] = Some(daemon);
        Ok(())
    }

    /// Works with the daemon of a node.
    pub fn daemon<T>(&self, node: usize, work: impl FnOnce(&Daemon) -> Result<T>) -> Result<T> {
        let daemons = self.daemons.borrow();
        work(daemons[node].as_ref().context("a daemon that was started")?)
    }

    pub(super) fn wait(&self, node: usize, event: &str) -> Result<()> {
        self.daemon(node, |daemon| daemon.wait(event).map(drop))
    }

    /// Asks or orders something at the control socket of a node.
    pub(super) fn ask(&self, node: usize, command: &str) -> Result<Value> {
        let line = format!("{command} --json --socket {}", self.socket(node));
        let said = run(self.world.lab, &self.nodes[node], &line)?;
        serde_json::from_str(&said).with_context(|| format!("{command} said {said:?}"))
    }

    /// The names of the nodes that have an address.
    pub(super) fn holders(&self, vip: IpAddr) -> Vec<&str> {
        let holders = self.nodes.iter().filter(|node| node.has(vip));
        holders.map(|node| node.name()).collect()
    }

    pub(super) fn wait_held_by(&self, vip: IpAddr, name: &str) -> Result<()> {
        let what = format!("{vip} is on {name} and nowhere else");
        wait::until_true(&what, PATIENCE, || self.holders(vip) == [name])
    }

    /// Each address at home and known to the router there.
    pub fn wait_at_home(&self) -> Result<()> {
        let homes = [("pinky", PINKY), ("brain", BRAIN)];
        for (name, number) in homes {
            self.wait_held_by(Family::V4.vip(number), name)?;
        }
        Ok(())
    }

    pub fn stop_all(self) -> Result<()> {
        for daemon in self.daemons.into_inner().into_iter().flatten() {
            if daemon.process().ended().is_none() {
                daemon.stop()?;
            }
        }
        for vip in World::public_addresses() {
            for node in &self.nodes {
                ensure!(!node.has(vip), "{} keeps {vip} after its end", node.name());
            }
        }
        Ok(())
    }
}

/// Runs `standin` on a host; what it prints.
pub(super) fn run(lab: &Lab, host: &Host, line: &str) -> Result<String> {
    let output = host.standin(lab, line)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("standin {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(said)
}

/// A VIP for Pinky and one for Brain.
pub fn two_vips(family: Family) -> String {
    let vip = |number, home| {
        format!("[[vip]]\naddress = \"{}\"\nhome = \"{home}\"\n", family.vip(number))
    };
    vip(PINKY, "pinky") + &vip(BRAIN, "brain")
}

fn boots(lab: &Lab, count: usize) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, count, &two_vips(Family::V4))?;
    cluster.wait_at_home()?;
    let status = cluster.ask(0, "status")?;
    ensure!(status["node"] == "pinky" && status["cluster"] == "lab", "{status}");
    let seen = status["nodes"].as_array().map(Vec::len);
    ensure!(seen == Some(count), "{status}");
    let explain = format!("explain {}", Family::V4.vip(BRAIN));
    wait::until_true("Pinky has heard that Brain has it", PATIENCE, || {
        cluster.ask(0, &explain).is_ok_and(|why| why["holder"] == "brain")
    })?;
    let why = cluster.ask(0, &explain)?;
    ensure!(why["reason"] == "brain is home", "{why}");
    let plan = cluster.ask(1, "plan --fail pinky")?;
    ensure!(plan["groups"][0]["then"] == "brain" && plan["groups"][0]["moves"] == true, "{plan}");
    ensure!(plan["groups"][1]["moves"] == false, "{plan}");
    cluster.stop_all()
}

fn power_off(lab: &Lab, family: Family) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(family))?;
    let vip = family.vip(BRAIN);
    cluster.wait_held_by(vip, "brain")?;
    let client = world.ask(vip, 1000)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    world.power_off(&world.brain)?;
    let mark = client.mark();
    client.wait_answered_by("pinky", mark, PATIENCE)?;
    let gap = client.finish().longest_gap();
    lab.say(format!("the client waited {} ms", gap.as_millis()));
    ensure!(gap <= DEAD_AFTER + Duration::from_millis(100), "it waited {} ms", gap.as_millis());
    ensure!(gap >= DEAD_AFTER / 2, "taken early, after {} ms", gap.as_millis());
    world.wait_router_sends(vip, &world.pinky)?;
    wait::until_true("Brain's kernel drops what nobody renews", PATIENCE, || {
        !world.brain.has(vip)
    })?;
    world.power_on(&world.brain)?;
    cluster.start_node(1)?;
    cluster.wait_held_by(vip, "brain")?;
    world.wait_router_sends(vip, &world.brain)?;
    cluster.stop_all()
}

fn planned_moves(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    let vip = Family::V4.vip(BRAIN);
    cluster.wait_at_home()?;
    let client = world.ask(vip, 1000)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    for round in 0..10 {
        let to = ["pinky", "brain"][round % 2];
        cluster.ask(round % 2, &format!("move {vip} {to}"))?;
        cluster.wait_held_by(vip, to)?;
        client.wait_answered_by(to, client.mark(), PATIENCE)?;
    }
    let record = client.finish();
    lab.say(format!("{} requests, {} lost", record.sent(), record.lost()));
    ensure!(record.lost() == 0, "{} of {} were lost", record.lost(), record.sent());
    let refused = cluster.ask(0, &format!("move {vip} pinki"));
    let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(said.contains("did you mean pinky?"), "{said}");
    cluster.stop_all()
}

fn drain(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 3, &two_vips(Family::V4))?;
    let vip = Family::V4.vip(BRAIN);
    cluster.wait_at_home()?;
    let client = world.ask(vip, 1000)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    lab.say("another node gives the order");
    cluster.ask(2, "drain brain")?;
    cluster.wait_held_by(vip, "pinky")?;
    let status = cluster.ask(0, "status")?;
    ensure!(status["nodes"][1]["drained"] == true, "{status}");
    cluster.ask(1, "undrain brain")?;
    cluster.wait_held_by(vip, "brain")?;
    client.wait_answered_by("brain", client.mark(), PATIENCE)?;
    let record = client.finish();
    ensure!(record.lost() == 0, "{} of {} were lost", record.lost(), record.sent());
    cluster.stop_all()
}

fn graceful_stop(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    let vip = Family::V4.vip(BRAIN);
    cluster.wait_at_home()?;
    let client = world.ask(vip, 1000)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    cluster.daemon(1, Daemon::stop)?;
    ensure!(!world.brain.has(vip), "Brain keeps {vip} after its end");
    cluster.wait_held_by(vip, "pinky")?;
    client.wait_answered_by("pinky", client.mark(), PATIENCE)?;
    lab.say("and back");
    cluster.start_node(1)?;
    cluster.wait_held_by(vip, "brain")?;
    client.wait_answered_by("brain", client.mark(), PATIENCE)?;
    let record = client.finish();
    ensure!(record.lost() == 0, "{} of {} were lost", record.lost(), record.sent());
    cluster.stop_all()
}

fn restart_keep(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    let vip = Family::V4.vip(BRAIN);
    cluster.wait_at_home()?;
    let client = world.ask(vip, 1000)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    for by_signal in [false, true] {
        let mark = cluster.daemon(0, |daemon| Ok(daemon.mark()))?;
        if by_signal {
            cluster.daemon(1, |daemon| daemon.signal(SIGUSR2))?;
        } else {
            cluster.ask(1, "stop --keep")?;
        }
        cluster.daemon(1, |daemon| daemon.wait_end(PATIENCE).map(drop))?;
        ensure!(world.brain.has(vip), "{vip} was not left behind");
        // Longer than dead-after: the others notice, and wait.
        cluster.daemon(0, |daemon| daemon.wait_after(mark, "member-left", PATIENCE).map(drop))?;
        wait::throughout("Brain's alone", 2 * DEAD_AFTER, || cluster.holders(vip) == ["brain"])?;
        cluster.start_node(1)?;
        cluster.wait(1, "ready")?;
        wait::throughout("Brain's alone", 2 * DEAD_AFTER, || cluster.holders(vip) == ["brain"])?;
    }
    let record = client.finish();
    ensure!(record.lost() == 0, "{} of {} were lost", record.lost(), record.sent());
    ensure!(record.moves() == 0, "it moved {} times", record.moves());
    cluster.stop_all()
}

fn daemon_killed(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    let vip = Family::V4.vip(BRAIN);
    cluster.wait_at_home()?;
    let client = world.ask(vip, 500)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    cluster.daemon(1, |daemon| daemon.signal(SIGKILL))?;
    cluster.wait(0, "daemon-gone")?;
    wait::until("Pinky has it", PATIENCE, || match cluster.holders(vip).as_slice() {
        ["pinky"] => Some(Ok(())),
        [_, _] => Some(Err(anyhow::anyhow!("two nodes hold {vip}"))),
        _ => None,
    })??;
    client.wait_answered_by("pinky", client.mark(), PATIENCE)?;
    let gap = client.finish().longest_gap();
    lab.say(format!("the client waited {} ms", gap.as_millis()));
    // The kernel drops the address within its lifetime; only then anybody waits.
    ensure!(gap <= Duration::from_millis(500), "the client waited {} ms", gap.as_millis());
    cluster.start_node(1)?;
    cluster.wait_held_by(vip, "brain")?;
    cluster.stop_all()
}

/// Brain and these ports hear each other no more, or again. The router's second wire is its port
/// on the common segment.
fn part(world: &World<'_>, ports: &[&str], parted: bool) -> Result<()> {
    ports.iter().try_for_each(|port| world.switch.partition("brain", port, parted))
}

fn partition(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 3, &two_vips(Family::V4))?;
    let vip = Family::V4.vip(BRAIN);
    cluster.wait_at_home()?;
    lab.say("Brain is cut apart, its carrier stays");
    let mark = cluster.daemon(0, |daemon| Ok(daemon.mark()))?;
    part(&world, &["pinky", "snowball", "router-2"], true)?;
    cluster.daemon(0, |daemon| daemon.wait_about(mark, "claimed", vip, PATIENCE).map(drop))?;
    world.wait_router_sends(vip, &world.pinky)?;
    part(&world, &["pinky", "snowball", "router-2"], false)?;
    lab.say("and mended");
    let client = world.ask(vip, 200)?;
    cluster.wait_held_by(vip, "brain")?;
    world.wait_router_sends(vip, &world.brain)?;
    client.wait_answered_by("brain", client.mark(), PATIENCE)?;
    wait::throughout("it stays", 3 * DEAD_AFTER, || cluster.holders(vip) == ["brain"])?;
    cluster.stop_all()
}

fn cut_off(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let router = Family::V4.of(LAN, 1);
    let text = format!("isolated-when-unreachable = [\"{router}\"]\n{}", two_vips(Family::V4));
    let cluster = Cluster::start(&world, 2, &text)?;
    let vip = Family::V4.vip(BRAIN);
    cluster.wait_at_home()?;
    // The carrier stays, as where a switch further away fails.
    part(&world, &["pinky", "router-2"], true)?;
    cluster.wait(1, "cut-off")?;
    wait::until_true("Brain gives it up", PATIENCE, || !world.brain.has(vip))?;
    cluster.wait_held_by(vip, "pinky")?;
    let status = cluster.ask(1, "status")?;
    ensure!(status["cut_off"] == true, "{status}");
    part(&world, &["pinky", "router-2"], false)?;
    cluster.wait(1, "reconnected")?;
    cluster.wait_held_by(vip, "brain")?;
    cluster.stop_all()
}

/// A node whose word does not count takes nothing that another answers for, and is named.
fn discord(
    lab: &Lab,
    write: impl FnOnce(&Cluster<'_, '_>) -> Result<()>,
    event: &str,
) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::new(&world, 2, &two_vips(Family::V4))?;
    cluster.start_node(0)?;
    let vip = Family::V4.vip(BRAIN);
    cluster.wait_held_by(vip, "pinky")?;
    write(&cluster)?;
    cluster.start_as_written(1)?;
    let told = cluster.daemon(0, |daemon| daemon.wait(event))?;
    ensure!(told.text("node") == "brain", "told of {:?}", told.text("node"));
    cluster.wait(1, "ready")?;
    let status = cluster.ask(0, "status")?;
    let trouble = status["nodes"][1]["trouble"].as_str().unwrap_or_default();
    lab.say(format!("the status says: {trouble}"));
    ensure!(!trouble.is_empty(), "{status}");
    wait::throughout("one holder", 5 * DEAD_AFTER, || cluster.holders(vip) == ["pinky"])?;
    lab.say("Brain gets what the others have");
    cluster.daemon(1, Daemon::stop)?;
    cluster.start_node(1)?;
    cluster.wait_held_by(vip, "brain")?;
    cluster.stop_all()
}

fn wrong_key(lab: &Lab) -> Result<()> {
    let write = |cluster: &Cluster<'_, '_>| {
        let key = format!("{}/other-key", Lab::directory().display());
        run(lab, &cluster.world.brain, &format!("keygen {key}"))?;
        cluster.write(1, "other-key", &two_vips(Family::V4))
    };
    discord(lab, write, "heartbeats-refused")
}

fn other_file(lab: &Lab) -> Result<()> {
    let write = |cluster: &Cluster<'_, '_>| {
        let text = two_vips(Family::V4).replacen("home = \"pinky\"", "home = \"brain\"", 1);
        cluster.write(1, "key", &text)
    };
    discord(lab, write, "configuration-differs")
}

fn mixed_group(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let (four, six) = (Family::V4.vip(BRAIN), Family::V6.vip(BRAIN));
    let text =
        format!("[[vip]]\nname = \"both\"\naddress = [\"{four}\", \"{six}\"]\nhome = \"brain\"\n");
    let cluster = Cluster::start(&world, 2, &text)?;
    for vip in [four, six] {
        cluster.wait_held_by(vip, "brain")?;
    }
    cluster.ask(0, "move both pinky")?;
    for vip in [four, six] {
        cluster.wait_held_by(vip, "pinky")?;
        world.ask(vip, 200)?.wait_answered_by("pinky", 0, PATIENCE)?;
    }
    cluster.ask(0, "move both --back")?;
    for vip in [four, six] {
        cluster.wait_held_by(vip, "brain")?;
    }
    world.power_off(&world.brain)?;
    for vip in [four, six] {
        world.ask(vip, 200)?.wait_answered_by("pinky", 0, PATIENCE)?;
        wait::until_true("Brain's kernel drops it", PATIENCE, || !world.brain.has(vip))?;
    }
    cluster.stop_all()
}

fn pool(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vips: Vec<IpAddr> = (150..162).map(|number| Family::V4.of(LAN, number)).collect();
    let text = format!("[[vip]]\naddress = \"{}-{}\"\nspread = true\n", vips[0], vips[11]);
    let cluster = Cluster::start(&world, 3, &text)?;
    let shares = |cluster: &Cluster<'_, '_>| -> Option<Vec<usize>> {
        let holders: Vec<_> = vips.iter().map(|vip| cluster.holders(*vip)).collect();
        let once = holders.iter().all(|names| names.len() == 1);
        let share =
            |node: &Rc<Host>| holders.iter().filter(|names| names[0] == node.name()).count();
        once.then(|| cluster.nodes.iter().map(share).collect())
    };
    let even = |wanted: &[usize]| {
        let what = format!("shares of {wanted:?}");
        wait::until_true(&what, PATIENCE, || shares(&cluster).is_some_and(|seen| seen == wanted))
    };
    even(&[4, 4, 4])?;
    cluster.ask(0, "drain snowball")?;
    even(&[6, 6, 0])?;
    cluster.ask(0, "undrain snowball")?;
    even(&[4, 4, 4])?;
    world.power_off(&world.brain)?;
    wait::until_true("Brain's kernel drops what nobody renews", PATIENCE, || {
        vips.iter().all(|vip| !world.brain.has(*vip))
    })?;
    even(&[6, 0, 6])?;
    cluster.stop_all()
}

fn reload(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    let vip = Family::V4.vip(BRAIN);
    cluster.wait_at_home()?;
    let client = world.ask(vip, 1000)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    let more = Family::V4.of(LAN, 150);
    let text = format!("{}[[vip]]\naddress = \"{more}\"\nhome = \"brain\"\n", two_vips(Family::V4));
    for node in [1, 0] {
        cluster.write(node, "key", &text)?;
        cluster.ask(node, "reload")?;
    }
    cluster.wait_held_by(more, "brain")?;
    cluster.wait_at_home()?;
    lab.say("and the new one goes again");
    for node in [0, 1] {
        cluster.write(node, "key", &two_vips(Family::V4))?;
        let mark = cluster.daemon(node, |daemon| Ok(daemon.mark()))?;
        cluster.daemon(node, |daemon| daemon.signal(SIGHUP))?;
        cluster.daemon(node, |daemon| daemon.wait_after(mark, "reloaded", PATIENCE).map(drop))?;
    }
    wait::until_true("the VIP has gone", PATIENCE, || cluster.holders(more).is_empty())?;
    cluster.wait_at_home()?;
    let record = client.finish();
    ensure!(record.lost() == 0, "{} of {} were lost", record.lost(), record.sent());
    ensure!(record.moves() == 0, "it moved {} times", record.moves());
    cluster.stop_all()
}

fn reload_refused(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    cluster.wait_at_home()?;
    let text = two_vips(Family::V4).replace("home = \"brain\"", "home = \"brian\"");
    cluster.write(1, "key", &text)?;
    let said = cluster.ask(1, "reload").err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(said.contains("brian"), "{said}");
    cluster.wait(1, "reload-refused")?;
    lab.say("a port that another program has");
    let taken = world.brain.namespace().run(|| UdpSocket::bind(("0.0.0.0", 5000)))??;
    cluster.write(1, "key", &format!("port = 5000\n{}", two_vips(Family::V4)))?;
    let said = cluster.ask(1, "reload").err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(said.contains("UDP port 5000"), "{said}");
    drop(taken);
    wait::throughout("nothing moves", 2 * DEAD_AFTER, || {
        cluster.holders(Family::V4.vip(BRAIN)) == ["brain"]
    })?;
    ensure!(cluster.daemon(1, |daemon| Ok(daemon.count("released")))? == 0, "it let go");
    cluster.stop_all()
}

fn hooks(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let directory = Lab::directory().display();
    let (record, script) = (format!("{directory}/hooks"), format!("{directory}/hook.sh"));
    fs::write(
        &script,
        format!(
            "#!/bin/sh\nsleep 0.05\n\
             echo \"$STANDIN_NODE $STANDIN_EVENT $STANDIN_VIP $STANDIN_INTERFACE\" >> {record}\n"
        ),
    )?;
    let hanging = format!("{directory}/hang.sh");
    fs::write(&hanging, format!("#!/bin/sh\nsleep 0.3\n. {script}\nsleep 60 & wait\n"))?;
    for program in [&script, &hanging] {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(program, fs::Permissions::from_mode(0o755))?;
    }
    let vip = Family::V4.vip(BRAIN);
    let text = format!(
        "[[vip]]\naddress = \"{vip}\"\nhome = \"brain\"\n[hooks]\non-take = \"{script}\"\n\
         on-release = \"{hanging}\"\ntimeout = \"1s\"\n"
    );
    let cluster = Cluster::start(&world, 2, &text)?;
    cluster.wait_held_by(vip, "brain")?;
    cluster.ask(0, "drain brain")?;
    cluster.wait_held_by(vip, "pinky")?;
    cluster.ask(0, "undrain brain")?;
    cluster.wait_held_by(vip, "brain")?;
    let failed = cluster.daemon(1, |daemon| daemon.wait("hook-failed"))?;
    ensure!(failed.text("hook") == "on-release", "{:?}", failed.text("hook"));
    let of_brain = || -> Vec<String> {
        let text = fs::read_to_string(&record).unwrap_or_default();
        text.lines().filter(|line| line.starts_with("brain ")).map(str::to_owned).collect()
    };
    let wanted: Vec<String> =
        ["take", "release", "take"].map(|event| format!("brain {event} {vip} eth0")).to_vec();
    wait::until_true("the hooks have run in order", PATIENCE, || of_brain() == wanted)?;
    cluster.stop_all()
}
