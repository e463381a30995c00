//! What is measured: `standin` in two settings, and each peer.
//!
//! Owns how a subject is started on home and stand-in and when it is ready. Its figures are made in
//! [`mod@super::measure`].

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use standin_sys::process::{CommandExt, ProcessHandle};
use standin_sys::signal::SIGKILL;

use crate::daemon::Daemon;
use crate::peers::{Node, Peer, Role};
use crate::sandbox;
use crate::story::Lab;
use crate::wait;
use crate::world::{BRAIN, Family, Host, PINKY, World};

/// keepalived waits for three advertisements before anything.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A system in one of its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// As it comes.
    Standin,
    /// `--dead-after 20ms`.
    StandinFast,
    Peer(Peer),
}

impl Subject {
    pub const KEEPALIVED_FAST: Self = Self::Peer(Peer::KeepalivedFast);

    /// Ours first.
    pub const ALL: [Self; 6] = [
        Self::Standin,
        Self::StandinFast,
        Self::Peer(Peer::Article),
        Self::Peer(Peer::Ucarp),
        Self::Peer(Peer::KeepalivedDefault),
        Self::Peer(Peer::KeepalivedFast),
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Standin => "standin",
            Self::StandinFast => "standin-20ms",
            Self::Peer(peer) => peer.name(),
        }
    }

    pub fn named(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|subject| subject.name() == name)
            .with_context(|| format!("there is no subject {name:?}"))
    }

    /// Whether a planned hand-back between two daemons is measured.
    pub const fn hands_back(self) -> bool {
        match self {
            Self::Standin | Self::Peer(Peer::KeepalivedDefault | Peer::KeepalivedFast) => true,
            Self::StandinFast | Self::Peer(Peer::Article | Peer::Ucarp) => false,
        }
    }

    /// Its own rhythm: the power is pulled at a random phase of it.
    const fn rhythm(self) -> Duration {
        match self {
            Self::Standin => Duration::from_millis(250),
            Self::StandinFast | Self::Peer(Peer::KeepalivedFast) => Duration::from_millis(10),
            Self::Peer(Peer::Ucarp | Peer::KeepalivedDefault) => Duration::from_secs(1),
            Self::Peer(Peer::Article) => Duration::from_secs(3),
        }
    }

    /// Fails with a package's name where a program is missing.
    pub fn require_programs(self) -> Result<()> {
        let Self::Peer(peer) = self else { return Ok(()) };
        peer.programs().iter().try_for_each(|program| {
            let package = match *program {
                "ping" => "iputils-ping",
                "arping" => "iputils-arping",
                "ifconfig" => "net-tools",
                "ip" => "iproute2",
                same => same,
            };
            sandbox::require(program, package)
        })
    }

    /// The arguments of our two settings.
    const fn dead_after(self) -> &'static str {
        match self {
            Self::StandinFast => "--dead-after 20ms",
            Self::Standin | Self::Peer(_) => "",
        }
    }

    /// Starts the home's part; returns when it has the VIP.
    pub fn start_home(self, world: &World<'_>, owner: bool) -> Result<Option<Daemon>> {
        let vip = Family::V4.vip(BRAIN);
        let daemon = match self {
            Self::Standin | Self::StandinFast if owner => {
                let own = format!("{} --own {vip}", Family::V4.real(PINKY));
                Some(world.brain.standin_for(world.lab, &own)?)
            }
            Self::Standin | Self::StandinFast | Self::Peer(Peer::Article) => {
                world.brain.configure(vip)?;
                None
            }
            Self::Peer(peer) => start_peer(peer, world, &world.brain, Role::Home)?,
        };
        wait::until_true("home has the VIP", READY_WITHIN, || world.brain.has(vip))?;
        Ok(daemon)
    }

    /// keepalived's parent leaves its child running when it is killed.
    pub fn kill_rest_of_home(self) -> Result<()> {
        let Self::Peer(Peer::KeepalivedDefault | Peer::KeepalivedFast) = self else {
            return Ok(());
        };
        let path = |name: &str| Lab::directory().join(format!("keepalived-brain.{name}"));
        let text = fs::read_to_string(path("vrrp.pid")).context("keepalived's pid file")?;
        let id = text.trim().parse().context("keepalived's pid file")?;
        ProcessHandle::open(id)?.send_signal(SIGKILL)?;
        // A boot empties /run; it would take its own old files for a running daemon.
        for name in ["pid", "vrrp.pid"] {
            fs::remove_file(path(name)).context("keepalived's pid file")?;
        }
        Ok(())
    }

    /// Starts the stand-in's part; returns when it watches.
    pub fn start_stand_in(self, world: &World<'_>) -> Result<Daemon> {
        let vip = Family::V4.vip(BRAIN);
        let watching = match self {
            Self::Standin | Self::StandinFast => {
                let arguments =
                    format!("{} --vip {vip} {}", Family::V4.real(BRAIN), self.dead_after());
                let daemon = world.pinky.standin_for(world.lab, &arguments)?;
                daemon.wait("peer-alive")?;
                daemon
            }
            Self::Peer(peer) => {
                let daemon = start_peer(peer, world, &world.pinky, Role::StandIn)?
                    .context("every stand-in is a program")?;
                if peer != Peer::Article {
                    wait::until_true("the stand-in waits", READY_WITHIN, || {
                        daemon.text().contains("BACKUP")
                    })?;
                }
                daemon
            }
        };
        // One rhythm to be heard in, and a random part of another.
        std::thread::sleep(self.rhythm() + self.rhythm().mul_f64(random_fraction()));
        Ok(watching)
    }
}

fn start_peer(peer: Peer, world: &World<'_>, host: &Host, role: Role) -> Result<Option<Daemon>> {
    let other: &Host = if role == Role::Home { &world.pinky } else { &world.brain };
    let (own_number, other_number) =
        if role == Role::Home { (BRAIN, PINKY) } else { (PINKY, BRAIN) };
    let other_role = if role == Role::Home { Role::StandIn } else { Role::Home };
    let node = |name, number, role| Node { name, interface: "eth0", real: v4(number), role };
    let IpAddr::V4(vip) = Family::V4.vip(BRAIN) else { anyhow::bail!("the VIP is IPv4") };
    let command = peer
        .command(
            node(host.name(), own_number, role),
            node(other.name(), other_number, other_role),
            vip,
            Lab::directory(),
        )
        .with_context(|| format!("the command of {}", peer.name()))?;
    let Some(mut command) = command else { return Ok(None) };
    command.in_namespace(host.namespace());
    host.start(world.lab, peer.name(), &mut command).map(Some)
}

fn v4(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, crate::world::LAN, 0, number)
}

/// Between 0 and 1; the clock's finest digits are random enough to pick a phase.
pub fn random_fraction() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    f64::from(now.subsec_nanos() % 1_000_003) / 1_000_003.0
}
