//! Waiting on a condition, with an upper bound that only a broken thing reaches.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks at a condition: well below anything that is judged.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Nothing that is not itself a matter of time takes longer, unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Looks again and again until there is an answer, and gives it.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if begun.elapsed() > within {
            bail!("within {} ms it never happened: {what}", within.as_millis());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// [`until`] a condition holds.
pub fn until_true(what: &str, within: Duration, mut look: impl FnMut() -> bool) -> Result<()> {
    until(what, within, || look().then_some(()))
}

/// Fails as soon as the condition stops to hold within the time.
pub fn throughout(what: &str, time: Duration, mut look: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < time {
        if !look() {
            bail!("after {} ms it did not hold any more: {what}", begun.elapsed().as_millis());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}
