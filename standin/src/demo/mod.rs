//! `standin demo`: the article's story, played on one machine with the real program.
//!
//! Three kinds of process: the `audience` was started by hand and waits; the
//! `story` runs inside namespaces as their process 1 and tells what happens; the hosts'
//! processes (the real `standin for`, and a web `page`) run in namespaces inside.
//!
//! Invariant: nothing of the host's network is touched, and nothing outlives the process that was
//! started by hand.

mod audience;
mod client;
mod known;
mod network;
mod news;
mod node;
mod options;
mod page;
mod plan;
mod screen;
mod story;
mod summary;
mod svg;
mod tell;

use std::process::ExitCode;

pub use options::{DemoArgs, Role};

use crate::failure::Result;

/// Plays the demo, or the part of it that `args` names.
///
/// # Errors
/// What is missing, or what went otherwise than the story wants.
pub fn run(args: &DemoArgs) -> Result<ExitCode> {
    match (args.role, args.host) {
        (Role::Page, Some(host)) => page::serve(host, args.ipv6).map(|()| ExitCode::SUCCESS),
        (Role::Stage, _) => story::run(args).map(|()| ExitCode::SUCCESS),
        (Role::Audience | Role::Page, _) => audience::run(args),
    }
}
