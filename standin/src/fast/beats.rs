//! The heartbeats' sockets: what a node of a cluster has besides, and all that a witness has.
//!
//! Owns one UDP socket for each IP version in use and where each member is reached; keeps the
//! [`Leases`] from one run to the next. Never looks into a datagram. Invariant: a heartbeat is
//! handed in with a time at which it had been received.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use standin_core::heartbeat::packet::{MAGIC, PACKET_LENGTH_MAX, PACKET_LENGTH_MIN};
use standin_core::{Input, Instant, step};
use standin_sys::poll::{Interest, Poller, Ready};
use standin_sys::udp::{Event, Filter, Inbox, Options, Outgoing, UdpSocket};

use super::leases::Leases;
use super::{BUDGET, FastLoop, Heartbeats, now};

/// The first token of the heartbeats' sockets.
pub(super) const BEATS: u64 = 8;
/// Bytes of heartbeats that may wait while the loop is busy.
const RECEIVE_QUEUE_LENGTH: u32 = 1 << 20;
/// How often, and after which pause, a port that is in use is tried.
const BIND_ATTEMPTS: u32 = 50;
const BIND_PAUSE: Duration = Duration::from_millis(10);

/// Where heartbeats are refused one after the other, the port is looked at this often and not at each of
/// them: at 100 000 forged ones a second most of the time went into waking up.
const NOISE_PAUSE: Duration = Duration::from_micros(500);
/// The pause is at most this share of `dead-after`.
const NOISE_PAUSE_SHARE: u32 = 16;
/// Refused heartbeats that are further apart are no noise.
const NOISE_WITHIN: Duration = Duration::from_millis(1);

/// What is known of heartbeats that are refused.
#[derive(Debug, Default)]
pub(super) struct Noise {
    /// How many there were in all.
    refused: u64,
    /// The last turn that brought any.
    heard_at: Option<Instant>,
}

/// What a node of a cluster has besides. It outlives one run of the loop when the configuration
/// changes: no heartbeat is refused meanwhile.
#[derive(Debug)]
pub struct Beats {
    port: u16,
    sockets: Vec<UdpSocket>,
    inbox: Inbox,
    /// Where each watched host takes heartbeats, by its id; none for one that is no member.
    paths: Vec<Vec<SocketAddr>>,
    /// On a node: a witness has no address that could be answered for.
    pub(super) leases: Option<Leases>,
}

impl Beats {
    /// Opens the sockets and installs the tables, before any address is added.
    ///
    /// # Errors
    /// The port is in use, or the kernel refuses.
    pub fn open(heartbeats: &Heartbeats) -> standin_sys::Result<Self> {
        let leases = heartbeats.guard.as_ref().map(Leases::install).transpose()?;
        Self::bind(heartbeats, leases)
    }

    fn bind(heartbeats: &Heartbeats, leases: Option<Leases>) -> standin_sys::Result<Self> {
        let Heartbeats { port, paths, guard: _ } = heartbeats.clone();
        let mut sockets = Vec::new();
        for local in families(&paths) {
            sockets.push(bind_patiently(SocketAddr::new(local, port))?);
        }
        let inbox = Inbox::new(PACKET_LENGTH_MAX);
        Ok(Self { port, sockets, inbox, paths, leases })
    }

    /// The same with other paths and addresses; the sockets are opened anew where the port or the
    /// IP versions are others. The tables stay throughout.
    ///
    /// # Errors
    /// As of [`Beats::open`].
    pub fn change(mut self, heartbeats: &Heartbeats) -> standin_sys::Result<Self> {
        if let (Some(leases), Some(plan)) = (&mut self.leases, &heartbeats.guard) {
            leases.change(plan)?;
        }
        let mut bound = self.sockets.iter().map(|socket| socket.local_address().ip());
        if self.port != heartbeats.port || !bound.by_ref().eq(families(&heartbeats.paths)) {
            let Self { sockets, leases, .. } = self;
            drop(sockets);
            return Self::bind(heartbeats, leases);
        }
        self.paths.clone_from(&heartbeats.paths);
        Ok(self)
    }

    /// After [`Beats::change`], once what is no longer in the file has left its interface.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forget(&mut self, heartbeats: &Heartbeats) -> standin_sys::Result<()> {
        match (&mut self.leases, &heartbeats.guard) {
            (Some(leases), Some(plan)) => leases.forget(plan),
            (Some(_), None) | (None, _) => Ok(()),
        }
    }

    pub(super) fn watch(&self, poller: &Poller) -> standin_sys::Result<()> {
        for (token, socket) in (BEATS..).zip(&self.sockets) {
            poller.add(socket, token, Interest::Read)?;
        }
        Ok(())
    }

    /// Removes the tables, at the end of a run that leaves nothing behind.
    pub(super) fn close(self) {
        if let Some(leases) = self.leases {
            leases.remove();
        }
    }
}

/// The addresses to listen on: IPv4, IPv6 or both.
fn families(paths: &[Vec<SocketAddr>]) -> impl Iterator<Item = IpAddr> + '_ {
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    any.into_iter()
        .filter(|local| paths.iter().flatten().any(|path| path.is_ipv4() == local.is_ipv4()))
}

/// A predecessor that is just ending may have the port for some moments more: a program that it
/// was about to start holds a copy until it has begun.
fn bind_patiently(local: SocketAddr) -> standin_sys::Result<UdpSocket> {
    let length = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX);
    let options = Options {
        interface: None,
        filter: Some(Filter {
            magic: MAGIC.to_vec(),
            length_min: length(PACKET_LENGTH_MIN),
            length_max: length(PACKET_LENGTH_MAX),
        }),
        timestamps: false,
        receive_queue_length: Some(RECEIVE_QUEUE_LENGTH),
    };
    let mut attempts = 0;
    loop {
        attempts += 1;
        match UdpSocket::bind(local, &options) {
            Err(error)
                if error.kind() == std::io::ErrorKind::AddrInUse && attempts < BIND_ATTEMPTS =>
            {
                std::thread::sleep(BIND_PAUSE);
            }
            bound => return bound,
        }
    }
}

/// Where a member takes heartbeats. A link-local address is reached through this interface.
pub fn path(ip: IpAddr, port: u16, ifindex: Option<u32>) -> SocketAddr {
    match ip {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            SocketAddrV6::new(v6, port, 0, ifindex.unwrap_or(0)).into()
        }
        ip => SocketAddr::new(ip, port),
    }
}

impl FastLoop<'_> {
    pub(super) fn read_beats(&mut self, at: Instant, found: Ready) {
        let Some(beats) = &mut self.beats else { return };
        let Some(socket) = beats.sockets.get((found.token - BEATS) as usize) else { return };
        let mut trouble = None;
        for _ in 0..if found.failed { BUDGET } else { 0 } {
            match socket.next_event() {
                Ok(Some(Event::Refused { peer, by })) => {
                    // A firewall in between may say so too: only the host's own word counts.
                    if by.is_none_or(|by| by == peer.ip()) {
                        let from = peer.ip();
                        step(&mut self.node, at, Input::HeartbeatRefused { from });
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    trouble = Some(error);
                    break;
                }
            }
        }
        let received = socket.receive_batch(&mut beats.inbox);
        // A voter counts its grant from here, the asker from before it sent: were this the time at
        // which the turn began, a process that was stopped in between would let another have the
        // lease while the asker still counts on it.
        let at = now();
        match received {
            Ok(_) => {
                for received in beats.inbox.iter().filter(|received| !received.truncated) {
                    let from = received.source.ip();
                    let input = Input::Heartbeat { from, bytes: received.payload };
                    step(&mut self.node, at, input);
                }
            }
            Err(error) => trouble = Some(error),
        }
        if let Some(error) = trouble {
            self.complain(at, &error);
        }
    }

    /// Waits a moment when the port is flooded with what is refused, so that many such datagrams cost
    /// one turn; never beyond what is due.
    pub(super) fn rest_from_noise(&mut self) {
        let refused = self.node.refused_heartbeats();
        if std::mem::replace(&mut self.noise.refused, refused) == refused {
            return;
        }
        let at = now();
        let before = self.noise.heard_at.replace(at);
        if before.is_none_or(|before| at.since(before) > NOISE_WITHIN) {
            return;
        }
        let longest = self.node.config().timing().dead_after / NOISE_PAUSE_SHARE;
        let due = self.armed.map_or(NOISE_PAUSE, |armed| armed.since(at));
        std::thread::sleep(NOISE_PAUSE.min(longest).min(due));
    }

    /// Sends the heartbeats that were gathered, the same bytes on every path of a member, in one
    /// system call for each IP version. A path that refuses them is the silence of that path.
    pub(super) fn send_heartbeats(&mut self) {
        // Asked for after every action: room for none is not made.
        let Some(beats) = self.beats.as_ref().filter(|_| !self.departing.is_empty()) else {
            return;
        };
        for socket in &beats.sockets {
            let is_v4 = socket.local_address().is_ipv4();
            let mut datagrams =
                [Outgoing { destination: socket.local_address(), payload: &[] }; 64];
            let mut count = 0;
            for (peer, bytes) in &self.departing {
                let paths = beats.paths.get(peer.index()).into_iter().flatten();
                for path in paths.filter(|path| path.is_ipv4() == is_v4) {
                    if count == datagrams.len() {
                        socket.send_batch(&datagrams, |_, _| ());
                        count = 0;
                    }
                    datagrams[count] = Outgoing { destination: *path, payload: bytes };
                    count += 1;
                }
            }
            socket.send_batch(&datagrams[..count], |_, _| ());
        }
        for (_, bytes) in self.departing.drain(..) {
            self.node.reuse(bytes);
        }
    }
}
