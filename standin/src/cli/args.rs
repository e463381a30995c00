//! The command line as clap sees it. Nothing here is decided: [`super::options`] turns the raw
//! arguments into something valid.

#![expect(clippy::doc_markdown, reason = "clap prints these comments as help")]

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use standin_core::config::{Failback, OnAnswer, OnCheckFailure};
use standin_core::wire::Mac;

use super::completions::CompletionsArgs;
use super::options::LEAST_INTERVAL;
use super::values;
use crate::announce::Forms;
use crate::checks::StatusSet;
use crate::confine::Sandbox;
use crate::control::commands::{
    Asking, DrainArgs, ExplainArgs, MoveArgs, PlanArgs, ReloadArgs, StopArgs,
};
use crate::control::watch::WatchArgs;
use crate::demo::DemoArgs;
use crate::doctor::DoctorArgs;
use crate::duration;
use crate::import::ImportArgs;
use crate::keygen::KeygenArgs;
use crate::log::{Format, Level};
use crate::run::{RunArgs, WitnessArgs};

/// Stands in for another server's public IP address when it fails.
#[derive(Debug, Parser)]
#[command(
    name = "standin",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Exit status: 0 done, 64 wrong command line, 68 unknown host, 69 something \
                  needed is missing,\n71 the kernel refused, 73 a socket cannot be made, 74 the \
                  output cannot be written,\n75 try again later, 77 a capability is missing, \
                  78 the request does not fit this host.\nWith --json a failure is JSON too, on \
                  standard output: ok (false), error, expected,\nto_do and exit_status."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play the whole story on this machine, without root and without touching its network
    Demo(Box<DemoArgs>),
    /// Watch HOST and take over its public addresses when it fails
    For(Box<ForArgs>),
    /// Tell the neighbours who has ADDRESS, as arping -U -A and send_arp do
    Announce(AnnounceArgs),
    /// Send one ARP reply, with the arguments of the send_arp program
    SendArp(SendArpArgs),
    /// Run this host's node of a cluster
    Run(RunArgs),
    /// Vote in a cluster and hold nothing, without any rights
    Witness(WitnessArgs),
    /// Show what a running standin is doing: who holds what, and why
    Status(StatusArgs),
    /// Show the same again and again, until Ctrl-C
    Watch(WatchArgs),
    /// Say why a VIP is where it is, and what would move it
    Explain(ExplainArgs),
    /// Say what would happen if some nodes failed
    Plan(PlanArgs),
    /// Move a VIP to another node, without a lost packet
    Move(MoveArgs),
    /// Take everything off a node
    #[command(after_help = "\
Example:
  standin drain brain
      Before maintenance on brain: another node takes each of its addresses before it lets go. It
      stays so, also after a restart of brain, until standin undrain brain.")]
    Drain(DrainArgs),
    /// Let a drained node have its share again
    #[command(after_help = "\
Example:
  standin undrain brain
      After maintenance on brain: what belongs there goes back.")]
    Undrain(DrainArgs),
    /// Have the daemon read its file again
    Reload(ReloadArgs),
    /// Stop the daemon: everything is handed over first
    Stop(StopArgs),
    /// Judge a cluster's configuration file, and this host by it
    Check(DoctorArgs),
    /// Make a configuration file out of keepalived's
    Import(ImportArgs),
    /// Make the key file that the nodes of a cluster share
    Keygen(KeygenArgs),
    /// Print what a shell needs to complete this command line
    Completions(CompletionsArgs),
}

/// Who announces less often than this has forgotten it.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// The heading of what shows what is going on.
const OUTPUT: &str = "While it runs";

const FOR_EXAMPLES: &str = "\
Examples:
  standin for brain --vip 208.201.239.37
      Take over 208.201.239.37 within about a second of brain's last answer.
  standin for brain --vip 208.201.239.37 --own 208.201.239.36 \\
          --check http://208.201.239.37/ --expect-text '</html>'
      The same, hold our own public address too, and also step in when the page is broken.
  standin for brain --vip 10.0.0.9 --check https://www.example.org/ --check-interval 5s \\
          --check tcp:22 --check command:'/usr/local/bin/deep-check --all'
      Three checks. A modifier applies to the --check before it; one that stands before
      every --check applies to all of them.

dns:NAME asks the name server on the VIP for NAME's address; dns://{vip}:5353/NAME?type=TXT names a
port and a type. icmp is an echo request, which a host answers whose services are dead.
A check's URL may name a VIP, {vip} (each VIP) or a host name (each VIP, with that virtual host).
Durations have a unit: 20ms, 1.5s, 2m, 1h.";

/// The arguments of `standin for`.
#[derive(Debug, Args)]
#[command(after_help = FOR_EXAMPLES)]
pub struct ForArgs {
    /// The host to watch: a name or its real address, never a VIP. It needs no agent
    #[arg(value_name = "HOST")]
    pub host: String,

    /// An address of HOST's to take over when it fails (repeatable)
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub vip: Vec<IpAddr>,

    /// An address of this host's own, held from start to end (repeatable)
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub own: Vec<IpAddr>,

    /// The interface that gets the addresses [default: the one whose subnet they are in]
    #[arg(long, short, value_name = "NAME")]
    pub interface: Option<String>,

    /// Prefix length of claimed addresses [default: 32, for IPv6 128]
    #[arg(long, value_name = "LENGTH", value_parser = values::number::<u8>(0, 255))]
    pub prefix: Option<u8>,

    /// Label of claimed IPv4 addresses, shown as INTERFACE:LABEL [default: HOST]
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,

    #[command(flatten)]
    pub timing: TimingArgs,

    #[command(flatten)]
    pub checks: CheckArgs,

    /// Serve `standin status` on this Unix socket
    #[arg(long, help_heading = OUTPUT, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// How events are written to standard output
    #[arg(long, help_heading = OUTPUT, value_enum, value_name = "FORMAT", default_value = "auto")]
    pub log: Format,

    /// The least important events to write
    #[arg(long, help_heading = OUTPUT, value_enum, value_name = "LEVEL", default_value = "info")]
    pub log_level: Level,

    /// Give up the rights that are not needed once it runs
    #[arg(long, help_heading = OUTPUT, value_enum, value_name = "MODE", default_value = "auto")]
    pub sandbox: Sandbox,
}

/// When HOST is dead, and when it is back.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dead or alive")]
pub struct TimingArgs {
    /// HOST is dead when nothing at all has answered for so long (5ms to 1h)
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    pub dead_after: Duration,

    /// Time between probes, at most half of --dead-after [default: a fraction of it]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub interval: Option<Duration>,

    /// HOST is back when it has answered steadily for so long
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    pub back_after: Duration,

    /// Hand the VIPs back when HOST is back: yes, no, or after a further DURATION
    #[arg(long, value_name = "yes|no|DURATION", default_value = "yes", value_parser = values::failback)]
    pub failback: Failback,

    /// HOST is silent, but something still answers for the VIP
    #[arg(long, value_name = "ACTION", default_value = "wait", value_parser = values::on_answer())]
    pub on_answer: OnAnswer,

    /// HOST is alive, but a check fails
    #[arg(long, value_name = "ACTION", default_value = "takeover", value_parser = values::on_check_failure())]
    pub on_check_failure: OnCheckFailure,
}

/// The checks and their modifiers. A modifier's values are matched to the checks by their place
/// on the command line, which only clap's `ArgMatches` knows.
#[derive(Debug, Args)]
#[command(next_help_heading = "Checks of the service on the VIP")]
pub struct CheckArgs {
    /// http://…, https://…, tcp:PORT, tcp:ADDRESS:PORT, dns:NAME, icmp or command:'/path argument'
    /// (repeatable)
    // Read later, by us: clap repeats a wrong value whole, and this one may hold a password.
    #[arg(long, value_name = "CHECK")]
    pub check: Vec<String>,

    /// Text that has to be in the page (its first MiB); of dns:NAME, one of the answers in full
    #[arg(long, value_name = "TEXT")]
    pub expect_text: Vec<String>,

    /// HTTP status codes that are success, such as 200-299,401 [default: 200-399]
    #[arg(long, value_name = "CODES", value_parser = StatusSet::parse)]
    pub expect_status: Vec<StatusSet>,

    /// Accept any TLS certificate
    #[arg(long, action = ArgAction::Append, num_args = 0, default_missing_value = "true")]
    pub insecure: Vec<bool>,

    /// The name in the TLS certificate [default: the URL's host]
    #[arg(long, value_name = "NAME")]
    pub server_name: Vec<String>,

    /// PEM file of certificate authorities to trust beside the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Vec<PathBuf>,

    /// Time from one run of a check to the next [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub check_interval: Vec<Duration>,

    /// Time that one run has [default: 1s, at most the interval]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub check_timeout: Vec<Duration>,

    /// Successes in a row that end a failure [default: 2]
    #[arg(long, value_name = "COUNT", value_parser = values::number(1_u32, 100))]
    pub rise: Vec<u32>,

    /// Failures in a row that are a failure [default: 3]
    #[arg(long, value_name = "COUNT", value_parser = values::number(1_u32, 100))]
    pub fall: Vec<u32>,
}

const ANNOUNCE_EXAMPLES: &str = "\
Examples:
  standin announce 208.201.239.37
      One gratuitous ARP request and one reply, from the interface whose subnet it is in.
  standin announce 208.201.239.37 --interface eth0 --count 5 --interval 200ms
  standin announce 208.201.239.37 --reply --to 00:30:48:12:34:56
      Tell one neighbour only.
  standin announce 2001:db8::37
      IPv6: the unsolicited neighbour advertisement.

Needs only the capability CAP_NET_RAW. It adds no address: who announces an address that it does
not hold misleads the network.";

/// The arguments of `standin announce`.
#[derive(Debug, Args)]
#[command(after_help = ANNOUNCE_EXAMPLES)]
pub struct AnnounceArgs {
    /// The address to announce
    #[arg(value_name = "ADDRESS", value_parser = address)]
    pub address: IpAddr,

    /// The interface to send from [default: the one whose subnet ADDRESS is in]
    #[arg(long, short, value_name = "NAME")]
    pub interface: Option<String>,

    /// The MAC address that has ADDRESS [default: the interface's]
    #[arg(long, value_name = "MAC", value_parser = values::unicast_mac)]
    pub mac: Option<Mac>,

    /// The MAC address to tell [default: everyone]
    #[arg(long, value_name = "MAC", value_parser = values::mac)]
    pub to: Option<Mac>,

    /// How many rounds to send
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = values::number(1, u32::MAX))]
    pub count: u32,

    /// Time between rounds (1ms to 1h)
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::time(LEAST_INTERVAL, LONGEST_PAUSE))]
    pub interval: Duration,

    /// Only the ARP request (arping -U)
    #[arg(long, conflicts_with_all = ["reply", "both"])]
    request: bool,

    /// Only the ARP reply (arping -A)
    #[arg(long, conflicts_with = "both")]
    reply: bool,

    /// The request and the reply: some neighbours learn only from one (default)
    #[arg(long)]
    both: bool,
}

impl AnnounceArgs {
    /// Which ARP forms were asked for.
    pub fn forms(&self) -> Forms {
        match (self.request, self.reply) {
            (true, _) => Forms::Request,
            (_, true) => Forms::Reply,
            (false, false) => Forms::Both,
        }
    }

    /// Whether an ARP form was named, which an IPv6 announcement does not have.
    pub fn names_a_form(&self) -> bool {
        self.request || self.reply || self.both
    }
}

/// The arguments of `standin send-arp`, in the order of the send_arp program.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  standin send-arp 208.201.239.37 00:30:48:12:34:56 208.201.239.1 ff:ff:ff:ff:ff:ff
      Tell everyone that 208.201.239.37 is at 00:30:48:12:34:56.

Needs only the capability CAP_NET_RAW.")]
pub struct SendArpArgs {
    /// The address that is announced
    #[arg(value_name = "SRC_IP", value_parser = ipv4)]
    pub source_ip: std::net::Ipv4Addr,

    /// The MAC address it is at
    #[arg(value_name = "SRC_MAC", value_parser = values::unicast_mac)]
    pub source_mac: Mac,

    /// The address of the neighbour that is told
    #[arg(value_name = "DST_IP", value_parser = ipv4)]
    pub target_ip: std::net::Ipv4Addr,

    /// The MAC address of the neighbour, or ff:ff:ff:ff:ff:ff for all
    #[arg(value_name = "DST_MAC", value_parser = values::mac)]
    pub target_mac: Mac,

    /// The interface to send from [default: the one whose subnet DST_IP is in]
    #[arg(long, short, value_name = "NAME")]
    pub interface: Option<String>,
}

/// The arguments of `standin status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  standin status
      The cluster as this host's daemon sees it.
  standin status --json
      The same for a program.
  standin status --socket /tmp/standin.sock
      Of a standin for ... --socket /tmp/standin.sock.")]
pub struct StatusArgs {
    /// Whom to ask, and how to print the answer
    #[command(flatten)]
    pub asking: Asking,
}

/// Reads an address, with advice for the common slips.
fn address(text: &str) -> Result<IpAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some((address, _)) = text.split_once('/')
        && address.parse::<IpAddr>().is_ok()
    {
        return Err(format!("say {address} alone; 'standin for' has --prefix for the length"));
    }
    if let Some((address, _)) = text.split_once('%')
        && address.parse::<IpAddr>().is_ok()
    {
        return Err(format!("say {address} and name the interface by --interface"));
    }
    let is_address = |part: &str| part.trim().parse::<IpAddr>().is_ok();
    if text.contains([',', '-', ' ']) && text.split([',', '-', ' ']).any(is_address) {
        return Err("expected one address each time: give the option again for each".into());
    }
    Err("it is not an IPv4 or IPv6 address; a name would not do, since it could change".into())
}

/// Reads an IPv4 address.
fn ipv4(text: &str) -> Result<std::net::Ipv4Addr, String> {
    match address(text)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => {
            Err(format!("{address} is IPv6, which has no ARP: use standin announce {address}"))
        }
    }
}
