//! A host: a network namespace with interfaces, addresses, rules, servers and processes.
//!
//! Owns what happens inside one host. Its wires end at the switch, which can cut them.

use std::cell::RefCell;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Output, Stdio};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use standin_core::wire::Mac;
use standin_sys::netlink::{Address, AddressSpec, RouteSocket, RouteSpec};
use standin_sys::netns::NetNamespace;
use standin_sys::process::CommandExt;
use standin_sys::sysctl;

use crate::daemon::{Daemon, Process};
use crate::server::{Echo, Web};
use crate::story::Lab;
use crate::wait::{self, PATIENCE};

/// One end of a wire.
#[derive(Clone, Debug)]
pub struct Nic {
    pub name: String,
    pub ifindex: u32,
    pub mac: Mac,
    /// The other end, at the switch.
    pub port: u32,
}

/// A host.
pub struct Host {
    name: String,
    namespace: NetNamespace,
    route: RefCell<RouteSocket>,
    nics: RefCell<Vec<Nic>>,
    processes: RefCell<Vec<Rc<Process>>>,
    echo: RefCell<Option<Echo>>,
}

impl Host {
    /// A host without a wire. No duplicate address detection, no router solicitations.
    pub fn new(name: &str) -> Result<Self> {
        let namespace = NetNamespace::create()?;
        namespace.run(|| -> Result<()> {
            for (setting, value) in
                [("accept_dad", "0"), ("dad_transmits", "0"), ("router_solicitations", "0")]
            {
                sysctl::write(&sysctl::interface_key(6, "default", setting), value)?;
            }
            Ok(())
        })??;
        let route = RefCell::new(namespace.run(RouteSocket::open)??);
        Ok(Self {
            name: name.to_owned(),
            namespace,
            route,
            nics: RefCell::default(),
            processes: RefCell::default(),
            echo: RefCell::default(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn namespace(&self) -> &NetNamespace {
        &self.namespace
    }

    /// Its first interface.
    pub fn nic(&self) -> Nic {
        self.nics.borrow()[0].clone()
    }

    /// All of its interfaces.
    pub fn nics(&self) -> Vec<Nic> {
        self.nics.borrow().clone()
    }

    pub fn mac(&self) -> Mac {
        self.nic().mac
    }

    /// Takes the end of a wire that was made in this namespace, gives it its MAC and sets it up.
    pub fn attach(&self, name: &str, mac: Mac, port: u32) -> Result<Nic> {
        let mut route = self.route.borrow_mut();
        let ifindex = route.link_by_name(name)?.index;
        route.set_link_mac(ifindex, mac.0)?;
        route.set_link_up(ifindex, true)?;
        let nic = Nic { name: name.to_owned(), ifindex, mac, port };
        let mut nics = self.nics.borrow_mut();
        nics.retain(|known| known.name != nic.name);
        nics.push(nic.clone());
        wait::until_true("the carrier comes up", PATIENCE, || {
            route.link(ifindex).is_ok_and(|link| link.running)
        })?;
        Ok(nic)
    }

    /// Works with the host's netlink socket.
    pub fn route<T>(&self, work: impl FnOnce(&mut RouteSocket) -> T) -> T {
        work(&mut self.route.borrow_mut())
    }

    pub fn add_address(&self, nic: &Nic, ip: IpAddr, prefix: u8) -> Result<()> {
        let spec = AddressSpec { no_dad: true, ..AddressSpec::new(nic.ifindex, ip, prefix) };
        Ok(self.route(|route| route.add_address(&spec))?)
    }

    /// Adds an address as an administrator would, /32 or /128, to the first interface.
    pub fn configure(&self, ip: IpAddr) -> Result<()> {
        self.add_address(&self.nic(), ip, if ip.is_ipv4() { 32 } else { 128 })
    }

    /// Removes an address by whatever prefix it has.
    pub fn remove_address(&self, ip: IpAddr) -> Result<()> {
        let found = self.address(ip).with_context(|| format!("{} has no {ip}", self.name))?;
        Ok(self.route(|route| route.remove_address(found.ifindex, ip, found.prefix))?)
    }

    /// The address as the kernel has it.
    pub fn address(&self, ip: IpAddr) -> Option<Address> {
        let all = self.route(RouteSocket::addresses).ok()?;
        all.into_iter().find(|address| address.ip == ip)
    }

    pub fn has(&self, ip: IpAddr) -> bool {
        self.address(ip).is_some()
    }

    pub fn default_via(&self, gateway: IpAddr) -> Result<()> {
        Ok(self.route(|route| route.add_route(&RouteSpec::default_via(gateway)))?)
    }

    /// Whom this host's neighbour cache takes an address to be.
    pub fn neighbour(&self, nic: &Nic, ip: IpAddr) -> Option<Mac> {
        let entry = self.route(|route| route.neighbour(nic.ifindex, ip)).ok()??;
        entry.mac.filter(|_| entry.is_usable()).map(Mac)
    }

    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        Ok(self.namespace.run(|| sysctl::write(key, value))??)
    }

    /// Loads rules of nftables.
    pub fn nft(&self, rules: &str) -> Result<()> {
        nft(&self.namespace, rules)
    }

    /// Is silent at `real` from now on, in both directions, whatever else it answers at; or not.
    pub fn silence(&self, real: IpAddr, silent: bool) -> Result<()> {
        let clear = "table inet quiet {}\ndelete table inet quiet\n\
                     table arp quiet {}\ndelete table arp quiet\n";
        let chain = |hook: &str, rules: &str| {
            format!("chain {hook} {{\ntype filter hook {hook} priority 0;\n{rules}\n}}\n")
        };
        let table = |family: &str, input: &str, output: &str| {
            let (input, output) = (chain("input", input), chain("output", output));
            format!("table {family} quiet {{\n{input}{output}}}\n")
        };
        let rules = match (real, silent) {
            (_, false) => String::new(),
            (IpAddr::V4(real), true) => {
                let ip = table(
                    "inet",
                    &format!("ip daddr {real} drop"),
                    &format!("ip saddr {real} drop"),
                );
                let arp = table(
                    "arp",
                    &format!("arp daddr ip {real} drop"),
                    &format!("arp saddr ip {real} drop"),
                );
                ip + &arp
            }
            (IpAddr::V6(real), true) => {
                // The target of a solicitation or an advertisement, behind eight bytes.
                let target = format!("@th,64,128 0x{:032x} drop", u128::from(real));
                table(
                    "inet",
                    &format!("ip6 daddr {real} drop\nicmpv6 type nd-neighbor-solicit {target}"),
                    &format!("ip6 saddr {real} drop\nicmpv6 type nd-neighbor-advert {target}"),
                )
            }
        };
        self.nft(&format!("{clear}{rules}"))
    }

    /// Answers datagrams at these addresses, now or whenever it has them.
    pub fn answer_at(&self, addresses: &[IpAddr]) -> Result<()> {
        let echo = Echo::start(&self.namespace, &self.name, addresses)?;
        self.echo.replace(Some(echo));
        Ok(())
    }

    /// Serves its page.
    pub fn serve_page(&self) -> Result<Web> {
        Web::start(&self.namespace, &self.name)
    }

    /// A command inside this host.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.in_namespace(&self.namespace);
        command
    }

    /// Starts a program whose log is kept and that ends when the power does.
    pub fn start(&self, lab: &Lab, title: &str, command: &mut Command) -> Result<Daemon> {
        let daemon = Daemon::start(format!("{title} on {}", self.name), command)?;
        lab.keep(daemon.log().clone());
        self.processes.borrow_mut().push(daemon.process().clone());
        Ok(daemon)
    }

    /// Starts `standin for` with these arguments; its log is JSON.
    pub fn standin_for(&self, lab: &Lab, arguments: &str) -> Result<Daemon> {
        lab.say(format!("{}: standin for {arguments}", self.name));
        let mut command = self.command(lab.standin());
        command.arg("for").args(words(arguments));
        command.args(["--log", "json", "--log-level", "debug"]);
        self.start(lab, "standin", &mut command)
    }

    /// Runs `standin` to its end.
    pub fn standin(&self, lab: &Lab, arguments: &str) -> Result<Output> {
        lab.say(format!("{}: standin {arguments}", self.name));
        let mut command = self.command(lab.standin());
        command.args(words(arguments)).stdin(Stdio::null()).die_with_parent();
        command.output().context("standin did not start")
    }

    /// Kills every process. The wires are the switch's.
    pub fn kill_processes(&self) -> Result<()> {
        self.processes.borrow_mut().drain(..).try_for_each(|process| process.kill())
    }
}

/// Words as a shell would split them, with single quotes.
pub fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        match index % 2 {
            1 => found.push(part.to_owned()),
            _ => found.extend(part.split_whitespace().map(str::to_owned)),
        }
    }
    found
}

/// Loads rules of nftables into a namespace.
pub fn nft(namespace: &NetNamespace, rules: &str) -> Result<()> {
    let mut command = Command::new("nft");
    command.args(["-f", "-"]).in_namespace(namespace).die_with_parent();
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("nft is missing: install the package nftables")?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(rules.as_bytes()).context("write rules to nft")?;
    }
    let output = child.wait_with_output().context("wait for nft")?;
    if !output.status.success() {
        bail!("nft refused the rules: {}\n{rules}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_keep_what_is_quoted() {
        assert_eq!(words("a  b 'c d' ''"), ["a", "b", "c d", ""]);
        assert!(words("  ").is_empty());
    }
}
