//! What a machine takes for heartbeats at least: two loops that sleep, read what has come and send one
//! datagram to each other, and do nothing else.
//!
//! Owns the two loops. What is measured beside it has to do at least as much, however it is written.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::bench::usage::of_this_thread;
use crate::world::{BRAIN, Family, Host, PINKY, World};

/// Any port that nobody has.
const PORT: u16 = 4962;
/// As long as a heartbeat of two nodes and one VIP.
const LENGTH: usize = 162;
/// Whoever begins first waits for the other, and the neighbours for each other's addresses.
const WARM_UP: Duration = Duration::from_secs(1);

/// Two loops for so long; what each took of a processor.
pub fn measure(world: &World<'_>, every: Duration, time: Duration) -> Result<Value> {
    let (brain, pinky) = (open(&world.brain, BRAIN)?, open(&world.pinky, PINKY)?);
    let (to_brain, to_pinky) = (address(BRAIN), address(PINKY));
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| turns(&brain, to_pinky, every, time));
        let other = scope.spawn(|| turns(&pinky, to_brain, every, time));
        (one.join(), other.join())
    });
    let (one, other) = (
        one.map_err(|_| anyhow!("a loop panicked"))??,
        other.map_err(|_| anyhow!("a loop panicked"))??,
    );
    ensure!(one.received > 0 && other.received > 0, "nothing came through");
    let rate = |received: u32| (f64::from(received) / time.as_secs_f64()).round();
    Ok(json!({
        "holder_processor_percent": one.percent,
        "waiting_processor_percent": other.percent,
        "waiting_frames_per_second": rate(one.received) + rate(other.received),
    }))
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::new(Family::V4.real(number), PORT)
}

fn open(host: &Host, number: u8) -> Result<UdpSocket> {
    let socket = host.namespace().run(|| UdpSocket::bind(address(number)))?;
    let socket = socket.context("a socket for a bare loop")?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

struct Taken {
    percent: f64,
    received: u32,
}

fn turns(socket: &UdpSocket, to: SocketAddr, every: Duration, time: Duration) -> Result<Taken> {
    let datagram = [0; LENGTH];
    let mut buffer = [0; 2 * LENGTH];
    let mut next = Instant::now();
    let mut turn = || -> Result<u32> {
        next += every;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let mut received = 0;
        loop {
            match socket.recv(&mut buffer) {
                Ok(_) => received += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // The other has not begun, or has ended.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error).context("receive"),
            }
        }
        socket.send_to(&datagram, to).context("send")?;
        Ok(received)
    };
    let begun = Instant::now();
    while begun.elapsed() < WARM_UP {
        turn()?;
    }
    let (begun, before, mut received) = (Instant::now(), of_this_thread()?, 0);
    while begun.elapsed() < time {
        received += turn()?;
    }
    let spent = of_this_thread()?.saturating_sub(before).as_secs_f64();
    let percent = (spent / begun.elapsed().as_secs_f64() * 1e5).round() / 1e3;
    Ok(Taken { percent, received })
}
