//! What the cases share: two namespaces with a wire between them, and waiting on a condition.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use standin_sys::netlink::{AddressSpec, Link, RouteSocket};
use standin_sys::netns::NetNamespace;
use standin_sys::sysctl;

/// Nothing a case waits for takes longer, unless something is broken.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// One end of the wire.
pub struct Host {
    pub namespace: NetNamespace,
    pub route: RouteSocket,
    pub ifindex: u32,
    pub mac: [u8; 6],
    pub ip: IpAddr,
}

impl Host {
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.run(work).unwrap()
    }
}

/// A socket in another namespace.
pub fn route_in(namespace: &NetNamespace) -> RouteSocket {
    namespace.run(RouteSocket::open).unwrap().unwrap()
}

/// Two hosts, `left` with 10.0.0.1/24 and `right` with 10.0.0.2/24, and a veth pair `eth0` between.
/// IPv6 works at once: no duplicate address detection.
pub fn wire() -> (Host, Host) {
    let left = NetNamespace::create().unwrap();
    let right = NetNamespace::create().unwrap();
    for namespace in [&left, &right] {
        namespace.run(|| sysctl::write("net/ipv6/conf/default/accept_dad", "0")).unwrap().unwrap();
    }
    let mut route = route_in(&left);
    route.create_veth("eth0", "eth0", Some(right.as_fd())).unwrap();
    (host(left, 1), host(right, 2))
}

fn host(namespace: NetNamespace, number: u8) -> Host {
    let mut route = route_in(&namespace);
    let link = route.link_by_name("eth0").unwrap();
    let ip = Ipv4Addr::new(10, 0, 0, number).into();
    route.add_address(&AddressSpec::new(link.index, ip, 24)).unwrap();
    route.set_link_up(link.index, true).unwrap();
    Host { namespace, route, ifindex: link.index, mac: link.mac.unwrap(), ip }
}

/// Asks again and again until there is an answer.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until the interface has a carrier.
pub fn running(route: &mut RouteSocket, ifindex: u32) -> Link {
    eventually("the carrier comes up", || Some(route.link(ifindex).unwrap()).filter(|l| l.running))
}
