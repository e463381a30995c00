//! The kernel doors against a real kernel, in namespaces this process makes for itself.
//!
//! Entering a user namespace needs a process with one thread, so this is a plain program: it
//! enters, then runs its cases one after another, each in fresh network namespaces. It fails,
//! and says what is missing, where the host forbids namespaces. An argument selects cases by name.

#![expect(clippy::unwrap_used, reason = "this is a test, only without the harness")]

mod addresses;
mod confine;
mod daemon;
mod guard;
mod heartbeats;
mod links;
mod namespaces;
mod packets;
mod routes;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use standin_sys::netns::{UserNamespaceOptions, enter_user_namespace};

/// A named test.
type Case = (&'static str, fn());

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(namespaces::FORBIDDEN) => return namespaces::forbidden_child(),
        Some(namespaces::ALL) => return namespaces::all_namespaces_child(),
        Some(guard::HOLDER) => return guard::holder_child(),
        Some(guard::POWERLESS) => return guard::powerless_child(),
        Some(confine::ALONE) => return confine::alone(),
        Some(confine::WITH_PROGRAMS) => return confine::with_programs(),
        _ => {}
    }
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Err(error) = enter_user_namespace(UserNamespaceOptions::default()) {
        eprintln!("cannot run: {error}");
        println!("0 passed, 1 failed");
        return ExitCode::FAILURE;
    }
    let rooms: [&[Case]; 9] = [
        namespaces::CASES,
        links::CASES,
        addresses::CASES,
        routes::CASES,
        packets::CASES,
        daemon::CASES,
        guard::CASES,
        confine::CASES,
        heartbeats::CASES,
    ];
    let (mut passed, mut failed) = (0, 0);
    for &(name, case) in rooms.into_iter().flatten() {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part)) {
            continue;
        }
        let good = catch_unwind(AssertUnwindSafe(case)).is_ok();
        println!("{name} ... {}", if good { "ok" } else { "FAILED" });
        if good { passed += 1 } else { failed += 1 }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
