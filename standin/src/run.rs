//! `standin run` and `standin witness`: a node of a cluster, or one that only votes, from its file to
//! its end.
//!
//! Owns the change from one configuration to the next within one process: the run with the old one
//! leaves its addresses on their interfaces with a lifetime of half a minute, the run with the new
//! one finds and keeps them, as after a restart with `--keep`. Invariant: an address that is in
//! both configurations is on the interface throughout.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use standin_core::cluster::leases::Memory;
use standin_core::place::NodeId;
use standin_core::{Input, Node, step};
use standin_sys::instance::InstanceLock;
use standin_sys::memory;
use standin_sys::netlink::RouteQueue;

use crate::assembly::assemble;
use crate::colour;
use crate::confine::{self, Sandbox};
use crate::control::Access;
use crate::failure::{Failure, Result};
use crate::fast::{Beats, Beginning, Ended, FastLoop, Renewal, Shell, now, sweep_routes};
use crate::file::{self, ClusterFile};
use crate::host::{Install, PreparedCluster, os, quorum};
use crate::http::Door;
use crate::link::{Orders, ToSlow};
use crate::log::{Format, Level, Logger};
use crate::notify;
use crate::on_time;
use crate::slow::{self, Matters, Origin, Role};

const RUN_EXAMPLES: &str = "\
Examples:
  standin run
      This host's node of the cluster in /etc/standin/standin.toml.
  standin run ./standin.toml --node brain
      As the node brain, whatever this host is called.

SIGTERM and SIGINT hand everything over to the other nodes and end it; SIGUSR2 ends it and leaves
everything to the next run, for 30 s; SIGHUP reads the file again.";

/// The arguments of `standin run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// The configuration file, the same on every node
    #[arg(value_name = "FILE", default_value = file::DEFAULT_PATH)]
    pub file: PathBuf,

    /// The node that this host is [default: found by host name or address]
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,

    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Auto)]
    pub log: Format,

    /// The least important events that are logged
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Info)]
    pub log_level: Level,

    /// Give up the rights that are not needed once it runs
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Sandbox::Auto)]
    pub sandbox: Sandbox,
}

const WITNESS_EXAMPLES: &str = "\
Examples:
  standin witness
      This host's witness in /etc/standin/standin.toml.
  standin witness ./standin.toml --node snowball --socket /tmp/standin.sock
      As the witness snowball, whatever this host is called; standin status --socket asks it.

A witness votes and holds nothing. It needs the file, the key and one UDP port, and no rights: run
it as any user, on any machine that the nodes reach. One that starts keeps quiet for one lease.
SIGTERM and SIGINT end it; SIGHUP reads the file again.";

/// The arguments of `standin witness`.
#[derive(Debug, Args)]
#[command(after_help = WITNESS_EXAMPLES)]
pub struct WitnessArgs {
    /// The configuration file, the same as on the nodes
    #[arg(value_name = "FILE", default_value = file::DEFAULT_PATH)]
    pub file: PathBuf,

    /// The witness that this host is [default: found by host name or address]
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,

    /// Serve `standin status` on this Unix socket [default: none]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Auto)]
    pub log: Format,

    /// The least important events that are logged
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Info)]
    pub log_level: Level,

    /// Give up the rights that are not needed once it runs
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Sandbox::Auto)]
    pub sandbox: Sandbox,
}

/// `standin run`: runs until it is told to stop.
///
/// # Errors
/// Why it cannot start; nothing has been changed on the host then. Or the kernel's failure that
/// ended it.
pub fn run(args: &RunArgs) -> Result<()> {
    let (file, warnings) =
        file::load(&args.file)?.into_valid(io::stderr().is_terminal() && colour::is_wanted())?;
    let starts_programs = confine::starts_programs(&file);
    let origin = Origin {
        path: args.file.clone(),
        node: args.node.clone(),
        role: Role::Node,
        may_start_programs: starts_programs || args.sandbox == Sandbox::Off,
    };
    let access = Access::of(&file.control);
    let manner = Manner { log: args.log, log_level: args.log_level, sandbox: args.sandbox };
    run_as(&origin, (file, warnings), Some(&access), manner)
}

/// `standin witness`: runs until it is told to stop.
///
/// # Errors
/// Why it cannot start, or the kernel's failure that ended it.
pub fn witness(args: &WitnessArgs) -> Result<()> {
    let origin = Origin {
        path: args.file.clone(),
        node: args.node.clone(),
        role: Role::Witness,
        may_start_programs: false,
    };
    let (file, warnings) =
        file::load(&args.file)?.into_valid(io::stderr().is_terminal() && colour::is_wanted())?;
    let access = args.socket.as_ref().map(|path| Access::to(path));
    let manner = Manner { log: args.log, log_level: args.log_level, sandbox: args.sandbox };
    run_as(&origin, (file, warnings), access.as_ref(), manner)
}

/// How a run shows itself, and what it gives up.
#[derive(Debug, Clone, Copy)]
struct Manner {
    log: Format,
    log_level: Level,
    sandbox: Sandbox,
}

fn run_as(
    origin: &Origin,
    (file, mut warnings): (ClusterFile, Vec<String>),
    access: Option<&Access>,
    manner: Manner,
) -> Result<()> {
    memory::give_back_large();
    let mut prepared = origin.prepare(&file, &[])?;
    let mut locks = std::mem::take(&mut prepared.host.locks);
    warnings.append(&mut prepared.host.warnings);
    let pages = file.http.as_ref().filter(|_| origin.role == Role::Node);
    let door = pages.map(Door::open).transpose()?;
    if origin.role == Role::Node {
        notify::judge(&file.webhooks)?;
    }
    let (mut shell, backstage) = assemble(access)?;
    let backstage = backstage.behind(door);
    let matters = Matters::of_cluster(&file, &prepared);
    let own_name = &prepared.settings.names[prepared.settings.me.index()];
    let first = slow::started_in_cluster(&file, own_name, &prepared.host.config);
    remove(&prepared.disowned)?;
    sweep_routes(&prepared.host).map_err(|error| os(&error))?;
    let beats = Beats::open(&prepared.heartbeats).map_err(|error| os(&error))?;
    let nothing = (&Orders::default(), None);
    // In effect from here on.
    let mut effective = file;
    let mut fast = begin(prepared, nothing, beats, Vec::new(), &mut shell)?;
    memory::give_back_freed();
    let late = on_time::ask(&effective);
    if origin.role == Role::Node {
        warnings.extend(late);
    }
    let logger = Logger::open(manner.log, manner.log_level)?;
    let starts_programs = origin.role == Role::Node && confine::starts_programs(&effective);
    let socket = access.map(|access| access.path.as_path());
    let confined = confine::confine(manner.sandbox, starts_programs, socket);
    let thread =
        backstage.start(logger, &[first, confined], &warnings, matters, Some(origin.clone()))?;
    if origin.role == Role::Node {
        on_time::keep_to_processors(&effective);
    }
    let outcome = loop {
        match fast.run() {
            Ok(Ended::Stopped) => break Ok(()),
            Err(failure) => break Err(failure),
            Ok(Ended::Renew(renewal)) => {
                match renew(*renewal, effective, origin, &mut locks, &mut shell) {
                    Ok((next, now_in_effect)) => (fast, effective) = (next, now_in_effect),
                    Err(failure) => break Err(failure),
                }
            }
        }
    };
    // The slow loop writes what is left and ends.
    drop(shell);
    let _ = thread.join();
    outcome
}

/// Removes addresses, before the tables that keep them quiet are replaced.
fn remove(installs: &[Install]) -> Result<()> {
    if installs.is_empty() {
        return Ok(());
    }
    let mut queue = RouteQueue::open().map_err(|error| os(&error))?;
    for install in installs.iter().filter(|install| !install.route) {
        queue.push_removal(install.ifindex, install.address, install.prefix);
    }
    // The kernel does it while it takes the request.
    queue.flush().map_err(|error| os(&error))?;
    Ok(())
}

/// The next run: with the new file, or, should that fail though it was judged to be good, with the
/// one before.
fn renew<'s>(
    renewal: Renewal,
    old: ClusterFile,
    origin: &Origin,
    locks: &mut Vec<(IpAddr, InstanceLock)>,
    shell: &'s mut Shell,
) -> Result<(FastLoop<'s>, ClusterFile)> {
    let Renewal { file, orders, beats, leases, installs } = renewal;
    let outbox = shell.ends.outbox.clone();
    let old_voters: Vec<String> = quorum::voters(&old).into_iter().map(str::to_owned).collect();
    let held: Vec<IpAddr> = locks.iter().map(|(address, _)| *address).collect();
    // What is on the interfaces is looked at again: the judgement of the file is older than the
    // last moments of the run.
    let (file, mut prepared, refused) = match origin.prepare(&file, &held) {
        Ok(prepared) => (file, prepared, None),
        Err(why) => {
            let prepared = origin.prepare(&old, &held)?;
            (old, prepared, Some(why))
        }
    };
    quorum::follow(&mut prepared.settings, &old_voters, &file);
    locks.append(&mut prepared.host.locks);
    locks.retain(|(address, _)| file.addresses().any(|vip| vip == *address));
    let kept = prepared.host.installs.iter().map(|new| (new.ifindex, new.address));
    let kept: BTreeSet<(u32, IpAddr)> = kept.collect();
    let is_kept = |old: &Install| kept.contains(&(old.ifindex, old.address));
    let orphans = installs.into_iter().filter(|old| !is_kept(old)).collect();
    let matters = Box::new(Matters::of_cluster(&file, &prepared));
    let told = match refused {
        None => ToSlow::Renewed(matters),
        Some(why) => ToSlow::NotRenewed { why, matters },
    };
    // Everything after this message has other numbers, so it must not be lost; the slow loop
    // reads on, and the addresses have half a minute.
    let _ = outbox.blocking_send(told);
    remove(&prepared.disowned)?;
    let beats = match beats {
        Some(beats) => beats.change(&prepared.heartbeats),
        None => Beats::open(&prepared.heartbeats),
    };
    let beats = beats.map_err(|error| os(&error))?;
    let heartbeats = prepared.heartbeats.clone();
    let mut fast = begin(prepared, (&orders, leases), beats, orphans, shell)?;
    // The orphans have left their interfaces by now.
    fast.forget(&heartbeats)?;
    memory::give_back_freed();
    Ok((fast, file))
}

fn begin<'s>(
    prepared: PreparedCluster,
    (orders, leases): (&Orders, Option<Memory>),
    beats: Beats,
    orphans: Vec<Install>,
    shell: &'s mut Shell,
) -> Result<FastLoop<'s>> {
    let PreparedCluster { host, settings, keys, heartbeats: _, disowned: _ } = prepared;
    let at = now();
    let secret = secret()?;
    let names = settings.names.clone();
    let groups: Vec<_> = settings.groups.iter().map(|group| group.name.clone()).collect();
    let mut node = Node::in_cluster(host.config.clone(), settings, keys, secret, at);
    if let Some(memory) = leases {
        node.recall_leases(memory);
    }
    let number = |name: &str| {
        let position = names.iter().position(|known| **known == *name);
        position.map(|position| NodeId(position as u16))
    };
    for drained in orders.drained.iter().filter_map(|name| number(name)) {
        step(&mut node, at, Input::Drain { node: drained, drained: true });
    }
    for (group, placed) in &orders.placed {
        let group = groups.iter().position(|known| known == group);
        if let (Some(group), Some(placed)) = (group, number(placed)) {
            step(&mut node, at, Input::Place { group, node: Some(placed) });
        }
    }
    let beginning = Beginning { prepared: &host, node, beats: Some(beats), names, orphans };
    FastLoop::new(beginning, shell)
}

/// Random bytes that nobody else knows; the kernel's generator is ready long before anything of
/// ours runs.
fn secret() -> Result<[u8; 32]> {
    let mut secret = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut secret))
        .map_err(|error| Failure::os("read /dev/urandom", &error))?;
    Ok(secret)
}
