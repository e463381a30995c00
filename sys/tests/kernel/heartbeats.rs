//! UDP sockets for heartbeats: batches, where they arrived, and what came back.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use standin_sys::clock::Correspondence;
use standin_sys::netlink::AddressSpec;
use standin_sys::poll::{Interest, Poller};
use standin_sys::udp::{Event, Filter, Inbox, Options, Outgoing, UdpSocket};

use crate::Case;
use crate::world::{Host, PATIENCE, eventually, running, wire};

pub const CASES: &[Case] = &[
    ("a closed port is an event, IPv4", || refused(0)),
    ("a closed port is an event, IPv6", || refused(1)),
    ("an unreachable host is another event", unreachable),
    ("batches of datagrams arrive where and when they say", batches),
    ("junk dies in the kernel", junk),
    ("one datagram that fails keeps none back", partial),
    ("UDP errors name the address", errors),
];

const PORT: u16 = 7000;

fn hosts() -> (Host, Host) {
    let (mut left, mut right) = wire();
    running(&mut left.route, left.ifindex);
    running(&mut right.route, right.ifindex);
    for (host, ip) in [(&mut left, "fd00::1"), (&mut right, "fd00::2")] {
        let spec = AddressSpec::new(host.ifindex, ip.parse().unwrap(), 64);
        host.route.add_address(&AddressSpec { no_dad: true, ..spec }).unwrap();
    }
    (left, right)
}

fn addresses(number: u16) -> [SocketAddr; 2] {
    let v6: IpAddr = [0xfd00, 0, 0, 0, 0, 0, 0, number].into();
    [SocketAddr::from(([10, 0, 0, number as u8], PORT)), (v6, PORT).into()]
}

fn bind(host: &Host, local: SocketAddr) -> UdpSocket {
    host.run(|| UdpSocket::bind(local, &Options::default())).unwrap()
}

fn send(socket: &UdpSocket, destination: SocketAddr, payload: &[u8]) {
    let datagram = Outgoing { destination, payload };
    assert_eq!(socket.send_batch(&[datagram], |_, error| panic!("{error}")), 1);
}

/// Receives as many datagrams as are wanted, as payload and source.
fn receive(socket: &UdpSocket, count: usize) -> Vec<(Vec<u8>, SocketAddr)> {
    let (mut inbox, mut found) = (Inbox::new(100), vec![]);
    eventually("datagrams arrive", || {
        socket.receive_batch(&mut inbox).unwrap();
        found.extend(inbox.iter().map(|r| (r.payload.to_vec(), r.source)));
        (found.len() >= count).then_some(())
    });
    found
}

fn refused(family: usize) {
    let (left, right) = hosts();
    let (near, far) = (addresses(1)[family], addresses(2)[family]);
    let sender = bind(&left, near);
    let listener = bind(&right, far);
    send(&sender, far, b"one");
    assert_eq!(receive(&listener, 1), [(b"one".to_vec(), near)]);
    assert_eq!(sender.next_event().unwrap(), None);
    drop(listener);
    let start = Instant::now();
    send(&sender, far, b"two");
    // The poller wakes for the error queue, as the daemon's would.
    let mut poller = Poller::new().unwrap();
    poller.add(&sender, 1, Interest::Read).unwrap();
    assert!(poller.wait(Some(PATIENCE)).unwrap().any(|ready| ready.token == 1 && ready.readable));
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(
        sender.next_event().unwrap(),
        Some(Event::Refused { peer: far, by: Some(far.ip()) })
    );
    assert_eq!(sender.next_event().unwrap(), None);
    // What became of that one does not count against the next.
    let listener = bind(&right, far);
    send(&sender, far, b"three");
    assert_eq!(receive(&listener, 1)[0].0, b"three");
    assert_eq!(sender.receive_batch(&mut Inbox::new(100)).unwrap(), 0);
    // A refusal that nobody looked at is in no call's way, however many there are.
    drop(listener);
    let other = bind(&left, SocketAddr::new(near.ip(), 0));
    for _ in 0..4 {
        send(&sender, far, b"again");
    }
    send(&other, near, b"hello");
    assert_eq!(receive(&sender, 1), [(b"hello".to_vec(), other.local_address())]);
    let event = eventually("an event", || sender.next_event().unwrap());
    assert!(matches!(event, Event::Refused { .. }), "{event:?}");
}

fn unreachable() {
    let (left, right) = hosts();
    for family in 0..2 {
        let near = addresses(1)[family];
        let sender = bind(&left, near);
        // Nobody is there, and nobody knows the way there.
        let nobody = addresses(77)[family];
        send(&sender, nobody, b"?");
        let event = eventually("nobody answers", || sender.next_event().unwrap());
        let by = Some(near.ip());
        assert_eq!(event, Event::HostUnreachable { peer: nobody, by });
        let nowhere = SocketAddr::new(["192.0.2.1", "2001:db8::1"][family].parse().unwrap(), 7);
        let mut errno = None;
        let datagram = Outgoing { destination: nowhere, payload: b"?" };
        assert_eq!(sender.send_batch(&[datagram], |_, error| errno = error.errno()), 0);
        assert_eq!(errno, Some(libc::ENETUNREACH));
        assert_eq!(sender.next_event().unwrap(), None);
    }
    drop(right);
}

fn batches() {
    let (left, right) = hosts();
    for (family, any) in ["0.0.0.0", "::"].into_iter().enumerate() {
        let (near, far) = (addresses(1)[family], addresses(2)[family]);
        let options = Options {
            timestamps: true,
            receive_queue_length: Some(1 << 20),
            interface: Some("eth0".into()),
            filter: None,
        };
        let any = SocketAddr::new(any.parse().unwrap(), PORT);
        let listener = right.run(|| UdpSocket::bind(any, &options)).unwrap();
        let sender = bind(&left, near);
        let before = SystemTime::now();
        let payloads: Vec<[u8; 2]> = (0..150u16).map(u16::to_be_bytes).collect();
        let batch: Vec<_> =
            payloads.iter().map(|p| Outgoing { destination: far, payload: p }).collect();
        assert_eq!(sender.send_batch(&batch, |_, error| panic!("{error}")), 150);
        let (mut inbox, mut next) = (Inbox::new(2), 0);
        eventually("150 datagrams", || {
            listener.receive_batch(&mut inbox).unwrap();
            for received in inbox.iter() {
                assert_eq!((received.payload, received.source), (&payloads[next][..], near));
                assert_eq!(received.local, Some(far.ip()));
                assert_eq!(received.ifindex, Some(right.ifindex));
                let clocks = Correspondence::sample();
                let stamp = clocks.boottime_of(received.realtime_ns.unwrap());
                let age = clocks.system_time_of(stamp).duration_since(before);
                assert!(age.is_ok_and(|age| age < PATIENCE));
                assert!(!received.truncated);
                next += 1;
            }
            (next == 150).then_some(())
        });
        assert_eq!(listener.receive_batch(&mut inbox).unwrap(), 0);
        assert_eq!(inbox.iter().count(), 0);
        send(&sender, far, b"too long");
        let cut = eventually("a cut one", || {
            listener.receive_batch(&mut inbox).unwrap();
            inbox.iter().next().map(|r| (r.payload.to_vec(), r.truncated))
        });
        assert_eq!(cut, (b"to".to_vec(), true));
    }
}

fn junk() {
    let (left, right) = hosts();
    for family in 0..2 {
        let far = addresses(2)[family];
        let filter = Filter { magic: b"beat".to_vec(), length_min: 6, length_max: 10 };
        let options = Options { filter: Some(filter), ..Options::default() };
        let listener = right.run(|| UdpSocket::bind(far, &options)).unwrap();
        let sender = bind(&left, addresses(1)[family]);
        for payload in [&b"junk junk"[..], b"beat", b"beat is too long", b"", b"beat ok"] {
            send(&sender, far, payload);
        }
        assert_eq!(receive(&listener, 1)[0].0, b"beat ok");
        assert_eq!(listener.dropped().unwrap(), 4);
        // Junk is not refused: the port is open.
        assert_eq!(sender.next_event().unwrap(), None);
    }
}

fn partial() {
    let (left, right) = hosts();
    let [far, _] = addresses(2);
    let listener = bind(&right, far);
    let sender = bind(&left, addresses(1)[0]);
    let nowhere: SocketAddr = "192.0.2.1:7".parse().unwrap();
    let [_, other_version] = addresses(2);
    let huge = vec![0; 70_000];
    let batch = [
        Outgoing { destination: far, payload: b"first" },
        Outgoing { destination: nowhere, payload: b"?" },
        Outgoing { destination: other_version, payload: b"?" },
        Outgoing { destination: far, payload: &huge },
        Outgoing { destination: far, payload: b"last" },
    ];
    let mut failed = vec![];
    let sent = sender.send_batch(&batch, |position, error| failed.push((position, error)));
    assert_eq!(sent, 2);
    let errors: Vec<_> = failed.iter().map(|(position, e)| (*position, e.errno())).collect();
    let expected =
        [(1, Some(libc::ENETUNREACH)), (2, Some(libc::EAFNOSUPPORT)), (3, Some(libc::EMSGSIZE))];
    assert_eq!(errors, expected);
    assert_eq!(failed[0].1.to_string(), "send to 192.0.2.1:7: Network is unreachable");
    let payloads: Vec<_> = receive(&listener, 2).into_iter().map(|(payload, _)| payload).collect();
    assert_eq!(payloads, [b"first".to_vec(), b"last".to_vec()]);
}

fn errors() {
    let (left, _right) = hosts();
    let [near, _] = addresses(1);
    let first = bind(&left, near);
    assert_eq!(first.local_address(), near);
    let try_bind = |local, options: &Options| left.run(|| UdpSocket::bind(local, options));
    let default = Options::default();
    let error = try_bind(near, &default).unwrap_err();
    assert_eq!(error.to_string(), "open UDP socket 10.0.0.1:7000: Address already in use");
    let error = try_bind("10.9.9.9:7".parse().unwrap(), &default).unwrap_err();
    assert_eq!(error.errno(), Some(libc::EADDRNOTAVAIL));
    let free = try_bind("[::]:0".parse().unwrap(), &default).unwrap();
    assert_ne!(free.local_address().port(), 0);
    let wrong = Options { interface: Some("eth0/1".into()), ..Options::default() };
    assert_eq!(try_bind(near, &wrong).unwrap_err().errno(), Some(libc::EINVAL));
    let filter = Filter { magic: vec![0; 17], length_min: 0, length_max: 9 };
    let wrong = Options { filter: Some(filter), ..Options::default() };
    assert!(try_bind(near, &wrong).unwrap_err().to_string().contains("longer than 16 bytes"));
}
