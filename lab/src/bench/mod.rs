//! stub
use crate::story::Lab;
use anyhow::Result;
use std::process::ExitCode;
pub fn run(_w: &[String]) -> Result<ExitCode> {
    anyhow::bail!("no")
}
pub fn measure(_l: &Lab, name: &str, _w: &[String]) -> Result<()> {
    anyhow::bail!("no case {name}")
}
