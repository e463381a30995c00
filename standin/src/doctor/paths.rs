//! Whether the peers and the reference addresses can be reached, and how fast.
//!
//! Three echo requests to every address, all at once, and a little more than a second of patience.
//! Who does not answer those may still answer ARP: the kernel asked for its own sake, and its
//! neighbour cache tells.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use standin_core::wire::icmp::{Echo, parse_reply_v4, parse_reply_v6};
use standin_sys::clock::boottime_ns;
use standin_sys::icmp::IcmpSocket;
use standin_sys::netlink::RouteSocket;
use standin_sys::poll::{Interest, Poller};

use super::{Finding, Findings};
use crate::duration;
use crate::file::{Authority, ClusterFile, NodeId};
use crate::host::os;

/// Questions to each address: one may be lost, another may wait for ARP.
const ROUNDS: u16 = 3;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(150);
/// From the last question on.
const PATIENCE: Duration = Duration::from_secs(1);
/// A round trip longer than this part of dead-after leaves too few tries.
const SHARE_OF_DEAD_AFTER: u32 = 8;
/// `NUD_REACHABLE` of linux/neighbour.h: the neighbour answered a moment ago.
const REACHABLE: u16 = 0x02;

/// One address that is asked.
struct Asked {
    name: String,
    ip: IpAddr,
    sent_ns: Vec<u64>,
    trips: Vec<Duration>,
    refused: Option<String>,
}

/// Asks everyone and judges the answers.
pub fn judge(file: &ClusterFile, node: NodeId, findings: &mut Findings) {
    let votes = file.authority != Authority::None;
    let members = file.voter_ids().filter(|id| votes || !file.is_witness(*id));
    let peers = members.filter(|id| *id != node).flat_map(|id| {
        let peer = file.node(id);
        peer.addresses.iter().map(|ip| (peer.name.clone(), *ip))
    });
    let references = file.isolated_when_unreachable.iter().map(|ip| ("reference".to_owned(), *ip));
    let mut asked: Vec<Asked> = peers
        .chain(references)
        .map(|(name, ip)| Asked { name, ip, sent_ns: Vec::new(), trips: Vec::new(), refused: None })
        .collect();
    if let Err(failure) = ask(&mut asked) {
        findings.push(
            Finding::warn("path", "all", format!("the peers could not be asked: {failure}"))
                .to_do("run the check as root"),
        );
        return;
    }
    let neighbours = answering_arp();
    for one in &asked {
        findings_of(one, file.timing.dead_after, &neighbours, findings);
    }
}

fn findings_of(
    asked: &Asked,
    dead_after: Duration,
    neighbours: &BTreeSet<IpAddr>,
    findings: &mut Findings,
) {
    let subject = format!("{} {}", asked.name, asked.ip);
    if let Some(why) = &asked.refused {
        findings.push(
            Finding::fail("path", &subject, format!("no way there: {why}"))
                .to_do(format!("ip route get {}", asked.ip)),
        );
        return;
    }
    let Some(slowest) = asked.trips.iter().max() else {
        if neighbours.contains(&asked.ip) {
            findings.push(Finding::warn("path", &subject, "answers ARP, but no echo request: behind a router nothing would tell that it lives")
                .to_do("let ICMP echo requests through its packet filter"));
        } else {
            findings.push(
                Finding::warn(
                    "path",
                    &subject,
                    "no answer: it is down, or a packet filter is in between",
                )
                .to_do(format!("ping {}", asked.ip)),
            );
        }
        return;
    };
    let trip = duration::show(*slowest);
    if slowest.saturating_mul(SHARE_OF_DEAD_AFTER) > dead_after {
        let shown = duration::show(dead_after);
        let needed = duration::show(Duration::from_millis(slowest.as_millis() as u64 * 20 + 20));
        let what = format!(
            "a round trip of {trip} is long for dead-after {shown}: lost packets would look like a dead peer"
        );
        findings.push(
            Finding::warn("path", &subject, what)
                .to_do(format!("dead-after = \"{needed}\" in [timing]")),
        );
        return;
    }
    let lost = asked.sent_ns.len() - asked.trips.len().min(asked.sent_ns.len());
    if lost > 0 {
        let what = format!("{lost} of {} questions were not answered", asked.sent_ns.len());
        findings.push(
            Finding::warn("path", &subject, what).to_do(format!("ping -c 100 -i 0.1 {}", asked.ip)),
        );
    } else {
        findings.ok("path", &subject, format!("answers within {trip}"));
    }
}

/// The sockets of both versions, each opened when somebody needs it.
struct Sockets {
    v4: Option<IcmpSocket>,
    v6: Option<IcmpSocket>,
}

impl Sockets {
    fn open(asked: &[Asked]) -> Result<Self, standin_sys::Error> {
        let has = |is_v4: bool| asked.iter().any(|one| one.ip.is_ipv4() == is_v4);
        Ok(Self {
            v4: has(true).then(IcmpSocket::v4).transpose()?,
            v6: has(false).then(IcmpSocket::v6).transpose()?,
        })
    }

    fn of(&self, ip: IpAddr) -> Option<&IcmpSocket> {
        if ip.is_ipv4() { self.v4.as_ref() } else { self.v6.as_ref() }
    }

    fn both(&self) -> impl Iterator<Item = &IcmpSocket> {
        self.v4.iter().chain(&self.v6)
    }
}

fn ask(asked: &mut [Asked]) -> Result<(), String> {
    let plain = |error: standin_sys::Error| super::in_one_line(&os(&error));
    let sockets = Sockets::open(asked).map_err(plain)?;
    let mut poller = Poller::new().map_err(plain)?;
    for (token, socket) in (0..).zip(sockets.both()) {
        poller.add(socket, token, Interest::Read).map_err(plain)?;
    }
    let cookie = boottime_ns() ^ (u64::from(std::process::id()) << 40);
    let identifier = std::process::id() as u16;
    for round in 0..ROUNDS {
        for (place, one) in asked.iter_mut().enumerate() {
            let Some(socket) = sockets.of(one.ip) else { continue };
            let sequence = place as u16 * ROUNDS + round;
            let echo = Echo { identifier, sequence, cookie };
            let frame =
                if one.ip.is_ipv4() { echo.encode_request_v4() } else { echo.encode_request_v6() };
            one.sent_ns.push(boottime_ns());
            if let Err(error) = socket.send(one.ip, None, &frame) {
                one.refused = Some(super::in_one_line(&os(&error)));
            }
        }
        let patience = if round + 1 < ROUNDS { BETWEEN_ROUNDS } else { PATIENCE };
        listen(asked, &sockets, &mut poller, (identifier, cookie), patience).map_err(plain)?;
    }
    Ok(())
}

/// Listens until the time is over or every question was answered.
fn listen(
    asked: &mut [Asked],
    sockets: &Sockets,
    poller: &mut Poller,
    ours: (u16, u64),
    patience: Duration,
) -> Result<(), standin_sys::Error> {
    let end_ns = boottime_ns() + patience.as_nanos() as u64;
    let mut buffer = [0; 2048];
    loop {
        for socket in sockets.both() {
            while let Some(received) = socket.receive(&mut buffer)? {
                let reply = if received.source.is_ipv4() {
                    parse_reply_v4(received.message)
                } else {
                    parse_reply_v6(received.message)
                };
                if let Ok(reply) = reply
                    && (reply.identifier, reply.cookie) == ours
                {
                    note(asked, received.source, reply.sequence);
                }
            }
        }
        let is_done = |one: &Asked| one.refused.is_some() || one.trips.len() >= one.sent_ns.len();
        let left_ns = end_ns.saturating_sub(boottime_ns());
        if left_ns == 0 || asked.iter().all(is_done) {
            return Ok(());
        }
        let _ = poller.wait(Some(Duration::from_nanos(left_ns)))?.count();
    }
}

fn note(asked: &mut [Asked], source: IpAddr, sequence: u16) {
    let (place, round) = (usize::from(sequence / ROUNDS), usize::from(sequence % ROUNDS));
    let Some(one) = asked.get_mut(place).filter(|one| one.ip == source) else { return };
    if let Some(sent_ns) = one.sent_ns.get(round)
        && one.trips.len() < one.sent_ns.len()
    {
        one.trips.push(Duration::from_nanos(boottime_ns().saturating_sub(*sent_ns)));
    }
}

fn answering_arp() -> BTreeSet<IpAddr> {
    let neighbours = RouteSocket::open().and_then(|mut socket| socket.neighbours());
    let neighbours = neighbours.unwrap_or_default().into_iter();
    neighbours.filter(|one| one.state & REACHABLE != 0).map(|one| one.ip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn said(trips_ms: &[u64], refused: Option<&str>, arp: bool) -> (Verdict, String) {
        let ip: IpAddr = "10.0.0.2".parse().expect("an address");
        let asked = Asked {
            name: "brain".into(),
            ip,
            sent_ns: vec![0; 3],
            trips: trips_ms.iter().map(|ms| Duration::from_millis(*ms)).collect(),
            refused: refused.map(String::from),
        };
        let mut findings = Findings::default();
        let neighbours = arp.then_some(ip).into_iter().collect();
        findings_of(&asked, Duration::from_millis(200), &neighbours, &mut findings);
        let finding = findings.iter().next().expect("a finding").clone();
        assert_eq!(finding.subject, "brain 10.0.0.2");
        (finding.verdict, finding.what + " / " + &finding.to_do.join(" / "))
    }

    #[test]
    fn every_way_of_not_answering_is_told_apart() {
        assert_eq!(said(&[1, 2, 1], None, false), (Verdict::Ok, "answers within 2ms / ".into()));
        let (verdict, text) = said(&[1, 1], None, false);
        assert!(verdict == Verdict::Warn && text.starts_with("1 of 3 questions"), "{text}");
        let (verdict, text) = said(&[], None, false);
        assert!(verdict == Verdict::Warn && text.starts_with("no answer: it is down"), "{text}");
        let (verdict, text) = said(&[], None, true);
        assert!(verdict == Verdict::Warn && text.starts_with("answers ARP"), "{text}");
        let (verdict, text) = said(&[], Some("network unreachable"), false);
        assert!(verdict == Verdict::Fail && text.contains("ip route get"), "{text}");
        let (verdict, text) = said(&[30, 1, 1], None, false);
        assert!(verdict == Verdict::Warn && text.contains("dead-after = \"620ms\""), "{text}");
    }

    #[test]
    fn an_answer_counts_for_the_question_it_repeats() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let one = |text: &str| Asked {
            name: String::new(),
            ip: ip(text),
            sent_ns: vec![1],
            trips: Vec::new(),
            refused: None,
        };
        let mut asked = [one("10.0.0.1"), one("10.0.0.2")];
        note(&mut asked, ip("10.0.0.1"), 3);
        note(&mut asked, ip("10.0.0.2"), 4);
        note(&mut asked, ip("10.0.0.2"), 999);
        assert!(asked.iter().all(|one| one.trips.is_empty()));
        note(&mut asked, ip("10.0.0.2"), 3);
        note(&mut asked, ip("10.0.0.2"), 3);
        assert_eq!(asked[1].trips.len(), 1);
    }
}
