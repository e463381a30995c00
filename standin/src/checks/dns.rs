//! The DNS check: one question to a name server, and an answer in it.
//!
//! Owns the form of the target (RFC 4501) and the judgement of a reply. A question is asked by UDP, and
//! once more by TCP when the reply says that it was cut. What does not repeat the question and its
//! number is not the reply and is not looked at: the run goes on waiting. Nothing is looked up to find
//! the server: it is at the address that the run was given.
//!
//! ```text
//! dns:[//HOST[:PORT]/]NAME[?type=TYPE]        HOST is {vip} or a VIP, TYPE one of KINDS
//! ```

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::url::{Host, host_and_port};
use super::{Phase, Target, connect, connect_error};

/// The types of records that can be asked for.
const KINDS: [(&str, TYPE); 8] = [
    ("A", TYPE::A),
    ("AAAA", TYPE::AAAA),
    ("CNAME", TYPE::CNAME),
    ("MX", TYPE::MX),
    ("NS", TYPE::NS),
    ("PTR", TYPE::PTR),
    ("SOA", TYPE::SOA),
    ("TXT", TYPE::TXT),
];
const DEFAULT_PORT: u16 = 53;
/// Without EDNS a reply has at most 512 bytes (RFC 1035, section 2.3.4).
const DATAGRAM_LENGTH: usize = 4096;
/// So many answers are repeated in the reason.
const MOST_REPEATED: usize = 3;

/// A question to a name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsProbe {
    /// Whose name server it is.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// The name that is asked for, without its last dot; empty for the root.
    pub name: String,
    /// The type of record, one of [`KINDS`].
    kind: TYPE,
    /// One of the answers, in full.
    pub expect_text: Option<String>,
}

impl DnsProbe {
    /// Reads what follows `dns:`.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (place, rest) = match text.strip_prefix("//") {
            Some(rest) => {
                let (place, rest) = rest
                    .split_once('/')
                    .ok_or("the name is missing: dns://{vip}:53/www.example.org")?;
                (Some(place), rest)
            }
            None => (None, text),
        };
        let (host, port) = match place {
            Some(place) => host_and_port(place)?,
            None => (Host::Vip, None),
        };
        if let Host::Name(name) = host {
            return Err(format!("'{name}' is no address: the name server is at {{vip}}"));
        }
        let (name, kind) = match rest.split_once('?') {
            Some((name, query)) => (name, kind_of(query)?),
            None => (rest, TYPE::A),
        };
        judge_name(name)?;
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        Ok(Self { host, port: port.unwrap_or(DEFAULT_PORT), name, kind, expect_text: None })
    }

    fn kind(&self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(word, _)| word)
    }
}

impl fmt::Display for DnsProbe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "dns:")?;
        if self.host != Host::Vip || self.port != DEFAULT_PORT {
            write!(out, "//{}:{}/", self.host, self.port)?;
        }
        out.write_str(if self.name.is_empty() { "." } else { &self.name })?;
        if self.kind == TYPE::A { Ok(()) } else { write!(out, "?type={}", self.kind()) }
    }
}

fn kind_of(query: &str) -> Result<TYPE, String> {
    let word = query.split_once('=').filter(|(key, _)| key.eq_ignore_ascii_case("type"));
    let found = word.and_then(|(_, word)| {
        KINDS.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(word))
    });
    found.map(|(_, kind)| kind).ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
        format!("'?{query}' is not ?type= and one of {}", known.join(", "))
    })
}

/// RFC 1035, section 2.3.4; the underscore is for names of services.
fn judge_name(text: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name = text.strip_suffix('.').unwrap_or(text);
    let labels = || name.split('.');
    if text.is_empty() {
        Err("the name is missing: dns:www.example.org".into())
    } else if !text.is_ascii() {
        Err(format!("'{text}' is written in ASCII, as xn--…"))
    } else if text != "."
        && (name.len() > 253
            || labels().any(|label| !(1..=63).contains(&label.len()) || !label.chars().all(legal)))
    {
        Err(format!("'{text}' is not a DNS name"))
    } else {
        Ok(())
    }
}

/// Runs the check once.
pub async fn run(probe: &DnsProbe, target: &Target, phase: &Phase) -> Result<(), String> {
    // What somebody who did not see the question would have to guess (RFC 5452).
    let id = RandomState::new().build_hasher().finish() as u16;
    let question = question(probe, id)?;
    let datagram = by_datagram(probe, target, phase, &question, id).await?;
    let reply = match understand(&datagram, probe, id) {
        Some(Ok(reply)) if reply.has_flags(PacketFlag::TRUNCATION) => {
            let stream = by_stream(probe, target, phase, &question).await?;
            let whole = understand(&stream, probe, id).transpose()?;
            return judge(probe, &whole.ok_or("another question was answered by TCP")?);
        }
        Some(reply) => reply?,
        None => return Err("another question was answered".into()),
    };
    judge(probe, &reply)
}

fn question(probe: &DnsProbe, id: u16) -> Result<Vec<u8>, String> {
    let cannot = |error: simple_dns::SimpleDnsError| format!("cannot be asked: {error}");
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(&probe.name).map_err(cannot)?;
    packet.questions.push(Question::new(name, probe.kind.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().map_err(cannot)
}

/// The first datagram that is a reply to this question.
async fn by_datagram(
    probe: &DnsProbe,
    target: &Target,
    phase: &Phase,
    question: &[u8],
    id: u16,
) -> Result<Vec<u8>, String> {
    phase.set("waiting for the name server");
    let to = target.socket_address(probe.port);
    let any: IpAddr =
        if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.map_err(|error| connect_error(&error))?;
    socket.connect(to).await.map_err(|error| connect_error(&error))?;
    socket.send(question).await.map_err(|error| connect_error(&error))?;
    let mut buffer = vec![0; DATAGRAM_LENGTH];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(|error| connect_error(&error))?;
        if understand(&buffer[..length], probe, id).is_some() {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

/// RFC 1035, section 4.2.2: the length in two bytes, then the message.
async fn by_stream(
    probe: &DnsProbe,
    target: &Target,
    phase: &Phase,
    question: &[u8],
) -> Result<Vec<u8>, String> {
    let mut stream = connect(target, probe.port, phase).await?;
    phase.set("waiting for the name server, by TCP");
    let exchange = async {
        let mut framed = (question.len() as u16).to_be_bytes().to_vec();
        framed.extend_from_slice(question);
        stream.write_all(&framed).await?;
        let length = stream.read_u16().await?;
        let mut reply = vec![0; usize::from(length)];
        stream.read_exact(&mut reply).await?;
        Ok(reply)
    };
    exchange.await.map_err(|error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the connection was closed before the answer".into(),
        _ => connect_error(&error),
    })
}

/// A reply to the question; none when it is not one, or an error when it is and cannot be read.
fn understand<'b>(
    bytes: &'b [u8],
    probe: &DnsProbe,
    id: u16,
) -> Option<Result<Packet<'b>, String>> {
    let is_reply = bytes.len() >= 12 && bytes[..2] == id.to_be_bytes() && bytes[2] & 0x80 != 0;
    if !is_reply {
        return None;
    }
    let Ok(packet) = Packet::parse(bytes) else {
        return Some(Err("the answer is not DNS".into()));
    };
    // A server that cannot read questions may leave it out.
    let repeats = packet.questions.first().is_none_or(|question| {
        question.qtype == probe.kind.into()
            && question.qname.to_string().eq_ignore_ascii_case(&probe.name)
    });
    repeats.then_some(Ok(packet))
}

fn judge(probe: &DnsProbe, reply: &Packet<'_>) -> Result<(), String> {
    let name = if probe.name.is_empty() { "." } else { &probe.name };
    match reply.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Err(format!("the name server knows no {name} (NXDOMAIN)")),
        RCODE::ServerFailure => return Err("the name server failed (SERVFAIL)".into()),
        RCODE::Refused => return Err("the name server refused to answer (REFUSED)".into()),
        other => return Err(format!("the name server answered {other:?}")),
    }
    let answers: Vec<String> = reply
        .answers
        .iter()
        .filter(|record| record.rdata.type_code() == probe.kind)
        .filter_map(|record| text_of(&record.rdata))
        .collect();
    if answers.is_empty() {
        return Err(format!("{name} has no {} record", probe.kind()));
    }
    let Some(expected) = &probe.expect_text else { return Ok(()) };
    if answers.iter().any(|answer| is_same(answer, expected, probe.kind)) {
        return Ok(());
    }
    let more = if answers.len() > MOST_REPEATED { ", …" } else { "" };
    let said: Vec<&str> = answers.iter().take(MOST_REPEATED).map(String::as_str).collect();
    Err(format!("{name} is {}{more}, expected {expected}", said.join(", ")))
}

/// A record as people write it.
fn text_of(data: &RData<'_>) -> Option<String> {
    let text = match data {
        RData::A(a) => Ipv4Addr::from(a.address).to_string(),
        RData::AAAA(aaaa) => Ipv6Addr::from(aaaa.address).to_string(),
        RData::CNAME(name) => name.0.to_string(),
        RData::NS(name) => name.0.to_string(),
        RData::PTR(name) => name.0.to_string(),
        RData::MX(mx) => format!("{} {}", mx.preference, mx.exchange),
        RData::SOA(soa) => soa.mname.to_string(),
        RData::TXT(txt) => String::try_from(txt.clone()).ok()?,
        _ => return None,
    };
    // It comes from outside and goes into the log.
    Some(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

/// An address has several forms, a name none of its letters' case; text is as it is.
fn is_same(answer: &str, expected: &str, kind: TYPE) -> bool {
    let address = |text: &str| text.parse::<IpAddr>().ok();
    match kind {
        TYPE::TXT => answer == expected,
        TYPE::A | TYPE::AAAA => address(answer) == address(expected),
        _ => answer.eq_ignore_ascii_case(expected.strip_suffix('.').unwrap_or(expected)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_shown() {
        for (text, shown) in [
            ("www.Example.org", "dns:www.example.org"),
            ("www.example.org.", "dns:www.example.org"),
            (".?type=ns", "dns:.?type=NS"),
            ("//{vip}/a.example?type=AAAA", "dns:a.example?type=AAAA"),
            ("//{vip}:5353/_x._tcp.a?TYPE=txt", "dns://{vip}:5353/_x._tcp.a?type=TXT"),
            ("//[fd00::9]/a", "dns://[fd00::9]:53/a"),
        ] {
            let probe = DnsProbe::parse(text).expect(text);
            assert_eq!(probe.to_string(), shown);
            let again = shown.strip_prefix("dns:").expect("a dns target");
            assert_eq!(DnsProbe::parse(again), Ok(probe), "{text}");
        }
    }

    #[test]
    fn malformed_targets_are_refused_with_a_reason() {
        let long = "a".repeat(64);
        for (text, reason) in [
            ("", "the name is missing"),
            ("//{vip}:53", "the name is missing"),
            ("//{vip}/", "the name is missing"),
            ("//web/a", "'web' is no address"),
            ("//{vip}:0/a", "'0' is not a port"),
            ("a..b", "not a DNS name"),
            ("a b", "not a DNS name"),
            (long.as_str(), "not a DNS name"),
            ("bücher.example", "in ASCII"),
            ("a?type=ANY", "one of A, AAAA"),
            ("a?class=IN", "one of A, AAAA"),
        ] {
            let error = DnsProbe::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
