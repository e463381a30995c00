//! The systems people use today, started so that they can be measured beside `standin`.
//!
//! Owns the command line and the configuration of each peer. Never starts one and never enters a
//! namespace: the caller runs the command in the node's network namespace and ends it. The files
//! are those of `lab/peers/`, whose README says what was tried and how to end each peer.
//!
//! Invariant: a peer writes nothing outside the directory it was given.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

const KEEPALIVED_DEFAULT: &str = include_str!("../peers/keepalived-default.conf.tmpl");
const KEEPALIVED_FAST: &str = include_str!("../peers/keepalived-fast.conf.tmpl");

/// A system to measure against, in one of its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The article's bash loop: a ping every 3 s.
    Article,
    /// ucarp, one advertisement a second.
    Ucarp,
    /// keepalived as it comes: VRRP version 2, one advertisement a second.
    KeepalivedDefault,
    /// keepalived at its fastest: VRRP version 3, `advert_int 0.01`.
    KeepalivedFast,
}

/// What a node does for the VIP while nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It holds the VIP.
    Home,
    /// It waits for the other to fail.
    StandIn,
}

/// One of the two nodes, as a peer's configuration sees it.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Its name, unique among the nodes: file names and router ids are made of it.
    pub name: &'a str,
    /// The interface on the common link.
    pub interface: &'a str,
    /// Its own address, which never moves.
    pub real: Ipv4Addr,
    /// Its part.
    pub role: Role,
}

impl Peer {
    /// Every peer, slowest first.
    pub const ALL: [Self; 4] =
        [Self::Article, Self::Ucarp, Self::KeepalivedDefault, Self::KeepalivedFast];

    /// Its name in tables and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Article => "article",
            Self::Ucarp => "ucarp",
            Self::KeepalivedDefault => "keepalived-default",
            Self::KeepalivedFast => "keepalived-fast",
        }
    }

    /// The programs that it needs on the PATH.
    pub const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Article => &["bash", "ping", "ifconfig", "arping"],
            Self::Ucarp => &["ucarp", "ip"],
            Self::KeepalivedDefault | Self::KeepalivedFast => &["keepalived"],
        }
    }

    /// The command that plays `node`'s part for `vip` and stays in the foreground, with its
    /// configuration written to `directory`; `other` is the node at the other end.
    ///
    /// `None` where the part needs no program: the article's home simply has the VIP, as an
    /// ordinary address that the caller adds.
    pub fn command(
        self,
        node: Node<'_>,
        other: Node<'_>,
        vip: Ipv4Addr,
        directory: &Path,
    ) -> io::Result<Option<Command>> {
        match (self, node.role) {
            (Self::Article, Role::Home) => Ok(None),
            (Self::Article, Role::StandIn) => Ok(Some(article(node, other, vip))),
            (Self::Ucarp, _) => Ok(Some(ucarp(node, vip))),
            (Self::KeepalivedDefault, _) => {
                keepalived(&filled(KEEPALIVED_DEFAULT, node, vip), node, directory).map(Some)
            }
            (Self::KeepalivedFast, _) => {
                keepalived(&filled(KEEPALIVED_FAST, node, vip), node, directory).map(Some)
            }
        }
    }

    /// As [`Peer::command`], with advertisements sent to the other node alone instead of to the
    /// group, and with any number of addresses, the first of which is in the advertisements. `None`
    /// where the peer has no such setting.
    pub fn unicast_command(
        self,
        node: Node<'_>,
        other: Node<'_>,
        vips: &[Ipv4Addr],
        directory: &Path,
    ) -> io::Result<Option<Command>> {
        let Some((vip, more)) = vips.split_first() else { return Ok(None) };
        let template = match self {
            Self::Article | Self::Ucarp => return Ok(None),
            Self::KeepalivedDefault => KEEPALIVED_DEFAULT,
            Self::KeepalivedFast => KEEPALIVED_FAST,
        };
        let text = unicast(&filled(template, node, *vip), node, other);
        keepalived(&with_more(&text, more), node, directory).map(Some)
    }
}

/// A file of `lab/peers/`: the lab always runs from the source tree.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

fn article(node: Node<'_>, other: Node<'_>, vip: Ipv4Addr) -> Command {
    let mut command = Command::new("bash");
    command.arg(file("article.sh")).arg(other.name);
    command.arg(other.real.to_string()).arg(vip.to_string());
    command.env("INTERFACE", node.interface);
    command
}

fn ucarp(node: Node<'_>, vip: Ipv4Addr) -> Command {
    let mut command = Command::new("ucarp");
    command.arg(format!("--interface={}", node.interface));
    command.arg(format!("--srcip={}", node.real));
    command.arg(format!("--addr={vip}"));
    command.args(["--vhid=51", "--pass=bench", "--advbase=1", "--shutdown"]);
    match node.role {
        Role::Home => command.args(["--advskew=0", "--preempt"]),
        Role::StandIn => command.arg("--advskew=100"),
    };
    for (option, script) in [("--upscript", "ucarp-up.sh"), ("--downscript", "ucarp-down.sh")] {
        command.arg(format!("{option}={}", file(script).display()));
    }
    command
}

fn keepalived(text: &str, node: Node<'_>, directory: &Path) -> io::Result<Command> {
    let path = |suffix: &str| directory.join(format!("keepalived-{}.{suffix}", node.name));
    fs::write(path("conf"), text)?;
    let mut command = Command::new("keepalived");
    command.args(["--vrrp", "--dont-fork", "--log-console", "--no-syslog", "--log-detail"]);
    command.arg("--use-file").arg(path("conf"));
    command.arg("--pid").arg(path("pid"));
    command.arg("--vrrp_pid").arg(path("vrrp.pid"));
    Ok(command)
}

fn filled(template: &str, node: Node<'_>, vip: Ipv4Addr) -> String {
    let (state, priority) = match node.role {
        Role::Home => ("MASTER", "150"),
        Role::StandIn => ("BACKUP", "100"),
    };
    template
        .replace("{NAME}", node.name)
        .replace("{STATE}", state)
        .replace("{INTERFACE}", node.interface)
        .replace("{PRIORITY}", priority)
        .replace("{VIP}", &vip.to_string())
}

/// A filled template whose advertisements go to the other node alone.
fn unicast(text: &str, node: Node<'_>, other: Node<'_>) -> String {
    let addresses = format!(
        "unicast_src_ip {}\n    unicast_peer {{\n        {}\n    }}\n    virtual_ipaddress {{",
        node.real, other.real
    );
    text.replacen("virtual_ipaddress {", &addresses, 1)
}

/// An advertisement has room for few addresses; keepalived takes the others in a block of their own.
fn with_more(text: &str, more: &[Ipv4Addr]) -> String {
    if more.is_empty() {
        return text.to_owned();
    }
    let lines: Vec<String> = more.iter().map(|vip| format!("        {vip}/32")).collect();
    let lines = lines.join("\n");
    let block = format!("virtual_ipaddress_excluded {{\n{lines}\n    }}\n    virtual_ipaddress {{");
    text.replacen("virtual_ipaddress {", &block, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 100);

    fn pinky() -> Node<'static> {
        let real = Ipv4Addr::new(10, 9, 0, 2);
        Node { name: "pinky", interface: "eth0", real, role: Role::StandIn }
    }

    fn brain() -> Node<'static> {
        let real = Ipv4Addr::new(10, 9, 0, 3);
        Node { name: "brain", interface: "eth0", real, role: Role::Home }
    }

    fn words(command: &Command) -> Vec<String> {
        command.get_args().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn templates_are_filled_to_the_last_placeholder() {
        for template in [KEEPALIVED_DEFAULT, KEEPALIVED_FAST] {
            let text = filled(template, brain(), VIP);
            assert!(!text.contains("{NAME}") && !text.contains("{VIP}"), "{text}");
            for line in ["router_id brain", "state MASTER", "interface eth0", "priority 150"] {
                assert!(text.contains(line), "{line} in {text}");
            }
            assert!(text.contains("10.9.0.100/32"), "{text}");
        }
    }

    #[test]
    fn a_unicast_keepalived_names_both_ends() {
        let text = unicast(&filled(KEEPALIVED_FAST, brain(), VIP), brain(), pinky());
        assert!(text.contains("unicast_src_ip 10.9.0.3\n"), "{text}");
        assert!(text.contains("unicast_peer {\n        10.9.0.2\n    }"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
        let nowhere = Path::new("/nowhere");
        let ucarp = Peer::Ucarp.unicast_command(brain(), pinky(), &[VIP], nowhere);
        assert!(ucarp.expect("nothing is written").is_none());
    }

    #[test]
    fn a_keepalived_of_many_addresses_advertises_the_first() {
        let more = [Ipv4Addr::new(10, 9, 100, 1), Ipv4Addr::new(10, 9, 100, 2)];
        let text = with_more(&filled(KEEPALIVED_DEFAULT, brain(), VIP), &more);
        let (excluded, advertised) = text.split_once("virtual_ipaddress {").expect("both blocks");
        assert!(
            excluded.ends_with("        10.9.100.1/32\n        10.9.100.2/32\n    }\n    "),
            "{text}"
        );
        assert!(advertised.contains("10.9.0.100/32"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
    }

    #[test]
    fn the_articles_home_runs_nothing() {
        let directory = Path::new("/nowhere");
        let command = Peer::Article.command(brain(), pinky(), VIP, directory);
        assert!(command.expect("nothing is written").is_none());
        let command = Peer::Article.command(pinky(), brain(), VIP, directory);
        let command = command.expect("nothing is written").expect("the stand-in runs the script");
        assert_eq!(words(&command)[1..], ["brain", "10.9.0.3", "10.9.0.100"]);
        assert!(Path::new(&words(&command)[0]).is_file());
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let nowhere = Path::new("/nowhere");
        let command = Peer::KeepalivedFast.command(brain(), pinky(), VIP, nowhere);
        assert_eq!(command.expect_err("no such directory").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn ucarp_prefers_the_home() {
        let directory = Path::new("/nowhere");
        let home = Peer::Ucarp.command(brain(), pinky(), VIP, directory);
        let home = words(&home.expect("nothing is written").expect("both nodes run ucarp"));
        assert!(home.contains(&"--preempt".to_owned()) && home.contains(&"--advskew=0".to_owned()));
        let other = Peer::Ucarp.command(pinky(), brain(), VIP, directory);
        let other = words(&other.expect("nothing is written").expect("both nodes run ucarp"));
        assert!(!other.contains(&"--preempt".to_owned()));
    }
}
