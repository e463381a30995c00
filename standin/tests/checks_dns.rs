//! DNS and ICMP checks against real sockets on loopback.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use simple_dns::rdata::{A, AAAA, MX, RData, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};
use standin::checks::{Check, Outcome, Probe, Prober, Target, Timing};
use standin_sys::icmp::IcmpSocket;

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(100);

/// What a name server says to a question: some datagrams.
type Replies = fn(&Packet<'_>) -> Vec<Vec<u8>>;

/// A name server on loopback; its port. By TCP it answers with the last of its datagrams.
fn server(replies: Replies) -> u16 {
    let (socket, listener) = both_transports();
    let port = socket.local_addr().expect("its address").port();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let question = Packet::parse(&buffer[..length]).expect("a question");
            for reply in replies(&question) {
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a length");
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).expect("a question");
            let question = Packet::parse(&question).expect("a question");
            let reply = replies(&question).pop().unwrap_or_default();
            let framed = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
            let _ = stream.write_all(&framed);
        }
    });
    port
}

/// One port for both; the kernel gives one that is free for UDP only.
fn both_transports() -> (UdpSocket, TcpListener) {
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let port = socket.local_addr().expect("its address").port();
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(listener) => return (socket, listener),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse),
        }
    }
}

/// An answer with these records and this code.
fn answer(question: &Packet<'_>, code: RCODE, records: &[RData<'static>]) -> Packet<'static> {
    let mut reply = Packet::new_reply(question.id());
    *reply.rcode_mut() = code;
    for asked in &question.questions {
        reply.questions.push(asked.clone().into_owned());
        for record in records {
            let name = asked.qname.clone().into_owned();
            reply.answers.push(ResourceRecord::new(name, CLASS::IN, 60, record.clone()));
        }
    }
    reply
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    packet.build_bytes_vec().expect("a packet")
}

fn a(last: u8) -> RData<'static> {
    RData::A(A { address: Ipv4Addr::new(192, 0, 2, last).into() })
}

fn two_addresses(question: &Packet<'_>) -> Vec<Vec<u8>> {
    vec![bytes(&answer(question, RCODE::NoError, &[a(7), a(8)]))]
}

fn run(text: &str, expected: Option<&str>, timeout: Duration) -> Result<(), String> {
    let mut probe = Probe::parse(text).expect(text);
    if let Probe::Dns(dns) = &mut probe {
        dns.expect_text = expected.map(str::to_owned);
    }
    let timing = Timing { interval: LONG, timeout, rise: 1, fall: 1 };
    let prober = Prober::new(Check { probe, timing }).expect("a prober");
    let target = Target {
        connect: IpAddr::V4(Ipv4Addr::LOCALHOST),
        vip: IpAddr::V4(Ipv4Addr::new(10, 9, 8, 7)),
        host: "brain".into(),
        interface_index: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.expect("a runtime").block_on(prober.run(&target)) {
        Outcome::Ok { .. } => Ok(()),
        Outcome::Failed { why } => Err(why),
    }
}

fn at(port: u16, name: &str) -> String {
    format!("dns://{{vip}}:{port}/{name}")
}

#[test]
fn an_answer_is_fine_and_an_expected_one_has_to_be_among_them() {
    let port = server(two_addresses);
    assert_eq!(run(&at(port, "www.Example.org"), None, LONG), Ok(()));
    assert_eq!(run(&at(port, "www.example.org"), Some("192.0.2.8"), LONG), Ok(()));
    let why = run(&at(port, "www.example.org"), Some("192.0.2.9"), LONG).expect_err("another");
    assert_eq!(why, "www.example.org is 192.0.2.7, 192.0.2.8, expected 192.0.2.9");
    let why = run(&at(port, "www.example.org?type=AAAA"), None, LONG).expect_err("no AAAA");
    assert_eq!(why, "www.example.org has no AAAA record");
}

#[test]
fn every_type_is_written_as_people_write_it() {
    fn all(question: &Packet<'_>) -> Vec<Vec<u8>> {
        let exchange = Name::new("Mail.example.org").expect("a name");
        let text = TXT::new().with_string("two words").expect("a text");
        let records = [
            RData::AAAA(AAAA { address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).into() }),
            RData::MX(MX { preference: 10, exchange }),
            RData::TXT(text),
        ];
        vec![bytes(&answer(question, RCODE::NoError, &records))]
    }
    let port = server(all);
    for (kind, expected) in
        [("AAAA", "2001:DB8:0::7"), ("MX", "10 mail.example.org."), ("TXT", "two words")]
    {
        let text = at(port, &format!("example.org?type={kind}"));
        assert_eq!(run(&text, Some(expected), LONG), Ok(()), "{kind}");
    }
    let why = run(&at(port, "example.org?type=TXT"), Some("Two words"), LONG).expect_err("case");
    assert_eq!(why, "example.org is two words, expected Two words");
}

#[test]
fn a_server_that_says_no_is_quoted() {
    fn refuses(question: &Packet<'_>) -> Vec<Vec<u8>> {
        let code = match question.questions.first().map(|asked| asked.qname.to_string()) {
            Some(name) if name == "a" => RCODE::NameError,
            Some(name) if name == "b" => RCODE::ServerFailure,
            _ => RCODE::Refused,
        };
        vec![bytes(&answer(question, code, &[]))]
    }
    let port = server(refuses);
    for (name, reason) in [("a", "NXDOMAIN"), ("b", "SERVFAIL"), (".", "REFUSED")] {
        let why = run(&at(port, name), None, LONG).expect_err(name);
        assert!(why.contains(reason), "{why}");
    }
}

#[test]
fn what_is_not_the_reply_is_not_looked_at() {
    fn strays(question: &Packet<'_>) -> Vec<Vec<u8>> {
        let good = answer(question, RCODE::NoError, &[a(7)]);
        let mut numbered = good.clone();
        numbered.set_id(question.id().wrapping_add(1));
        let mut other = Packet::new_query(question.id());
        let name = Name::new("other.example.org").expect("a name");
        for asked in &question.questions {
            let mut asked = asked.clone().into_owned();
            asked.qname = name.clone();
            other.questions.push(asked);
        }
        let other = answer(&other, RCODE::NameError, &[]);
        let mine = bytes(question);
        vec![Vec::new(), vec![0; 11], mine, bytes(&numbered), bytes(&other), bytes(&good)]
    }
    let port = server(strays);
    assert_eq!(run(&at(port, "www.example.org"), Some("192.0.2.7"), LONG), Ok(()));
}

#[test]
fn a_reply_that_was_cut_is_asked_for_again_by_tcp() {
    fn cut(question: &Packet<'_>) -> Vec<Vec<u8>> {
        let mut short = answer(question, RCODE::NoError, &[]);
        short.set_flags(PacketFlag::TRUNCATION);
        // The last one is what TCP gives; by UDP it comes too late to be the answer.
        vec![bytes(&short), bytes(&answer(question, RCODE::NoError, &[a(7)]))]
    }
    let port = server(cut);
    assert_eq!(run(&at(port, "www.example.org"), Some("192.0.2.7"), LONG), Ok(()));
}

#[test]
fn nobody_and_nonsense_and_silence_are_told_apart() {
    fn nonsense(question: &Packet<'_>) -> Vec<Vec<u8>> {
        let mut bytes = bytes(&answer(question, RCODE::NoError, &[a(7)]));
        bytes.truncate(bytes.len() - 3);
        vec![bytes]
    }
    fn silence(_: &Packet<'_>) -> Vec<Vec<u8>> {
        Vec::new()
    }
    let nobody = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let nobody = nobody.expect("an address").port();
    assert_eq!(run(&at(nobody, "a"), None, LONG), Err("connection refused".into()));
    assert_eq!(run(&at(server(nonsense), "a"), None, LONG), Err("the answer is not DNS".into()));
    let why = run(&at(server(silence), "a"), None, SHORT).expect_err("silence");
    assert_eq!(why, "no result within 100ms (waiting for the name server)");
}

#[test]
fn an_echo_request_is_answered_or_the_missing_right_is_named() {
    match (IcmpSocket::v4(), run("icmp", None, LONG)) {
        (Ok(_), outcome) => assert_eq!(outcome, Ok(())),
        (Err(_), outcome) => {
            let why = outcome.expect_err("no right");
            assert!(why.contains("open an ICMP socket: "), "{why}");
        }
    }
}
