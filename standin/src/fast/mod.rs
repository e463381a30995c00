//! The fast loop: one thread that carries bytes into the core and actions out of it.
//!
//! Owns the clock, the timer, the packet, ICMP and netlink sockets, in a cluster those of the
//! heartbeats, and the [`Node`]. It never logs, resolves a name, opens a file or waits for the slow
//! loop. Invariant: one turn is overdue timers first, then everything that has arrived until nothing
//! more is ready, or what was found ready where the core does not mind silence
//! ([`Node::minds_silence`]), then [`Input::Idle`], then every action and its acknowledgement; the clock
//! is sampled once for what arrived and once for what was acknowledged.

mod act;
mod beats;
mod leases;
mod orders;
mod ports;
mod routes;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use standin_core::cluster::leases::Memory;
use standin_core::config::{PeerId, VipId};
use standin_core::{Input, Instant, Node, step};
use standin_sys::clock::boottime_ns;
use standin_sys::event::Wakeup;
use standin_sys::icmp::IcmpSocket;
use standin_sys::netlink::{Monitor, RouteQueue};
use standin_sys::poll::{Interest, Poller, Ready};
use standin_sys::signal::{self, Signals};
use standin_sys::timer::Timer;
use tokio::sync::mpsc::Sender;

use crate::failure::{Code, Failure, Result};
use crate::file::ClusterFile;
use crate::host::{Install, Prepared, RealKernel, os};
use crate::link::{Orders, Pulse, ToFast, ToSlow};
use beats::{BEATS, Noise};
pub use beats::{Beats, path};
pub use leases::{GuardPlan, left_alive, left_quiet};
use ports::Port;
use routes::Routes;
pub use routes::sweep_routes;

/// After the signal to stop, so long for the others to take over, which the core gives 2 s, and for
/// the kernel to remove what we hold; the lifetime of the addresses does the rest.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Messages taken from one socket before the others have their turn.
const BUDGET: usize = 256;
/// Rounds of actions and acknowledgements in one turn.
const ROUNDS_PER_TURN: usize = 32;
/// Trouble with a socket is told at most this often.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

const TIMER: u64 = 0;
const SIGNALS: u64 = 1;
const WAKEUP: u64 = 2;
const MONITOR: u64 = 3;
const ICMP_V4: u64 = 4;
const ICMP_V6: u64 = 5;
/// Two for each port follow: ARP and neighbour discovery.
const PORTS: u64 = 16;

/// The loop's ends of what it shares with the slow loop.
pub struct Ends {
    /// What the slow loop has to tell.
    pub inbox: Receiver<ToFast>,
    /// Rung after each message into `inbox`.
    pub wakeup: Arc<Wakeup>,
    /// Reports to log and checks to run; never waited for.
    pub outbox: Sender<ToSlow>,
}

/// What outlives one [`FastLoop`] when the configuration is changed.
pub struct Shell {
    /// The ends of the queues.
    pub ends: Ends,
    /// The signals that are meant for us.
    pub signals: Signals,
}

/// Where the heartbeats of a node of a cluster go.
#[derive(Debug, Clone)]
pub struct Heartbeats {
    /// The UDP port.
    pub port: u16,
    /// Where each watched host takes them; none for one outside the cluster.
    pub paths: Vec<Vec<SocketAddr>>,
    /// The tables that keep leases; none for a witness.
    pub guard: Option<GuardPlan>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// Nothing goes on.
    Stopped,
    /// Everything was left to a run with another file.
    Renew(Box<Renewal>),
}

/// What one run leaves to the next, beside the addresses.
#[derive(Debug)]
pub struct Renewal {
    /// The file that is to be in effect.
    pub file: ClusterFile,
    /// What the operator ordered.
    pub orders: Orders,
    /// The sockets of the heartbeats.
    pub beats: Option<Beats>,
    /// What this node granted as a voter.
    pub leases: Option<Memory>,
    /// What the core's addresses were on this host at the end.
    pub installs: Vec<Install>,
}

/// The loop.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each set elsewhere")]
pub struct FastLoop<'s> {
    node: Node,
    shell: &'s mut Shell,
    poller: Poller,
    timer: Timer,
    /// None where there are no interfaces to look after: a witness.
    doors: Option<Doors>,
    /// What is held as routes.
    routes: Option<Routes>,
    /// What each unanswered request was about: the VIP, and whether it adds it.
    asked: HashMap<u32, (VipId, bool)>,
    /// The kernel has answered something at once, from which more may follow in this turn.
    answered: bool,
    icmp_v4: Option<IcmpSocket>,
    icmp_v6: Option<IcmpSocket>,
    /// In a cluster.
    beats: Option<Beats>,
    /// Of the nodes and witnesses, by number.
    names: Vec<Arc<str>>,
    ports: Vec<Port>,
    installs: Vec<Install>,
    /// Interfaces are to be looked at again at the end of the reading.
    stale: bool,
    buffer: Vec<u8>,
    /// What the poller found, to be read in this turn.
    ready: Vec<Ready>,
    /// Heartbeats that are to leave together.
    departing: Vec<(PeerId, Vec<u8>)>,
    stop_by: Option<Instant>,
    stopped: bool,
    /// The next run is to find everything as it is.
    keeps: bool,
    lost_messages: u64,
    /// What is to be told once a crowd of addresses is announced; none at other times.
    held_back: Option<Vec<ToSlow>>,
    complained_at: Option<Instant>,
    /// When an interface that could not be opened or looked at is tried again.
    look_again_at: Option<Instant>,
    /// An address is being asked for, and what frames were lost before is taken off the count.
    counts_lost: bool,
    /// When the timer fires, until it has; not later than anything is due.
    armed: Option<Instant>,
    noise: Noise,
    pulse: Pulse,
    renew: Option<(ClusterFile, Orders)>,
}

/// The doors to the kernel's interfaces and addresses.
struct Doors {
    monitor: Monitor,
    queue: RouteQueue,
    kernel: RealKernel,
}

impl Doors {
    /// Opens them, and has the orphans removed before anything else is done.
    fn open(orphans: &[Install]) -> standin_sys::Result<Self> {
        let mut queue = RouteQueue::open()?;
        for install in orphans.iter().filter(|orphan| !orphan.route) {
            queue.push_removal(install.ifindex, install.address, install.prefix);
        }
        queue.flush()?;
        // The kernel has done it by now; what it says to it is of no interest.
        while queue.poll()?.is_some() {}
        let monitor = Monitor::open(true)?;
        // Each address is renewed twice a second.
        monitor.leave_out_additions_of(&queue)?;
        Ok(Self { monitor, queue, kernel: RealKernel::open()? })
    }
}

/// Blocks the signals that are meant for a run, so that no thread started later is interrupted by
/// them.
///
/// # Errors
/// The kernel refuses.
pub fn block_signals() -> Result<Signals> {
    let ours = [signal::SIGTERM, signal::SIGINT, signal::SIGHUP, signal::SIGUSR1, signal::SIGUSR2];
    Signals::block(&ours).map_err(|error| os(&error))
}

/// Closes sockets in a thread of its own. The kernel waits for every processor before it lets go of a
/// packet socket: some ten milliseconds each on a quiet machine, hundreds on a busy one, in which a run
/// that goes on would be silent, and would lose a short lease.
fn close_elsewhere(sockets: impl Send + 'static) {
    // Where there can be no thread they are closed here.
    let _ = std::thread::Builder::new().name("closing".into()).spawn(move || drop(sockets));
}

/// The clock of everything that the core is told: it goes on while the machine sleeps.
pub fn now() -> Instant {
    Instant::from_nanos(boottime_ns())
}

/// What a run of the loop begins with.
pub struct Beginning<'a> {
    /// The host's plan.
    pub prepared: &'a Prepared,
    /// What decides, made from the same plan.
    pub node: Node,
    /// In a cluster.
    pub beats: Option<Beats>,
    /// In a cluster: the names of the nodes and witnesses, by number.
    pub names: Vec<Arc<str>>,
    /// Addresses of an earlier configuration that nobody manages any more.
    pub orphans: Vec<Install>,
}

impl<'s> FastLoop<'s> {
    /// Opens every socket; nothing is sent yet.
    ///
    /// # Errors
    /// The kernel refuses one of them.
    pub fn new(beginning: Beginning<'_>, shell: &'s mut Shell) -> Result<Self> {
        let refused = |error: standin_sys::error::Error| os(&error);
        let Beginning { prepared, node, beats, names, orphans } = beginning;
        let has_links = !prepared.ifindexes.is_empty();
        let routes = Routes::of(prepared).map_err(refused)?;
        let doors = has_links.then(|| Doors::open(&orphans)).transpose().map_err(refused)?;
        // What was meant for an earlier configuration has other numbers.
        while shell.ends.inbox.try_recv().is_ok() {}
        let is_v4 = |ip: &std::net::IpAddr| ip.is_ipv4();
        let watched: Vec<_> = prepared
            .config
            .peers()
            .iter()
            .flat_map(|peer| peer.addresses.iter().map(|address| address.ip))
            .filter(|_| has_links)
            .collect();
        let icmp_v4 =
            watched.iter().any(is_v4).then(IcmpSocket::v4).transpose().map_err(refused)?;
        let any_v6 = watched.iter().any(std::net::IpAddr::is_ipv6);
        let icmp_v6 = any_v6.then(IcmpSocket::v6).transpose().map_err(refused)?;
        let mut ports = Vec::new();
        for (link, ifindex) in prepared.config.links().iter().zip(&prepared.ifindexes) {
            let asked = prepared.installs.len();
            let port = Port::open(&link.name, *ifindex, link.state.clone(), asked);
            ports.push(port.map_err(refused)?);
        }
        let this = Self {
            node,
            shell,
            poller: Poller::new().map_err(refused)?,
            timer: Timer::new().map_err(refused)?,
            doors,
            routes,
            asked: HashMap::new(),
            answered: false,
            icmp_v4,
            icmp_v6,
            beats,
            names,
            ports,
            installs: prepared.installs.clone(),
            stale: true,
            buffer: vec![0; 2048],
            ready: Vec::new(),
            departing: Vec::new(),
            stop_by: None,
            stopped: false,
            keeps: false,
            lost_messages: 0,
            held_back: None,
            complained_at: None,
            look_again_at: None,
            counts_lost: false,
            armed: None,
            noise: Noise::default(),
            pulse: Pulse::default(),
            renew: None,
        };
        this.watch_descriptors().map_err(refused)?;
        Ok(this)
    }

    /// What is no longer in the file has left its interface and needs no lease any more.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forget(&mut self, heartbeats: &Heartbeats) -> Result<()> {
        match &mut self.beats {
            Some(beats) => beats.forget(heartbeats).map_err(|error| os(&error)),
            None => Ok(()),
        }
    }

    fn watch_descriptors(&self) -> standin_sys::Result<()> {
        let read = Interest::Read;
        self.poller.add_edge(&self.timer, TIMER)?;
        self.poller.add(&self.shell.signals, SIGNALS, read)?;
        self.poller.add(&*self.shell.ends.wakeup, WAKEUP, read)?;
        if let Some(doors) = &self.doors {
            self.poller.add(&doors.monitor, MONITOR, read)?;
        }
        if let Some(socket) = &self.icmp_v4 {
            self.poller.add(socket, ICMP_V4, read)?;
        }
        if let Some(socket) = &self.icmp_v6 {
            self.poller.add(socket, ICMP_V6, read)?;
        }
        if let Some(beats) = &self.beats {
            beats.watch(&self.poller)?;
        }
        for position in 0..self.ports.len() {
            self.watch_port(position)?;
        }
        Ok(())
    }

    fn watch_port(&self, position: usize) -> standin_sys::Result<()> {
        let token = PORTS + 2 * position as u64;
        let Some(sockets) = &self.ports[position].sockets else { return Ok(()) };
        self.poller.add(&sockets.arp, token, Interest::Read)?;
        self.poller.add(&sockets.ndp, token + 1, Interest::Read)
    }

    /// Runs until it is told to stop and has released everything.
    ///
    /// # Errors
    /// The kernel fails in a way that no turn can mend; the addresses then die with their lifetime.
    pub fn run(mut self) -> Result<Ended> {
        let refused = |error: standin_sys::error::Error| os(&error);
        // The first turn is now: the first probes, the first questions.
        self.turn(now())?;
        while !self.stopped {
            self.rest_from_noise();
            self.ready.extend(self.poller.wait(None).map_err(refused)?);
            let at = now();
            self.turn(at)?;
            if self.stop_by.is_some_and(|by| at > by) {
                return Err(Failure::new(Code::OsError, "the kernel did not let go in time")
                    .advice("what is left has a lifetime of two seconds"));
            }
        }
        let beats = self.beats.take();
        if let Some((file, orders)) = self.renew.take() {
            let leases = self.node.lease_memory();
            close_elsewhere((std::mem::take(&mut self.ports), self.doors.take()));
            let installs = std::mem::take(&mut self.installs);
            let renewal = Renewal { file, orders, beats, leases, installs };
            return Ok(Ended::Renew(Box::new(renewal)));
        }
        if let Some(beats) = beats.filter(|_| !self.keeps) {
            beats.close();
        }
        Ok(Ended::Stopped)
    }

    fn turn(&mut self, at: Instant) -> Result<()> {
        self.take_in(at)?;
        self.carry_out()?;
        let next = self.node.poll_timeout().map(|(deadline, _)| deadline);
        self.pulse.turns += 1;
        self.arm([next, self.stop_by, self.look_again_at].into_iter().flatten().min())
    }

    /// Does what is due, reads what there is, and lets the core judge.
    fn take_in(&mut self, at: Instant) -> Result<()> {
        self.node.handle_timeout(at);
        let exhausted = self.read_all(at)?;
        self.stale |= self.is_to_look_again(at);
        if std::mem::take(&mut self.stale) {
            self.refresh_links(at);
        }
        // When there is no end of what arrives, nobody is judged: the next turn comes at once.
        if exhausted {
            self.tell_lost_frames(at);
            step(&mut self.node, at, Input::Idle);
        }
        Ok(())
    }

    /// Reads until no socket has anything left, or what was found where nothing hangs on the rest; whether
    /// that came to be.
    fn read_all(&mut self, at: Instant) -> Result<bool> {
        let mut ready = std::mem::take(&mut self.ready);
        let mut exhausted = false;
        for _ in 0..ROUNDS_PER_TURN {
            for found in ready.drain(..) {
                self.read(at, found)?;
            }
            if !self.stale && !self.node.minds_silence() {
                exhausted = true;
                break;
            }
            // Only this shows that they are empty: something may have come after the waiting and
            // before the clock was read.
            ready.extend(self.poller.wait(Some(Duration::ZERO)).map_err(|error| os(&error))?);
            if ready.is_empty() {
                exhausted = true;
                break;
            }
        }
        // What is left is ready again at once.
        ready.clear();
        self.ready = ready;
        Ok(exhausted)
    }

    /// Sets the timer, unless it fires early enough as it is: a turn in which nothing is due costs
    /// less than setting it each time that a deadline moves.
    fn arm(&mut self, next: Option<Instant>) -> Result<()> {
        let Some(deadline) = next else { return Ok(()) };
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return Ok(());
        }
        self.armed = Some(deadline);
        self.timer.arm(deadline.as_nanos().max(1)).map_err(|error| os(&error))
    }

    /// Reads what is ready, up to a budget: what is left is ready again at once.
    fn read(&mut self, at: Instant, found: Ready) -> Result<()> {
        match found.token {
            // Setting it anew takes back that it has fired.
            TIMER => {
                if let Some(armed) = self.armed.take() {
                    self.pulse.lateness.record(at.since(armed));
                }
            }
            SIGNALS => self.read_signals(at)?,
            WAKEUP => {
                self.shell.ends.wakeup.take().map_err(|error| os(&error))?;
                self.read_inbox(at);
            }
            MONITOR => self.read_monitor(at)?,
            token @ (ICMP_V4 | ICMP_V6) => self.read_icmp(at, token),
            BEATS..PORTS => self.read_beats(at, found),
            port => self.read_port(at, port),
        }
        Ok(())
    }

    fn read_icmp(&mut self, at: Instant, token: u64) {
        let socket = if token == ICMP_V4 { &self.icmp_v4 } else { &self.icmp_v6 };
        let Some(socket) = socket else { return };
        for _ in 0..BUDGET {
            match socket.receive(&mut self.buffer) {
                Ok(Some(received)) => {
                    let input = Input::Echo { from: received.source, bytes: received.message };
                    step(&mut self.node, at, input);
                }
                // An error here is one of the network's (a host is unreachable): no answer.
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Never waits: what does not fit is counted.
    fn tell(&mut self, at: Instant, message: ToSlow) {
        if let Some(held_back) = &mut self.held_back {
            held_back.push(message);
            return;
        }
        if self.lost_messages > 0 {
            let lost = ToSlow::Lost { at, count: self.lost_messages };
            if self.shell.ends.outbox.try_send(lost).is_ok() {
                self.lost_messages = 0;
            }
        }
        if self.shell.ends.outbox.try_send(message).is_err() {
            self.lost_messages += 1;
        }
    }

    /// From here on nothing is told until [`FastLoop::tell_held_back`]: to write ten thousand lines takes
    /// longer than to announce as many addresses, and on a host of few processors both want the same.
    fn hold_back(&mut self) {
        self.held_back.get_or_insert_default();
    }

    /// Tells what was held back, in its order.
    fn tell_held_back(&mut self) {
        let at = now();
        for message in self.held_back.take().into_iter().flatten() {
            self.tell(at, message);
        }
    }

    /// Tells of trouble with a socket, now and then.
    fn complain(&mut self, at: Instant, error: &dyn std::fmt::Display) {
        let recently = self.complained_at.is_some_and(|then| at.since(then) < COMPLAINT_INTERVAL);
        if !recently {
            self.complained_at = Some(at);
            self.tell(at, ToSlow::Trouble { at, why: error.to_string() });
        }
    }
}
