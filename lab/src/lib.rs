//! Rootless network namespaces in which the real binary meets real kernels and real peers.
//!
//! Owns topologies, captures, clients, servers, and the cases that hold `standin` to its promises.
//! `standin` is a black box here: what is known of it comes from its log, its exit status, the
//! kernel's tables and the frames on the wire.
//!
//! Invariants: nothing outside the namespaces that a case makes for itself is touched; when a case
//! ends, however it ends, the kernel kills whatever it started (see `sandbox`).

mod bench;
mod browser;
mod capture;
mod cases;
mod cgroup;
mod cli;
mod client;
mod daemon;
mod event;
mod fences;
mod manual;
pub mod peers;
mod receiver;
mod runner;
mod sandbox;
mod server;
mod story;
mod wait;
mod watcher;
mod world;

pub use cli::main;
