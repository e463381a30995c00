//! The command line: from words to typed, valid options.
//!
//! [`parse`] is the only door. It owns what every flag means and how a wrong one is explained; it
//! touches no network, no file and no clock.

mod args;
pub mod completions;
mod modifiers;
pub(crate) mod options;
pub(crate) mod values;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};

pub use args::{AnnounceArgs, Cli, SendArpArgs, StatusArgs};
use completions::CompletionsArgs;
pub use options::ForOptions;

use crate::control::commands::{DrainArgs, ExplainArgs, MoveArgs, PlanArgs, ReloadArgs, StopArgs};
use crate::control::watch::WatchArgs;
use crate::demo::DemoArgs;
use crate::doctor::DoctorArgs;
use crate::failure::Failure;
use crate::import::ImportArgs;
use crate::keygen::KeygenArgs;
use crate::run::{RunArgs, WitnessArgs};

/// What was asked for.
#[derive(Debug)]
pub enum Request {
    /// `standin for`
    For(Box<ForOptions>),
    /// `standin demo`
    Demo(Box<DemoArgs>),
    /// `standin announce`
    Announce(AnnounceArgs),
    /// `standin send-arp`
    SendArp(SendArpArgs),
    /// `standin run`
    Run(RunArgs),
    /// `standin witness`
    Witness(WitnessArgs),
    /// `standin status`
    Status(StatusArgs),
    /// `standin watch`
    Watch(WatchArgs),
    /// `standin explain`
    Explain(ExplainArgs),
    /// `standin plan`
    Plan(PlanArgs),
    /// `standin move`
    Move(MoveArgs),
    /// `standin drain`, or `standin undrain`
    Drain(DrainArgs, bool),
    /// `standin reload`
    Reload(ReloadArgs),
    /// `standin stop`
    Stop(StopArgs),
    /// `standin check`
    Check(DoctorArgs),
    /// `standin import`
    Import(ImportArgs),
    /// `standin keygen`
    Keygen(KeygenArgs),
    /// `standin completions`
    Completions(CompletionsArgs),
}

/// Why there is no [`Request`].
#[derive(Debug)]
pub enum Refusal {
    /// clap's own answer: help, the version, or an unknown or malformed argument.
    Clap(Box<clap::Error>),
    /// A command line that clap understood and we cannot accept.
    Failure(Failure),
}

/// `standin help`, and `standin help for`, as the `--help` that they mean. clap's own subcommand would
/// have a manual page and completions.
fn helped(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.truncate(2);
        words.push("--help".into());
    }
    words
}

/// `--dead-after -1s` as `--dead-after=-1s`: no option begins with a digit, so that what looks like
/// one is the value of the option before it, and is refused as that.
fn negative_values(words: Vec<OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::with_capacity(words.len());
    let mut is_over = false;
    for word in words {
        is_over |= word == "--";
        let text = word.to_string_lossy();
        let is_value = text.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_of_number));
        match joined.last_mut() {
            Some(option) if is_value && !is_over && takes_value(option) => {
                option.push("=");
                option.push(&word);
            }
            _ => joined.push(word),
        }
    }
    joined
}

fn is_of_number(letter: char) -> bool {
    letter.is_ascii_digit() || letter == '.'
}

/// Whether a word may be an option whose value comes next.
fn takes_value(word: &OsString) -> bool {
    let text = word.to_string_lossy();
    text.len() > 1 && text.starts_with('-') && !text.contains('=')
}

/// What clap refused, as a failure: its first sentence.
pub fn malformed(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let first = lines.next().unwrap_or("the command line is wrong");
    let rest = lines.fold(String::new(), |rest, line| format!("{rest} {line}"));
    Failure::usage(format!("{}{rest}", first.trim_start_matches("error: ")))
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// A [`Refusal`], which includes `--help`.
pub fn parse<I, T>(words: I) -> Result<Request, Refusal>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let from_clap = |error| Refusal::Clap(Box::new(error));
    let words = negative_values(helped(words.into_iter().map(Into::into).collect()));
    let matches = Cli::command().try_get_matches_from(words).map_err(from_clap)?;
    let cli = Cli::from_arg_matches(&matches).map_err(from_clap)?;
    match cli.command {
        args::Command::For(for_args) => {
            // The subcommand has been matched, so that its matches are there.
            let of_for = matches.subcommand_matches("for").unwrap_or(&matches);
            ForOptions::new(*for_args, of_for)
                .map(|options| Request::For(Box::new(options)))
                .map_err(Refusal::Failure)
        }
        args::Command::Demo(demo) => Ok(Request::Demo(demo)),
        args::Command::Announce(announce) => Ok(Request::Announce(announce)),
        args::Command::SendArp(send_arp) => Ok(Request::SendArp(send_arp)),
        args::Command::Run(run) => Ok(Request::Run(run)),
        args::Command::Witness(witness) => Ok(Request::Witness(witness)),
        args::Command::Status(status) => Ok(Request::Status(status)),
        args::Command::Watch(watch) => Ok(Request::Watch(watch)),
        args::Command::Explain(explain) => Ok(Request::Explain(explain)),
        args::Command::Plan(plan) => Ok(Request::Plan(plan)),
        args::Command::Move(place) => Ok(Request::Move(place)),
        args::Command::Drain(drain) => Ok(Request::Drain(drain, true)),
        args::Command::Undrain(drain) => Ok(Request::Drain(drain, false)),
        args::Command::Reload(reload) => Ok(Request::Reload(reload)),
        args::Command::Stop(stop) => Ok(Request::Stop(stop)),
        args::Command::Check(check) => Ok(Request::Check(check)),
        args::Command::Import(import) => Ok(Request::Import(import)),
        args::Command::Keygen(keygen) => Ok(Request::Keygen(keygen)),
        args::Command::Completions(shell) => Ok(Request::Completions(shell)),
    }
}
