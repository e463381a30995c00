//! What a host may meet with while nobody is dead: lost frames, busy processors, scarce memory,
//! floods.
//!
//! Owns how each is made and that it ends. All of it is bounded: frames by a rate, memory by a control
//! group of its own and by what is asked for, and nothing outlives its guard.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use standin_core::wire::{ArpPacket, Mac};
use standin_sys::packet::PacketSocket;
use standin_sys::process::CommandExt;

use crate::daemon::Daemon;
use crate::wait::{self, PATIENCE};
use crate::world::{Family, Host, LAN, World};

/// Starts processes that do nothing but take processors.
pub fn spinners(count: usize) -> Result<Vec<Daemon>> {
    let spinner = |_| {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]).stdin(Stdio::null()).die_with_parent();
        Daemon::start("a spinning process".to_owned(), &mut command)
    };
    (0..count).map(spinner).collect()
}

/// The first argument of the process that takes memory.
pub const EATER: &str = "eater";
/// What all processes of the scarce group may have together, page cache included.
const GROUP_MIB: u64 = 160;
/// What the eater has of its own and touches again and again.
const OWN_MIB: usize = 96;
/// The file that it reads again and again: more than there is room for.
const FILE_MIB: usize = 256;
/// The file is nobody's name from the first moment on; this directory is on a disk by custom.
const FILE_DIRECTORY: &str = "/var/tmp";
const MIB: usize = 1024 * 1024;

/// Memory is scarce: some processes share a small control group with one that takes more of it than
/// there is. Ends when dropped.
pub struct Scarcity {
    eater: Daemon,
    group: Option<PathBuf>,
}

impl Scarcity {
    /// Begins for these processes. Where no control group can be made (it takes root) the eater takes
    /// its part of the whole memory, and nothing is scarce on a large machine: see
    /// [`Scarcity::is_limited`].
    pub fn begin(processes: &[u32]) -> Result<Self> {
        let group = group();
        let myself = std::env::current_exe().context("where this program is")?;
        let mut command = Command::new(myself);
        command.arg(EATER).args(&group);
        let eater = Daemon::start("the process that takes memory".to_owned(), &mut command)?;
        let scarcity = Self { eater, group };
        if let Some(group) = &scarcity.group {
            for id in processes {
                fs::write(group.join("cgroup.procs"), id.to_string())
                    .with_context(|| format!("put process {id} into {}", group.display()))?;
            }
        }
        let eats = || scarcity.eater.text().contains("eating");
        wait::until_true("the memory is taken", PATIENCE * 3, eats)?;
        Ok(scarcity)
    }

    /// Whether there was a limit.
    pub fn is_limited(&self) -> bool {
        self.group.is_some()
    }

    /// How often the eater has read its whole file; it fails where it has died.
    pub fn rounds(&self) -> Result<usize> {
        let ended = self.eater.process().ended();
        ensure!(ended.is_none(), "the process that takes memory ended: {}", self.eater.text());
        Ok(self.eater.text().matches("eating").count())
    }
}

impl Drop for Scarcity {
    fn drop(&mut self) {
        let _ = self.eater.process().kill();
        // The daemons go back to where they came from, so that the group can go.
        if let Some(group) = &self.group {
            let parent = group.parent().unwrap_or(Path::new("/"));
            for id in fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default().lines() {
                let _ = fs::write(parent.join("cgroup.procs"), id);
            }
            let _ = fs::remove_dir(group);
        }
    }
}

/// A control group of the memory, of version 1 or 2, with its limit.
fn group() -> Option<PathBuf> {
    let limit = (GROUP_MIB * MIB as u64).to_string();
    let kinds =
        [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
    kinds.into_iter().find_map(|(root, key)| {
        let group = Path::new(root).join("standin-bench");
        // One that a killed run has left is as good.
        let _ = fs::create_dir(&group);
        if group.join(key).exists() && fs::write(group.join(key), &limit).is_ok() {
            return Some(group);
        }
        let _ = fs::remove_dir(&group);
        None
    })
}

/// The process that takes memory: its own, and the page cache of a file. Never ends by itself.
pub fn eat(words: &[String]) -> Result<()> {
    if let Some(group) = words.first() {
        // What it takes counts for the group from the first page on.
        fs::write(Path::new(group).join("cgroup.procs"), "0").context("enter the group")?;
    }
    let path = Path::new(FILE_DIRECTORY).join(format!("standin-bench-{}", std::process::id()));
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .with_context(|| path.display().to_string())?;
    fs::remove_file(&path).with_context(|| path.display().to_string())?;
    let mut own = vec![0_u8; OWN_MIB * MIB];
    let mut part = vec![1_u8; MIB];
    for _ in 0..FILE_MIB {
        file.write_all(&part).context("write the file")?;
    }
    loop {
        println!("eating");
        file.seek(SeekFrom::Start(0)).context("read the file")?;
        let mut sum = 0_u8;
        for at in 0..FILE_MIB {
            file.read_exact(&mut part).context("read the file")?;
            // Each page of its own is touched, so that it is the others' that have to go.
            for place in (at % 4096..own.len()).step_by(4096) {
                own[place] = own[place].wrapping_add(part[0]);
                sum = sum.wrapping_add(own[place]);
            }
        }
        std::hint::black_box(sum);
    }
}

/// Everything is lost for a while, every so often. Ends when dropped.
pub struct Bursts {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bursts {
    /// At a port of the switch. The kernel ends each burst, to the tick.
    pub fn begin(world: &World<'_>, port: &str, long: Duration, every: Duration) -> Result<Self> {
        let burst = world.switch.bursts(port, long)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut next = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                // Of a rule that is refused there is nothing to be seen but no burst.
                let _ = burst.run();
                next += every;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Bursts {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The flooding host's number in its addresses.
const FLOODER: u8 = 40;
/// Frames leave in parts of a millisecond.
const PART: Duration = Duration::from_millis(1);

/// A flood of frames from a host of its own. Ends when dropped.
pub struct Flood {
    sent: Arc<AtomicU64>,
    begun: Instant,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _host: Rc<Host>,
}

impl Flood {
    /// Sends these frames in turn, so many a second, or as many as it can.
    fn begin(host: Rc<Host>, frames: Vec<Vec<u8>>, rate_hz: u64) -> Result<Self> {
        ensure!(!frames.is_empty(), "a flood of nothing");
        let ifindex = host.nic().ifindex;
        let socket = host.namespace().run(|| PacketSocket::sender(ifindex))??;
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (sent.clone(), stop.clone());
        let per_part = (rate_hz * PART.as_micros() as u64 / 1_000_000).max(1) as usize;
        let thread = std::thread::spawn(move || {
            let refs: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            let mut turns = refs.iter().copied().cycle();
            let mut next = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let part: Vec<&[u8]> = turns.by_ref().take(per_part).collect();
                let count = socket.send_batch(&part).unwrap_or_default();
                counter.fetch_add(count as u64, Ordering::Relaxed);
                // What could not be sent in time is not made up for.
                next = (next + PART).max(Instant::now());
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Ok(Self { sent, begun: Instant::now(), stop, thread: Some(thread), _host: host })
    }

    /// Questions of ARP to all, from ever other hosts, for every address of the segment.
    pub fn of_arp(world: &World<'_>, rate_hz: u64) -> Result<Self> {
        let host = world.add_quiet_host("flooder", FLOODER)?;
        let mac = host.mac();
        let frame = |number: u32| {
            let [.., high, low] = number.to_be_bytes();
            let from = Ipv4Addr::new(10, LAN, 64 + high % 32, low);
            let target = Ipv4Addr::new(10, LAN, 0, low);
            ArpPacket::request(mac, from, target).encode(mac, Mac::BROADCAST).to_vec()
        };
        Self::begin(host, (0..4096).map(frame).collect(), rate_hz)
    }

    /// What one node sends to another as a sign of life, overheard and spoilt in its last byte, so that
    /// everything is right but what authenticates it: a heartbeat, or an advertisement of VRRP.
    pub fn of_forgeries(world: &World<'_>, (from, to): (u8, &Host), rate_hz: u64) -> Result<Self> {
        let IpAddr::V4(source) = Family::V4.real(from) else { bail!("an IPv4 address") };
        let port = to.nic().port;
        let wire = world.switch.namespace().run(|| PacketSocket::any(port))??;
        let mut buffer = [0; 2048];
        let mut frame = wait::until("a sign of life passes by", PATIENCE, || {
            let received = wire.receive(&mut buffer).ok()??;
            let frame = &buffer[..received.length];
            is_sign_of_life(frame, source).then(|| frame.to_vec())
        })?;
        let host = world.add_quiet_host("flooder", FLOODER)?;
        frame[6..12].copy_from_slice(&host.mac().0);
        if frame[PROTOCOL_AT] == UDP {
            // Without a checksum, which IPv4 permits: it was not reckoned on this wire.
            frame[UDP_CHECKSUM_AT..UDP_CHECKSUM_AT + 2].fill(0);
        }
        let last = frame.len() - 1;
        let spoilt = (1..=64).map(|number| {
            let mut frame = frame.clone();
            frame[last] ^= number;
            frame
        });
        Self::begin(host, spoilt.collect(), rate_hz)
    }

    /// Frames a second so far.
    pub fn rate_hz(&self) -> f64 {
        let sent = u32::try_from(self.sent.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        (f64::from(sent) / self.begun.elapsed().as_secs_f64()).round()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

// Behind an Ethernet header of 14 bytes, in an IPv4 header of 20.
const ETHERTYPE_AT: usize = 12;
const PROTOCOL_AT: usize = 14 + 9;
const SOURCE_AT: usize = 14 + 12;
const UDP_PORT_AT: usize = 14 + 20 + 2;
const UDP_CHECKSUM_AT: usize = 14 + 20 + 6;
const UDP: u8 = 17;
const VRRP: u8 = 112;
/// The port of `standin`'s heartbeats.
const HEARTBEATS: [u8; 2] = 4961_u16.to_be_bytes();

fn is_sign_of_life(frame: &[u8], from: Ipv4Addr) -> bool {
    let at = |place: usize, bytes: &[u8]| frame.get(place..place + bytes.len()) == Some(bytes);
    let right = at(ETHERTYPE_AT, &[0x08, 0x00, 0x45]) && at(SOURCE_AT, &from.octets());
    let udp = at(PROTOCOL_AT, &[UDP]) && at(UDP_PORT_AT, &HEARTBEATS);
    right && (udp || at(PROTOCOL_AT, &[VRRP]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_is_told_from_other_frames() {
        let from = Ipv4Addr::new(10, 9, 0, 3);
        let mut frame = vec![0; 60];
        frame[ETHERTYPE_AT..ETHERTYPE_AT + 3].copy_from_slice(&[0x08, 0x00, 0x45]);
        frame[SOURCE_AT..SOURCE_AT + 4].copy_from_slice(&from.octets());
        frame[PROTOCOL_AT] = VRRP;
        assert!(is_sign_of_life(&frame, from));
        assert!(!is_sign_of_life(&frame, Ipv4Addr::new(10, 9, 0, 2)));
        frame[PROTOCOL_AT] = UDP;
        assert!(!is_sign_of_life(&frame, from), "another port");
        frame[UDP_PORT_AT..UDP_PORT_AT + 2].copy_from_slice(&HEARTBEATS);
        assert!(is_sign_of_life(&frame, from));
        assert!(!is_sign_of_life(&frame[..20], from));
    }
}
