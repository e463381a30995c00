//! The switch: bridges, their ports, and what can go wrong on the wires.
//!
//! Owns the namespace that all bridges are in, the ports, loss and partitions (nftables rules of
//! the bridge family). A port has its host's name; the second wire of a host has `-2` behind it.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::Result;
use standin_sys::netlink::RouteSocket;
use standin_sys::netns::NetNamespace;

use super::host::nft;

/// All segments of a world.
pub struct Switch {
    namespace: NetNamespace,
    route: RefCell<RouteSocket>,
    faults: RefCell<Vec<Fault>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// So many percent of the frames in each direction.
    Loss { port: String, percent: u32 },
    /// Nothing passes between two ports.
    Partition { one: String, other: String },
    /// Nothing passes from one port to another; the other way it does.
    OneWay { from: String, to: String },
    /// Nothing passes at these ports.
    Silence { ports: Vec<String> },
}

impl Fault {
    fn rules(&self) -> String {
        match self {
            Self::Loss { port, percent } => format!(
                "iifname \"{port}\" numgen random mod 100 < {percent} drop;\n\
                 oifname \"{port}\" numgen random mod 100 < {percent} drop;\n"
            ),
            Self::Partition { one, other } => format!(
                "iifname \"{one}\" oifname \"{other}\" drop;\n\
                 iifname \"{other}\" oifname \"{one}\" drop;\n"
            ),
            Self::OneWay { from, to } => format!("iifname \"{from}\" oifname \"{to}\" drop;\n"),
            Self::Silence { ports } => {
                let ports: Vec<String> = ports.iter().map(|port| format!("\"{port}\"")).collect();
                let set = ports.join(", ");
                format!("iifname {{ {set} }} drop;\noifname {{ {set} }} drop;\n")
            }
        }
    }
}

/// Everything is lost at one port for a while.
pub struct Burst {
    namespace: NetNamespace,
    rule: String,
}

impl Burst {
    /// Begins one, which ends by itself.
    pub fn run(&self) -> Result<()> {
        nft(&self.namespace, &self.rule)
    }
}

impl Switch {
    pub fn new() -> Result<Self> {
        let namespace = NetNamespace::create()?;
        let route = RefCell::new(namespace.run(RouteSocket::open)??);
        Ok(Self { namespace, route, faults: RefCell::default() })
    }

    pub fn namespace(&self) -> &NetNamespace {
        &self.namespace
    }

    /// A new segment; gives the bridge's number.
    pub fn add_segment(&self, name: &str) -> Result<u32> {
        let mut route = self.route.borrow_mut();
        let bridge = route.create_bridge(name, false)?;
        route.set_link_up(bridge, true)?;
        Ok(bridge)
    }

    /// The number of a segment.
    pub fn segment(&self, name: &str) -> Result<u32> {
        Ok(self.route.borrow_mut().link_by_name(name)?.index)
    }

    /// Lays a wire from a segment to interface `nic` in another namespace, which is down there.
    pub fn add_port(
        &self,
        segment: u32,
        port: &str,
        nic: &str,
        namespace: &NetNamespace,
    ) -> Result<u32> {
        let mut route = self.route.borrow_mut();
        let index = route.create_veth(port, nic, Some(namespace.as_fd()))?;
        route.set_link_master(index, Some(segment))?;
        route.set_link_up(index, true)?;
        Ok(index)
    }

    /// Cuts a wire, or mends it: both ends see the carrier go or come.
    pub fn set_port_up(&self, port: u32, up: bool) -> Result<()> {
        Ok(self.route.borrow_mut().set_link_up(port, up)?)
    }

    /// So many percent of the frames are lost at a port, each way by its own chance.
    pub fn lose(&self, port: &str, percent: u32) -> Result<()> {
        self.set(Fault::Loss { port: port.to_owned(), percent }, true)
    }

    /// Nothing passes between two ports any more, or everything does again.
    pub fn partition(&self, one: &str, other: &str, parted: bool) -> Result<()> {
        self.set(Fault::Partition { one: one.to_owned(), other: other.to_owned() }, parted)
    }

    /// Nothing passes from one port to another any more, or it does again.
    pub fn cut_one_way(&self, from: &str, to: &str, cut: bool) -> Result<()> {
        self.set(Fault::OneWay { from: from.to_owned(), to: to.to_owned() }, cut)
    }

    /// Nothing passes at these ports any more, from one moment on. Their carrier stays, and so the
    /// bridge goes on knowing who was there, and floods nobody with what is for them.
    pub fn silence(&self, ports: &[&str]) -> Result<()> {
        let ports = ports.iter().map(|port| (*port).to_owned()).collect();
        self.set(Fault::Silence { ports }, true)
    }

    /// Makes ready what loses everything at a port for a while: each run of the command is one burst,
    /// whose end the kernel keeps, to its tick.
    pub fn bursts(&self, port: &str, long: Duration) -> Result<Burst> {
        nft(
            &self.namespace,
            "table bridge bursts { set silent { type ifname; flags timeout; }\n\
             chain forward { type filter hook forward priority 0;\n\
             iifname @silent drop;\noifname @silent drop; }\n}\n",
        )?;
        let milliseconds = long.as_millis();
        let rule =
            format!("add element bridge bursts silent {{ \"{port}\" timeout {milliseconds}ms }}");
        Ok(Burst { namespace: self.namespace.clone(), rule })
    }

    fn set(&self, fault: Fault, present: bool) -> Result<()> {
        let mut faults = self.faults.borrow_mut();
        faults.retain(|known| *known != fault);
        if present {
            faults.push(fault);
        }
        let rules: String = faults.iter().map(Fault::rules).collect();
        let text = format!(
            "table bridge faults {{}}\ndelete table bridge faults\n\
             table bridge faults {{ chain forward {{ type filter hook forward priority 0;\n{rules}}}\n}}\n"
        );
        nft(&self.namespace, &text)
    }
}
