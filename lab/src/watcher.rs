//! Who answers for a VIP, asked a thousand times a second past every cache: each node by its own
//! link-layer address, and all by ARP or neighbour discovery.
//!
//! Owns a host on the common segment that no fault of a case touches, a thread that asks and reads,
//! and a capture at each node's port. The kernel's time stamps count, not the readers'. Judges with
//! one question: did two answer at one time?

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use standin_core::wire::checksum::{Checksum, internet};
use standin_core::wire::ndp::Solicitation;
use standin_core::wire::{ArpPacket, Mac, Operation};
use standin_sys::packet::PacketSocket;
use standin_sys::udp::{Inbox, Options, UdpSocket};

use crate::capture::Capture;
use crate::server::UDP_PORT;
use crate::wait::{self, PATIENCE};
use crate::world::{Family, Host, LAN, World};

/// Its number in its addresses.
const NUMBER: u8 = 9;
const PERIOD: Duration = Duration::from_millis(1);
/// Answers of one node that are nearer to each other are one time of answering: some questions
/// more, so that one who is late for some does not hide another who answers beside it.
const TOGETHER: Duration = Duration::from_millis(12);
/// For so long a giver may serve out by agreement what still reaches it.
const SERVED_OUT: Duration = Duration::from_millis(50);

/// How somebody answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It said that it has the address: an answer to ARP or NDP, or an announcement.
    Says,
    /// It served a datagram.
    Serves,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Wall-clock time in nanoseconds since 1970, by the kernel.
    pub at_ns: u64,
    pub by: String,
    pub how: How,
}

/// A running watch over one address.
pub struct Watcher {
    served: Arc<Mutex<Vec<Answer>>>,
    captures: Vec<(String, Capture)>,
    vip: IpAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
    _host: Rc<Host>,
}

impl Watcher {
    /// Begins to watch an address at these nodes.
    pub fn start(world: &World<'_>, vip: IpAddr, nodes: &[Rc<Host>]) -> Result<Self> {
        let host = world.add_quiet_host("watcher", NUMBER)?;
        let family = if vip.is_ipv4() { Family::V4 } else { Family::V6 };
        let own = family.of(LAN, NUMBER);
        let options = Options { timestamps: true, ..Options::default() };
        let ifindex = host.nic().ifindex;
        let open = || -> Result<(PacketSocket, UdpSocket)> {
            let asking = PacketSocket::sender(ifindex)?;
            let reading = UdpSocket::bind(SocketAddr::new(own, 0), &options)?;
            Ok((asking, reading))
        };
        let (asking, reading) = host.namespace().run(open)??;
        let macs: Vec<Mac> = nodes.iter().map(|node| node.mac()).collect();
        let port = reading.local_address().port();
        let frames = questions(host.mac(), (own, port), vip, &macs);
        let (served, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (served, stop) = (served.clone(), stop.clone());
            std::thread::spawn(move || ask(&asking, &reading, &frames, &served, &stop))
        };
        let capture = |node: &Rc<Host>| Ok((node.name().to_owned(), world.capture_at(node)?));
        let captures = nodes.iter().map(capture).collect::<Result<_>>()?;
        Ok(Self { served, captures, vip, stop, thread: Some(thread), _host: host })
    }

    /// This moment, in the time of the answers.
    pub fn mark_ns() -> u64 {
        standin_sys::clock::realtime_ns()
    }

    /// Every answer so far, the earliest first.
    pub fn answers(&self) -> Vec<Answer> {
        let mut all = self.served.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, capture) in &self.captures {
            let said = capture.after(0, |one| {
                !one.to_host && one.asserts().is_some_and(|(_, address)| address == self.vip)
            });
            all.extend(said.into_iter().map(|one| Answer {
                at_ns: one.at_ns,
                by: name.clone(),
                how: How::Says,
            }));
        }
        all.sort_by_key(|answer| answer.at_ns);
        all
    }

    /// Waits until a node serves and says so behind a mark.
    pub fn wait_answered_by(&self, name: &str, mark_ns: u64) -> Result<()> {
        let what = format!("{name} answers the watcher");
        wait::until_true(&what, PATIENCE, || {
            let answers = self.answers();
            let by = |how| {
                let mut found = answers.iter().filter(|one| one.at_ns > mark_ns && one.by == name);
                found.any(|one| one.how == how)
            };
            by(How::Says) && by(How::Serves)
        })
    }

    /// Stops and gives the record.
    pub fn finish(mut self) -> Result<Verdict> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok().context("the watcher's thread")??;
        }
        Ok(Verdict { answers: self.answers() })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What was seen.
pub struct Verdict {
    answers: Vec<Answer>,
}

/// One node answered from then to then.
#[derive(Clone, Debug)]
struct Span {
    by: String,
    first_ns: u64,
    last_ns: u64,
}

impl Verdict {
    /// Nobody else answered in any way while one did. With `planned`, a giver may have served for
    /// up to 50 ms after the receiver said that it has the address, saying nothing itself.
    pub fn never_two(&self, planned: bool) -> Result<()> {
        ensure!(!self.answers.is_empty(), "nobody ever answered the watcher");
        let all = spans(&self.answers, |_| true);
        let said = spans(&self.answers, |how| how == How::Says);
        for one in &said {
            for other in said.iter().filter(|other| other.by != one.by) {
                ensure!(!overlap(one, other), "two said that they have it: {one:?}, {other:?}");
            }
        }
        for one in &all {
            for other in all.iter().filter(|other| other.by != one.by) {
                if !overlap(one, other) || one.first_ns > other.first_ns {
                    continue;
                }
                let both = Duration::from_nanos(one.last_ns.min(other.last_ns) - other.first_ns);
                ensure!(
                    planned && both <= SERVED_OUT,
                    "two answered for {} us: {one:?}, {other:?}",
                    both.as_micros()
                );
            }
        }
        Ok(())
    }

    /// From the last answer of one node to the first of the other behind it, for each change; less
    /// than nothing never is.
    pub fn gaps(&self) -> Vec<Duration> {
        let spans = spans(&self.answers, |_| true);
        let changes = spans.windows(2).filter(|pair| pair[0].by != pair[1].by);
        changes
            .map(|pair| Duration::from_nanos(pair[1].first_ns.saturating_sub(pair[0].last_ns)))
            .collect()
    }

    /// The longest time in which nobody answered, between the first answer and the last.
    pub fn longest_silence(&self) -> Duration {
        let silences = self.answers.windows(2).map(|pair| pair[1].at_ns - pair[0].at_ns);
        Duration::from_nanos(silences.max().unwrap_or_default())
    }
}

fn overlap(one: &Span, other: &Span) -> bool {
    one.first_ns.max(other.first_ns) <= one.last_ns.min(other.last_ns)
}

fn spans(answers: &[Answer], counts: impl Fn(How) -> bool) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for answer in answers.iter().filter(|answer| counts(answer.how)) {
        let latest = spans.iter_mut().rev().find(|span| span.by == answer.by);
        let together = TOGETHER.as_nanos() as u64;
        match latest {
            Some(span) if answer.at_ns - span.last_ns <= together => span.last_ns = answer.at_ns,
            _ => spans.push(Span {
                by: answer.by.clone(),
                first_ns: answer.at_ns,
                last_ns: answer.at_ns,
            }),
        }
    }
    spans
}

fn ask(
    asking: &PacketSocket,
    reading: &UdpSocket,
    frames: &[Vec<u8>],
    served: &Mutex<Vec<Answer>>,
    stop: &AtomicBool,
) -> Result<()> {
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let mut inbox = Inbox::new(256);
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        asking.send_batch(&frames)?;
        next += PERIOD;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        while reading.receive_batch(&mut inbox)? > 0 {
            let mut served = served.lock().unwrap_or_else(PoisonError::into_inner);
            for received in inbox.iter() {
                let name = received.payload.get(QUESTION.len()..).unwrap_or_default();
                served.push(Answer {
                    at_ns: received.realtime_ns.unwrap_or_else(Watcher::mark_ns),
                    by: String::from_utf8_lossy(name).into_owned(),
                    how: How::Serves,
                });
            }
        }
    }
    Ok(())
}

/// The number of UDP among the protocols of IP.
const UDP: u8 = 17;

const QUESTION: &[u8; 8] = b"who is i";

/// A question of ARP or neighbour discovery for all, and a datagram for each node.
fn questions(mac: Mac, (own, port): (IpAddr, u16), vip: IpAddr, nodes: &[Mac]) -> Vec<Vec<u8>> {
    let who_has = match (own, vip) {
        (IpAddr::V4(own), IpAddr::V4(vip)) => {
            let request = ArpPacket {
                operation: Operation::Request,
                sender_mac: mac,
                sender_ip: own,
                target_mac: Mac([0; 6]),
                target_ip: vip,
            };
            request.encode(mac, Mac([0xff; 6])).to_vec()
        }
        (IpAddr::V6(own), IpAddr::V6(vip)) => {
            Solicitation::request(mac, own, vip, None).encode().to_vec()
        }
        _ => unreachable!("of one family"),
    };
    let mut frames = vec![who_has];
    frames.extend(nodes.iter().map(|node| datagram((mac, own, port), (*node, vip))));
    frames
}

/// Ethernet, IPv4 (RFC 791) or IPv6 (RFC 8200), and UDP (RFC 768, without the checksum where IPv4
/// lets it out).
fn datagram(from: (Mac, IpAddr, u16), to: (Mac, IpAddr)) -> Vec<u8> {
    let length = 8 + QUESTION.len() as u16;
    let words = |words: [u16; 4]| words.into_iter().flat_map(u16::to_be_bytes);
    let mut udp: Vec<u8> = words([from.2, UDP_PORT, length, 0]).collect();
    udp.extend(QUESTION);
    let mut frame = Vec::new();
    frame.extend(to.0.0);
    frame.extend(from.0.0);
    match (from.1, to.1) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([0x08, 0x00]);
            let mut header = vec![0x45, 0];
            header.extend((20 + length).to_be_bytes());
            // Identification, 'do not fragment', 64 hops, UDP, and room for the checksum.
            header.extend([0, 0, 0x40, 0, 64, UDP, 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let sum = internet(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            frame.extend(header);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([UDP, 64]);
            let mut sum = Checksum::new();
            for address in [source, destination] {
                frame.extend(address.octets());
                sum.add(&address.octets());
            }
            // The pseudo-header's length and next header, and then the datagram.
            sum.add(&u32::from(length).to_be_bytes());
            sum.add(&[0, 0, 0, UDP]);
            sum.add(&udp);
            udp[6..8].copy_from_slice(&sum.finish().to_be_bytes());
        }
        _ => unreachable!("of one family"),
    }
    frame.extend(udp);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(answers: &[(u64, &str, How)]) -> Verdict {
        let answer = |(at_ms, by, how): &(u64, &str, How)| Answer {
            at_ns: at_ms * 1_000_000,
            by: (*by).to_owned(),
            how: *how,
        };
        Verdict { answers: answers.iter().map(answer).collect() }
    }

    #[test]
    fn two_at_once_are_seen_and_one_after_the_other_are_not() {
        use How::{Says, Serves};
        let apart = [(0, "a", Says), (10, "a", Serves), (70, "b", Says), (80, "b", Serves)];
        let back = [(0, "a", Says), (30, "b", Says), (60, "a", Says)];
        assert!(verdict(&back).never_two(false).is_ok());
        assert!(verdict(&apart).never_two(false).is_ok());
        assert_eq!(verdict(&apart).gaps(), [Duration::from_millis(60)]);
        let served_out = [(0, "a", Serves), (5, "b", Says), (10, "a", Serves), (12, "b", Serves)];
        assert!(verdict(&served_out).never_two(false).is_err());
        assert!(verdict(&served_out).never_two(true).is_ok());
        let too_long = (0..80).flat_map(|at| [(at, "a", Serves), (at, "b", Says)]);
        assert!(verdict(&too_long.collect::<Vec<_>>()).never_two(true).is_err());
        let said = [(0, "a", Says), (5, "b", Says), (10, "a", Says), (15, "b", Says)];
        assert!(verdict(&said).never_two(true).is_err());
        assert!(verdict(&[]).never_two(true).is_err());
    }
}
