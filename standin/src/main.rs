//! The `standin` command: reads its line, does it, and says what went wrong.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use standin::cli::{Refusal, Request};
use standin::control::{commands, watch};
use standin::failure::{Code, Failure, plain_io};
use standin::{announce, cli, control, demo, doctor, import, keygen, run, stand_in};

/// Why something that was to be said on standard output could not be.
static UNSAID: OnceLock<String> = OnceLock::new();

fn main() -> ExitCode {
    let code = answer();
    match UNSAID.get() {
        // Half a file is worse than none: whoever redirected it is told.
        Some(why) if code == ExitCode::SUCCESS => {
            let what = format!("cannot write to standard output: {why}");
            fail(&Failure::new(Code::InputOutput, what), false)
        }
        Some(_) | None => code,
    }
}

fn answer() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    // Known by its name alone: a line that is wrong elsewhere asked for JSON as well.
    let as_json = words.iter().any(|word| word == "--json");
    match cli::parse(words) {
        Ok(request) => match carry_out(&request) {
            Ok(code) => code,
            Err(failure) => fail(&failure, as_json),
        },
        Err(Refusal::Failure(failure)) => fail(&failure, as_json),
        Err(Refusal::Clap(error)) => {
            // Help and the version are answers, and go to standard output.
            note(error.print());
            if !error.use_stderr() {
                return ExitCode::SUCCESS;
            }
            if as_json {
                print_json(&cli::malformed(&error));
            }
            Code::Usage.into()
        }
    }
}

fn carry_out(request: &Request) -> Result<ExitCode, Failure> {
    match request {
        Request::Demo(args) => return demo::run(args),
        Request::For(options) => stand_in::run(options)?,
        Request::Announce(args) => announce::announce(args, &mut say)?,
        Request::SendArp(args) => announce::send_arp(args, &mut say)?,
        Request::Status(args) => {
            let text = control::status(&args.asking.socket(), args.asking.json)?;
            print(&text);
        }
        Request::Run(args) => run::run(args)?,
        Request::Witness(args) => run::witness(args)?,
        Request::Watch(args) => note(watch::watch(args)?),
        Request::Explain(args) => print(&commands::explain(args)?),
        Request::Plan(args) => print(&commands::plan(args)?),
        Request::Move(args) => print(&commands::place(args)?),
        Request::Drain(args, drained) => print(&commands::drain(args, *drained)?),
        Request::Reload(args) => print(&commands::reload(args)?),
        Request::Stop(args) => print(&commands::stop(args)?),
        Request::Check(args) => return doctor::run(args, &mut print),
        Request::Completions(args) => {
            print(&String::from_utf8_lossy(&cli::completions::script(args.shell)));
        }
        Request::Import(args) => import::run(args, &mut print)?,
        Request::Keygen(args) => print(&keygen::run(&args.file, args.rotate)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn say(line: &str) {
    print(&format!("{line}\n"));
}

fn print(text: &str) {
    let mut out = io::stdout();
    note(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// A reader that has gone (`standin status | head`) is no failure; a full disk is one, but what is
/// being done is done to its end first.
fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = UNSAID.set(plain_io(&error));
    }
}

/// People read it on standard error; whoever asked for JSON finds it where JSON was to be.
fn fail(failure: &Failure, as_json: bool) -> ExitCode {
    let _ = writeln!(io::stderr(), "standin: {failure}");
    if as_json {
        print_json(failure);
    }
    failure.code().into()
}

fn print_json(failure: &Failure) {
    print(&format!("{:#}\n", failure.to_json()));
}
