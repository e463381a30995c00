//! All targets in one binary: the environment variable `STANDIN_FUZZ_TARGET` names the one to run,
//! so that they are built and linked once.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use standin_fuzz::{Target, target};

static CHOSEN: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("STANDIN_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("STANDIN_FUZZ_TARGET={name}: there is no such target"))
});

fuzz_target!(|bytes: &[u8]| (CHOSEN.run)(bytes));
