//! The TCP check: somebody accepts a connection. Nothing is said on it.

use super::{Phase, Target, TcpProbe, connect};

/// Runs the check once.
pub async fn run(probe: &TcpProbe, target: &Target, phase: &Phase) -> Result<(), String> {
    connect(target, probe.port, phase).await.map(drop)
}
