//! The `standin` program: the shell around [`standin_core`].
//!
//! Owns the command line, what is prepared before a run, the loops that drive the core, checks,
//! the log and the control socket. It decides nothing about who holds an address; that is the
//! core's.

pub mod address_map;
pub mod announce;
pub mod assembly;
pub mod checks;
pub mod cli;
mod colour;
pub mod confine;
pub mod control;
pub mod demo;
pub mod doctor;
pub mod duration;
pub mod failure;
pub mod fast;
pub mod file;
pub mod host;
pub mod http;
pub mod import;
pub mod keygen;
pub mod link;
pub mod log;
pub mod notify;
pub mod on_time;
mod program;
mod regular;
pub mod run;
mod seats;
pub mod secret_line;
pub mod slow;
pub mod stand_in;
