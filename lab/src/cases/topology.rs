//! `standin run` on networks of more than one segment: VIPs on links that not every node is on, and
//! nodes whose link carries nothing although its carrier is up, or carries a stranger.
//!
//! Owns nodes with files of their own, on hosts anywhere in a world.

use std::cell::RefCell;
use std::fmt::Write;
use std::fs;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::cluster::run;
use super::{Case, beside};
use crate::daemon::Daemon;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, Host, OTHER_LAN, OUTSIDE, PINKY, SNOWBALL, World};

pub const CASES: &[Case] = &[
    beside(
        "cluster_two_segments",
        "each VIP on a segment of its own, with nodes of its own",
        apart,
    ),
    beside("cluster_silent_link", "a link with a carrier and nobody on it counts as down", silent),
    beside("cluster_stranger_answers", "a stranger has the VIP: waited for, and named", stranger),
];

const DEAD_AFTER: Duration = Duration::from_millis(200);
/// So long a path has to be silent.
const PATIENCE_OF_PATHS: Duration = Duration::from_millis(800);
const EDWARD: u8 = 5;
const LARRY: u8 = 6;

/// Nodes that run one file.
struct Nodes<'w, 'l> {
    world: &'w World<'l>,
    hosts: Vec<Rc<Host>>,
    daemons: RefCell<Vec<Daemon>>,
}

impl<'w, 'l> Nodes<'w, 'l> {
    /// Starts them and waits until each has heard the others. `text` follows the key.
    fn start(world: &'w World<'l>, hosts: Vec<Rc<Host>>, text: &str) -> Result<Self> {
        let directory = Lab::directory().display();
        run(world.lab, &hosts[0], &format!("keygen {directory}/key"))?;
        let nodes = Self { world, hosts, daemons: RefCell::default() };
        for (number, host) in nodes.hosts.iter().enumerate() {
            let path = format!("{directory}/{}.toml", host.name());
            let file = format!(
                "cluster = \"lab\"\nkey-file = \"{directory}/key\"\n{text}\n\
                 [timing]\ndead-after = \"{}ms\"\nback-after = \"300ms\"\n\
                 [control]\nsocket = \"{}\"\n",
                DEAD_AFTER.as_millis(),
                nodes.socket(number)
            );
            fs::write(&path, file).context("write the file of a node")?;
            world.lab.say(format!("{}: standin run", host.name()));
            let mut command = host.command(world.lab.standin());
            command.args(["run", &path, "--node", host.name()]);
            command.args(["--log", "json", "--log-level", "debug"]);
            let daemon = host.start(world.lab, "standin run", &mut command)?;
            nodes.daemons.borrow_mut().push(daemon);
        }
        for number in 0..nodes.hosts.len() {
            nodes.wait(number, "ready")?;
        }
        Ok(nodes)
    }

    fn socket(&self, number: usize) -> String {
        format!("{}/{}.sock", Lab::directory().display(), self.hosts[number].name())
    }

    fn wait(&self, number: usize, event: &str) -> Result<()> {
        self.daemons.borrow()[number].wait(event).map(drop)
    }

    fn ask(&self, number: usize, command: &str) -> Result<Value> {
        let line = format!("{command} --json --socket {}", self.socket(number));
        let said = run(self.world.lab, &self.hosts[number], &line)?;
        serde_json::from_str(&said).with_context(|| format!("{command} said {said:?}"))
    }

    fn holders(&self, vip: IpAddr) -> Vec<&str> {
        let holders = self.hosts.iter().filter(|host| host.has(vip));
        holders.map(|host| host.name()).collect()
    }

    fn wait_held_by(&self, vip: IpAddr, name: &str) -> Result<()> {
        let what = format!("{vip} is on {name} and nowhere else");
        wait::until_true(&what, PATIENCE, || self.holders(vip) == [name])
    }

    fn stop_all(self, vips: &[IpAddr]) -> Result<()> {
        for daemon in self.daemons.into_inner() {
            if daemon.process().ended().is_none() {
                daemon.stop()?;
            }
        }
        for (host, vip) in
            self.hosts.iter().flat_map(|host| vips.iter().map(move |vip| (host, vip)))
        {
            ensure!(!host.has(*vip), "{} keeps {vip} after its end", host.name());
        }
        Ok(())
    }
}

fn apart(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let snowball = world.add_host_outside("snowball", SNOWBALL)?;
    let edward = world.add_host_outside("edward", EDWARD)?;
    let (here, there) = (Family::V4.vip(BRAIN), Family::V4.of(OUTSIDE, 150));
    let text = format!(
        "[nodes]\npinky = \"{}\"\nbrain = \"{}\"\nsnowball = \"{}\"\nedward = \"{}\"\n\
         [[vip]]\naddress = \"{here}\"\nhome = [\"brain\", \"pinky\"]\n\
         [[vip]]\naddress = \"{there}\"\nhome = [\"snowball\", \"edward\"]\n",
        Family::V4.real(PINKY),
        Family::V4.real(BRAIN),
        Family::V4.of(OUTSIDE, SNOWBALL),
        Family::V4.of(OUTSIDE, EDWARD),
    );
    let hosts = vec![world.pinky.clone(), world.brain.clone(), snowball.clone(), edward];
    let nodes = Nodes::start(&world, hosts, &text)?;
    nodes.wait_held_by(here, "brain")?;
    nodes.wait_held_by(there, "snowball")?;
    lab.say("those on the other segment know of it, and may give orders");
    wait::until_true("Pinky has heard who has it", PATIENCE, || {
        nodes.ask(0, &format!("explain {there}")).is_ok_and(|why| why["holder"] == "snowball")
    })?;
    let status = nodes.ask(0, "status")?;
    ensure!(status["groups"][1]["addresses"][0] == there.to_string(), "{status}");
    nodes.ask(0, &format!("move {there} edward"))?;
    nodes.wait_held_by(there, "edward")?;
    nodes.ask(1, &format!("move {there} --back"))?;
    nodes.wait_held_by(there, "snowball")?;
    for (host, vip, next) in [(&snowball, there, "edward"), (&world.brain, here, "pinky")] {
        world.power_off(host)?;
        wait::until_true("another has it", PATIENCE, || nodes.holders(vip).contains(&next))?;
        wait::until_true("and the first drops it", PATIENCE, || nodes.holders(vip) == [next])?;
    }
    nodes.stop_all(&[here, there])
}

fn silent(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let snowball = world.add_host("snowball", SNOWBALL)?;
    let hosts = vec![world.pinky.clone(), world.brain.clone(), snowball];
    let mut text = String::from("[nodes]\n");
    for (host, number) in hosts.iter().zip([PINKY, BRAIN, SNOWBALL]) {
        world.add_wire(host, number, true)?;
        let (first, second) = (Family::V4.real(number), Family::V4.of(OTHER_LAN, number));
        let _ = writeln!(text, "{} = [\"{first}\", \"{second}\"]", host.name());
    }
    let vip = Family::V4.vip(BRAIN);
    let _ = writeln!(text, "[[vip]]\naddress = \"{vip}\"\nhome = \"brain\"");
    let nodes = Nodes::start(&world, hosts, &text)?;
    nodes.wait_held_by(vip, "brain")?;
    let client = world.ask(vip, 200)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    let part = |others: &[&str], parted| {
        others.iter().try_for_each(|other| world.switch.partition("brain", other, parted))
    };
    lab.say("one fellow is not heard there: whose fault it is nobody knows, and nothing moves");
    part(&["pinky"], true)?;
    wait::throughout("Brain's", 3 * PATIENCE_OF_PATHS, || nodes.holders(vip) == ["brain"])?;
    lab.say("nobody is");
    part(&["snowball", "router-2"], true)?;
    nodes.wait(1, "link-silent")?;
    nodes.wait_held_by(vip, "pinky")?;
    client.wait_answered_by("pinky", client.mark(), PATIENCE)?;
    let why = nodes.ask(2, &format!("explain {vip}"))?;
    ensure!(why.to_string().contains("brain's link is down"), "{why}");
    lab.say("it is mended");
    part(&["pinky", "snowball", "router-2"], false)?;
    nodes.wait(1, "link-heard")?;
    nodes.wait_held_by(vip, "brain")?;
    client.wait_answered_by("brain", client.mark(), PATIENCE)?;
    wait::throughout("Brain's", 3 * PATIENCE_OF_PATHS, || nodes.holders(vip) == ["brain"])?;
    nodes.stop_all(&[vip])
}

fn stranger(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let larry = world.add_host("larry", LARRY)?;
    let vip = Family::V4.vip(BRAIN);
    larry.configure(vip)?;
    let (pinky, brain) = (Family::V4.real(PINKY), Family::V4.real(BRAIN));
    let text = format!(
        "[nodes]\npinky = \"{pinky}\"\nbrain = \"{brain}\"\n\
         [[vip]]\naddress = \"{vip}\"\nhome = \"brain\"\n"
    );
    let nodes = Nodes::start(&world, vec![world.pinky.clone(), world.brain.clone()], &text)?;
    nodes.wait(1, "still-answered")?;
    let explain = format!("explain {vip}");
    wait::until_true("Brain says who answers", PATIENCE, || {
        let why = nodes.ask(1, &explain).unwrap_or_default();
        why["holder"].is_null() && why["answered_by"][0]["mac"] == larry.mac().to_string()
    })?;
    let said = run(lab, &world.brain, &format!("{explain} --socket {}", nodes.socket(1)))?;
    ensure!(said.contains(&format!("{} answers for {vip}", larry.mac())), "{said}");
    wait::throughout("nobody takes it", 3 * DEAD_AFTER, || nodes.holders(vip).is_empty())?;
    lab.say("it lets go");
    larry.remove_address(vip)?;
    nodes.wait_held_by(vip, "brain")?;
    let why = nodes.ask(1, &explain)?;
    ensure!(why["answered_by"].as_array().is_some_and(Vec::is_empty), "{why}");
    nodes.stop_all(&[vip])
}
