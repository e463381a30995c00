//! The fast loop: one thread that carries bytes into the core and actions out of it.
//!
//! Owns the clock, the timer, the packet, ICMP and netlink sockets, and the [`Node`]. It never
//! logs, resolves a name, opens a file or waits for the slow loop. Invariant: one turn is overdue
//! timers first, then everything that has arrived until nothing more is ready, then
//! [`Input::Idle`], then every action and its acknowledgement; the clock is sampled once for what
//! arrived and once for what was acknowledged.

mod act;
mod ports;

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use standin_core::config::VipId;
use standin_core::status::Status;
use standin_core::{Input, Instant, Node, step};
use standin_sys::clock::boottime_ns;
use standin_sys::event::Wakeup;
use standin_sys::icmp::IcmpSocket;
use standin_sys::netlink::{Monitor, RouteQueue};
use standin_sys::poll::{Interest, Poller};
use standin_sys::signal::{self, Signals};
use standin_sys::timer::Timer;
use tokio::sync::mpsc::Sender;

use crate::failure::{Code, Failure, Result};
use crate::host::{Install, Prepared, RealKernel, os};
use crate::link::{ToFast, ToSlow};
use ports::Port;

/// After the signal to stop, so long for the kernel to remove what we hold; the lifetime of the
/// addresses does the rest.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// Messages taken from one socket before the others have their turn.
const BUDGET: usize = 256;
/// Rounds of actions and acknowledgements in one turn.
const ROUNDS_PER_TURN: usize = 32;
/// How old a published status may be.
const STATUS_AGE: Duration = Duration::from_millis(200);
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

/// A status and when it was true.
pub type Published = Arc<Mutex<Option<(Instant, Status)>>>;

/// The loop's ends of what it shares with the slow loop.
pub struct Ends {
    /// What the slow loop has to tell.
    pub inbox: Receiver<ToFast>,
    /// Rung after each message into `inbox`.
    pub wakeup: Arc<Wakeup>,
    /// Reports to log and checks to run; never waited for.
    pub outbox: Sender<ToSlow>,
    /// Where the status is put, when anybody can ask for it.
    pub published: Option<Published>,
}

/// The loop.
pub struct FastLoop {
    node: Node,
    ends: Ends,
    poller: Poller,
    timer: Timer,
    signals: Signals,
    monitor: Monitor,
    queue: RouteQueue,
    /// What each unanswered request of `queue` was about: the VIP, and whether it adds it.
    asked: HashMap<u32, (VipId, bool)>,
    kernel: RealKernel,
    icmp_v4: Option<IcmpSocket>,
    icmp_v6: Option<IcmpSocket>,
    ports: Vec<Port>,
    installs: Vec<Install>,
    /// Interfaces are to be looked at again at the end of the reading.
    stale: bool,
    buffer: Vec<u8>,
    stop_by: Option<Instant>,
    stopped: bool,
    lost_messages: u64,
    complained_at: Option<Instant>,
    published_at: Instant,
}

/// Blocks the signals that end a run, so that no thread started later is interrupted by them.
///
/// # Errors
/// The kernel refuses.
pub fn block_signals() -> Result<Signals> {
    Signals::block(&[signal::SIGTERM, signal::SIGINT, signal::SIGHUP]).map_err(|error| os(&error))
}

fn now() -> Instant {
    Instant::from_nanos(boottime_ns())
}

impl FastLoop {
    /// Opens every socket; nothing is sent yet.
    ///
    /// # Errors
    /// The kernel refuses one of them.
    pub fn new(prepared: &Prepared, signals: Signals, ends: Ends, seed: u64) -> Result<Self> {
        let refused = |error: standin_sys::error::Error| os(&error);
        let is_v4 = |ip: &std::net::IpAddr| ip.is_ipv4();
        let watched: Vec<_> = prepared
            .config
            .peers()
            .iter()
            .flat_map(|peer| peer.addresses.iter().map(|address| address.ip))
            .collect();
        let icmp_v4 =
            watched.iter().any(is_v4).then(IcmpSocket::v4).transpose().map_err(refused)?;
        let any_v6 = watched.iter().any(std::net::IpAddr::is_ipv6);
        let icmp_v6 = any_v6.then(IcmpSocket::v6).transpose().map_err(refused)?;
        let mut ports = Vec::new();
        for (link, ifindex) in prepared.config.links().iter().zip(&prepared.ifindexes) {
            ports.push(Port::open(&link.name, *ifindex, link.state.clone()).map_err(refused)?);
        }
        let this = Self {
            node: Node::new(prepared.config.clone(), seed, now()),
            ends,
            poller: Poller::new().map_err(refused)?,
            timer: Timer::new().map_err(refused)?,
            signals,
            monitor: Monitor::open(true).map_err(refused)?,
            queue: RouteQueue::open().map_err(refused)?,
            asked: HashMap::new(),
            kernel: RealKernel::open().map_err(refused)?,
            icmp_v4,
            icmp_v6,
            ports,
            installs: prepared.installs.clone(),
            stale: true,
            buffer: vec![0; 2048],
            stop_by: None,
            stopped: false,
            lost_messages: 0,
            complained_at: None,
            published_at: Instant::default(),
        };
        this.watch_descriptors().map_err(refused)?;
        Ok(this)
    }

    fn watch_descriptors(&self) -> standin_sys::Result<()> {
        let read = Interest::Read;
        self.poller.add(&self.timer, TIMER, read)?;
        self.poller.add(&self.signals, SIGNALS, read)?;
        self.poller.add(&*self.ends.wakeup, WAKEUP, read)?;
        self.poller.add(&self.monitor, MONITOR, read)?;
        if let Some(socket) = &self.icmp_v4 {
            self.poller.add(socket, ICMP_V4, read)?;
        }
        if let Some(socket) = &self.icmp_v6 {
            self.poller.add(socket, ICMP_V6, read)?;
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
    pub fn run(mut self) -> Result<()> {
        let refused = |error: standin_sys::error::Error| os(&error);
        // The first turn is now: the first probes, the first questions.
        self.turn(now(), Vec::new())?;
        while !self.stopped {
            let ready: Vec<u64> =
                self.poller.wait(None).map_err(refused)?.map(|ready| ready.token).collect();
            let at = now();
            self.turn(at, ready)?;
            if self.stop_by.is_some_and(|by| at > by) {
                return Err(Failure::new(Code::OsError, "the kernel did not let go in time")
                    .advice("what is left has a lifetime of two seconds"));
            }
        }
        Ok(())
    }

    fn turn(&mut self, at: Instant, mut ready: Vec<u64>) -> Result<()> {
        self.node.handle_timeout(at);
        let mut exhausted = false;
        for _ in 0..ROUNDS_PER_TURN {
            for token in ready.drain(..) {
                self.read(at, token)?;
            }
            let more = self.poller.wait(Some(Duration::ZERO)).map_err(|error| os(&error))?;
            ready.extend(more.map(|ready| ready.token));
            if ready.is_empty() {
                exhausted = true;
                break;
            }
        }
        if std::mem::take(&mut self.stale) {
            self.refresh_links(at);
        }
        // When there is no end of what arrives, nobody is judged: the next turn comes at once.
        if exhausted {
            step(&mut self.node, at, Input::Idle);
        }
        self.carry_out(exhausted);
        self.publish(at);
        let next = self.node.poll_timeout().map(|(deadline, _)| deadline);
        let next = [next, self.stop_by].into_iter().flatten().min();
        let armed = match next {
            Some(deadline) => self.timer.arm(deadline.as_nanos().max(1)),
            None => self.timer.disarm(),
        };
        armed.map_err(|error| os(&error))
    }

    /// Reads what is ready, up to a budget: what is left is ready again at once.
    fn read(&mut self, at: Instant, token: u64) -> Result<()> {
        match token {
            TIMER => {
                self.timer.take_expiry().map_err(|error| os(&error))?;
            }
            SIGNALS => {
                while let Some(received) = self.signals.take().map_err(|error| os(&error))? {
                    self.tell(at, ToSlow::Stopping { signal: received.signal });
                    self.begin_stop(at);
                }
            }
            WAKEUP => {
                self.ends.wakeup.take().map_err(|error| os(&error))?;
                self.read_inbox(at);
            }
            MONITOR => self.read_monitor(at)?,
            ICMP_V4 | ICMP_V6 => self.read_icmp(at, token),
            port => self.read_port(at, port),
        }
        Ok(())
    }

    fn begin_stop(&mut self, at: Instant) {
        if self.stop_by.is_none() {
            self.stop_by = Some(at + STOP_PATIENCE);
            step(&mut self.node, at, Input::Stop);
        }
    }

    fn read_inbox(&mut self, at: Instant) {
        while let Ok(message) = self.ends.inbox.try_recv() {
            match message {
                ToFast::CheckResult { check, target, result } => {
                    step(&mut self.node, at, Input::Check { check, target, result });
                }
            }
        }
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
        if self.lost_messages > 0 {
            let lost = ToSlow::Lost { at, count: self.lost_messages };
            if self.ends.outbox.try_send(lost).is_ok() {
                self.lost_messages = 0;
            }
        }
        if self.ends.outbox.try_send(message).is_err() {
            self.lost_messages += 1;
        }
    }

    /// Tells of trouble with a socket, now and then.
    fn complain(&mut self, at: Instant, error: &standin_sys::error::Error) {
        let recently = self.complained_at.is_some_and(|then| at.since(then) < COMPLAINT_INTERVAL);
        if !recently {
            self.complained_at = Some(at);
            self.tell(at, ToSlow::Trouble { at, why: error.to_string() });
        }
    }

    fn publish(&mut self, at: Instant) {
        let Some(published) = &self.ends.published else { return };
        if at.since(self.published_at) < STATUS_AGE {
            return;
        }
        // Somebody reads it right now: the next turn will do.
        if let Ok(mut place) = published.try_lock() {
            *place = Some((at, self.node.status(at)));
            self.published_at = at;
        }
    }
}
