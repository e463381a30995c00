//! The arguments of `standin demo`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::plan::{FAST, Host, Plan};
use crate::duration;
use crate::failure::{Failure, Result};

/// The story has to fit into half a minute.
const DEAD_AFTER_MAX: Duration = Duration::from_secs(10);
/// What `standin for` accepts.
const DEAD_AFTER_MIN: Duration = Duration::from_millis(5);

const EXAMPLES: &str = "\
Examples:
  standin demo
      About ten seconds: a second of silence, and pinky stands in for brain.
  standin demo --fast --svg timeline.svg
      50 ms of silence are enough; the timeline also as a picture.
  standin demo --dead-after 9s
      The article's own timing.

It runs in network namespaces of its own: it needs no root, leaves this host's network alone, and
nothing stays behind, however it ends.";

/// The arguments of `standin demo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// When a silent host counts as dead (5ms to 10s) [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub dead_after: Option<Duration>,

    /// The same as --dead-after 50ms, and shorter pauses
    #[arg(long)]
    pub fast: bool,

    /// Play it with IPv6
    #[arg(long)]
    pub ipv6: bool,

    /// Write the timeline as a picture too
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Which of the demo's own processes this is
    #[arg(long, hide = true, value_enum, default_value = "audience")]
    pub role: Role,

    /// The host that a page names
    #[arg(long, hide = true, value_enum, required_if_eq("role", "page"))]
    pub host: Option<Host>,
}

/// The demo's own processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// What was started by hand: makes the namespaces and waits.
    Audience,
    /// Inside: builds the network and plays the story.
    Stage,
    /// A host's web server.
    Page,
}

impl DemoArgs {
    /// What shall be played.
    ///
    /// # Errors
    /// A `--dead-after` for which half a minute is too short, or that `standin for` refuses.
    pub fn plan(&self) -> Result<Plan> {
        let usual = if self.fast { FAST } else { Duration::from_secs(1) };
        let dead_after = self.dead_after.unwrap_or(usual);
        if !(DEAD_AFTER_MIN..=DEAD_AFTER_MAX).contains(&dead_after) {
            let value = duration::show(dead_after);
            return Err(Failure::usage(format!("--dead-after {value} does not suit the demo"))
                .expected("5ms to 10s, so that the story ends within half a minute")
                .advice("leave it out, or say --fast"));
        }
        let calm = Duration::from_millis(if self.fast { 1000 } else { 3000 });
        Ok(Plan { ipv6: self.ipv6, dead_after, calm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(dead_after: Option<Duration>, fast: bool) -> DemoArgs {
        let role = Role::Audience;
        DemoArgs { dead_after, fast, ipv6: false, svg: None, role, host: None }
    }

    #[test]
    fn the_plan_follows_the_arguments() {
        let dead_after = |value, fast| args(value, fast).plan().map(|plan| plan.dead_after);
        assert_eq!(dead_after(None, false), Ok(Duration::from_secs(1)));
        assert_eq!(dead_after(None, true), Ok(FAST));
        assert_eq!(dead_after(Some(DEAD_AFTER_MAX), true), Ok(DEAD_AFTER_MAX));
        for wrong in [Duration::ZERO, Duration::from_millis(4), Duration::from_secs(11)] {
            assert!(dead_after(Some(wrong), false).is_err(), "{wrong:?}");
        }
    }
}
