//! The article's network, built from network namespaces.
//!
//! ```text
//!  client ---- router ---- switch ---- pinky
//!                            +-------- brain
//! ```
//!
//! Owns the namespaces, wires and addresses. Everything is made in namespaces of its own, so that
//! even a mistake here could not reach the host. It all goes when the process does: nothing has a
//! name on disk.

use std::net::IpAddr;
use std::os::fd::AsFd;

use standin_core::wire::Mac;
use standin_sys::netlink::{AddressSpec, Neighbour, RouteSocket, RouteSpec};
use standin_sys::netns::NetNamespace;
use standin_sys::{Result, sysctl};

use super::plan::{Host, Plan};

/// The network.
pub struct Network {
    plan: Plan,
    switch: RouteSocket,
    bridge: u32,
    /// Where the client is.
    pub client: NetNamespace,
    router: RouteSocket,
    router_ifindex: u32,
    hosts: [Option<Plugged>; 2],
}

/// A host that is plugged in.
struct Plugged {
    namespace: NetNamespace,
    port: u32,
}

impl Network {
    /// Builds all of it but the hosts.
    pub fn build(plan: Plan) -> Result<Self> {
        let switch_namespace = namespace(plan)?;
        let mut switch = socket_in(&switch_namespace)?;
        let bridge = switch.create_bridge("switch", false)?;
        switch.set_link_up(bridge, true)?;
        let client = namespace(plan)?;
        let router_namespace = namespace(plan)?;
        let mut router = socket_in(&router_namespace)?;
        router.create_veth("eth1", "eth0", Some(client.as_fd()))?;
        configure(&mut router, "eth1", plan.router_outside(), plan.prefix())?;
        let mut client_socket = socket_in(&client)?;
        configure(&mut client_socket, "eth0", plan.client(), plan.prefix())?;
        client_socket.add_route(&RouteSpec::default_via(plan.router_outside().0))?;
        let port = switch.create_veth("to-router", "eth0", Some(router_namespace.as_fd()))?;
        switch.set_link_master(port, Some(bridge))?;
        switch.set_link_up(port, true)?;
        let router_ifindex = configure(&mut router, "eth0", plan.router_inside(), plan.prefix())?;
        let forwarding =
            if plan.ipv6 { "net/ipv6/conf/all/forwarding" } else { "net/ipv4/ip_forward" };
        router_namespace.run(|| sysctl::write(forwarding, "1"))??;
        Ok(Self { plan, switch, bridge, client, router, router_ifindex, hosts: [None, None] })
    }

    /// Plugs a host in: a fresh kernel's network, with nothing but the real address.
    pub fn plug_in(&mut self, host: Host) -> Result<NetNamespace> {
        let namespace = namespace(self.plan)?;
        let name = format!("to-{}", host.name());
        let port = self.switch.create_veth(&name, "eth0", Some(namespace.as_fd()))?;
        self.switch.set_link_master(port, Some(self.bridge))?;
        self.switch.set_link_up(port, true)?;
        let mut socket = socket_in(&namespace)?;
        let station = (self.plan.real(host), host.mac());
        configure(&mut socket, "eth0", station, self.plan.prefix())?;
        socket.add_route(&RouteSpec::default_via(self.plan.router_inside().0))?;
        self.hosts[host.index()] = Some(Plugged { namespace: namespace.clone(), port });
        Ok(namespace)
    }

    /// From this moment nothing is heard of a host. Its processes have to be killed next.
    pub fn cut(&mut self, host: Host) -> Result<()> {
        match &self.hosts[host.index()] {
            Some(plugged) => self.switch.set_link_up(plugged.port, false),
            None => Ok(()),
        }
    }

    /// The rest of a power failure: the host's kernel forgets its interface, addresses and caches.
    pub fn forget(&mut self, host: Host) -> Result<()> {
        let Some(Plugged { namespace, port }) = self.hosts[host.index()].take() else {
            return Ok(());
        };
        drop(namespace);
        self.switch.delete_link(port)
    }

    /// Where the router would send a packet for that address, from its ARP (or NDP) cache.
    pub fn router_cache(&mut self, ip: IpAddr) -> Result<Option<Mac>> {
        let entry = self.router.neighbour(self.router_ifindex, ip)?;
        Ok(entry.filter(Neighbour::is_usable).and_then(|entry| entry.mac).map(Mac))
    }
}

fn namespace(plan: Plan) -> Result<NetNamespace> {
    let namespace = NetNamespace::create()?;
    if plan.ipv6 {
        // The kernel's duplicate address detection would take its second on every wire.
        for scope in ["all", "default"] {
            let key = sysctl::interface_key(6, scope, "accept_dad");
            namespace.run(|| sysctl::write(&key, "0"))??;
        }
    }
    Ok(namespace)
}

fn socket_in(namespace: &NetNamespace) -> Result<RouteSocket> {
    namespace.run(RouteSocket::open)?
}

/// Gives an interface its MAC address and address, and switches it on. Gives its number.
fn configure(
    socket: &mut RouteSocket,
    name: &str,
    (ip, mac): (IpAddr, Mac),
    prefix: u8,
) -> Result<u32> {
    let ifindex = socket.link_by_name(name)?.index;
    socket.set_link_mac(ifindex, mac.0)?;
    let address = AddressSpec { no_dad: true, ..AddressSpec::new(ifindex, ip, prefix) };
    socket.add_address(&address)?;
    socket.set_link_up(ifindex, true)?;
    Ok(ifindex)
}
