//! What is on the wire: ARP and neighbour discovery at one port of the switch, with time stamps.
//!
//! Owns a thread that reads a packet socket and decodes with the core's codecs. Never sends.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use standin_core::wire::{ArpPacket, EthernetHeader, Mac, Message, Operation, arp, ndp};
use standin_sys::netns::NetNamespace;
use standin_sys::packet::{PacketSocket, PacketType};
use standin_sys::poll::{Interest, Poller};

use crate::wait;

/// How long the thread may take to see that it should stop.
const STOP_WITHIN: Duration = Duration::from_millis(20);

/// A frame's meaning.
#[derive(Clone, Debug)]
pub enum Spoken {
    Arp(ArpPacket),
    Ndp(Message),
}

/// A frame of ARP or neighbour discovery.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Wall-clock time in nanoseconds since 1970.
    pub at_ns: u64,
    /// From the switch to the host, not from the host.
    pub to_host: bool,
    pub header: EthernetHeader,
    pub spoken: Spoken,
    pub bytes: Vec<u8>,
}

impl Seen {
    fn read(bytes: &[u8], at_ns: u64, to_host: bool) -> Option<Self> {
        let (header, spoken) = if let Ok((header, packet)) = arp::parse(bytes) {
            (header, Spoken::Arp(packet))
        } else {
            let (header, message) = ndp::parse(bytes).ok()?;
            (header, Spoken::Ndp(message))
        };
        Some(Self { at_ns, to_host, header, spoken, bytes: bytes.to_vec() })
    }

    /// Who says to have an address, and which.
    pub fn asserts(&self) -> Option<(Mac, IpAddr)> {
        match &self.spoken {
            Spoken::Arp(packet) if packet.sender_ip.is_unspecified() => None,
            Spoken::Arp(packet) => Some((packet.sender_mac, packet.sender_ip.into())),
            Spoken::Ndp(Message::Solicitation(ask)) if ask.source.is_unspecified() => None,
            Spoken::Ndp(Message::Solicitation(ask)) => {
                Some((ask.source_mac.unwrap_or(ask.link_source), ask.source.into()))
            }
            Spoken::Ndp(Message::Advertisement(answer)) => {
                Some((answer.target_mac.unwrap_or(answer.link_source), answer.target.into()))
            }
        }
    }

    /// Whether it says, to everybody, that an address is at `mac`.
    pub fn announces(&self, mac: Mac, address: IpAddr) -> bool {
        self.asserts() == Some((mac, address)) && self.header.destination.is_multicast()
    }

    /// Whether it asks for an address without having one.
    pub fn probes(&self, address: IpAddr) -> bool {
        match &self.spoken {
            Spoken::Arp(packet) => packet.is_probe() && IpAddr::from(packet.target_ip) == address,
            Spoken::Ndp(Message::Solicitation(ask)) => {
                ask.is_probe() && IpAddr::from(ask.target) == address
            }
            Spoken::Ndp(Message::Advertisement(_)) => false,
        }
    }

    /// The form of an announcement.
    pub fn form(&self) -> Form {
        match &self.spoken {
            Spoken::Arp(packet) => match (packet.operation, packet.is_announcement()) {
                (Operation::Request, true) => Form::GratuitousRequest,
                (Operation::Reply, true) => Form::GratuitousReply,
                (Operation::Request, false) => Form::Question(packet.target_ip.into()),
                (Operation::Reply, false) => Form::Answer,
            },
            Spoken::Ndp(Message::Solicitation(ask)) => Form::Question(ask.target.into()),
            Spoken::Ndp(Message::Advertisement(answer)) if answer.solicited => Form::Answer,
            Spoken::Ndp(Message::Advertisement(_)) => Form::Unsolicited,
        }
    }
}

/// How something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    GratuitousRequest,
    GratuitousReply,
    /// An ordinary question for this address.
    Question(IpAddr),
    Answer,
    /// An unsolicited neighbour advertisement.
    Unsolicited,
}

/// A running capture. Stops when dropped.
pub struct Capture {
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Captures at an interface; on a port of the switch 'outgoing' is towards the host.
    pub fn start(namespace: &NetNamespace, ifindex: u32) -> Result<Self> {
        let socket = namespace.run(|| PacketSocket::any(ifindex))??;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (sink, stopped) = (seen.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            let Ok(mut poller) = Poller::new() else { return };
            if poller.add(&socket, 0, Interest::Read).is_err() {
                return;
            }
            while !stopped.load(Ordering::Relaxed) {
                if poller.wait(Some(STOP_WITHIN)).map(Iterator::count).is_err() {
                    return;
                }
                // A port that goes down is one error; frames come again when it is up.
                while let Ok(Some(frame)) = socket.receive(&mut buffer) {
                    let at_ns = frame.realtime_ns.unwrap_or_default();
                    let to_host = frame.packet_type == PacketType::Outgoing;
                    if let Some(one) = Seen::read(&buffer[..frame.length], at_ns, to_host) {
                        sink.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                    }
                }
            }
        });
        Ok(Self { seen, stop, thread: Some(thread) })
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A place in the capture.
    pub fn mark(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What matches, behind a mark.
    pub fn after(&self, mark: usize, right: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        self.all().into_iter().skip(mark).filter(|one| right(one)).collect()
    }

    /// What announces that `address` is at `mac`, behind a mark, said by the host of this port.
    pub fn announcements(&self, mark: usize, mac: Mac, address: IpAddr) -> Vec<Seen> {
        self.after(mark, |one| !one.to_host && one.announces(mac, address))
    }

    /// Waits for a frame behind a mark.
    pub fn wait(
        &self,
        what: &str,
        mark: usize,
        within: Duration,
        right: impl Fn(&Seen) -> bool,
    ) -> Result<Seen> {
        wait::until(what, within, || self.after(mark, &right).into_iter().next())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
