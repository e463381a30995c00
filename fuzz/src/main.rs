//! `standin-fuzz`: names the targets, writes their seeds, and runs one over files, without a
//! fuzzer: what it finds can be looked at with any debugger.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use standin_fuzz::{TARGETS, Target, target};

const USAGE: &str = "\
standin-fuzz list                   the targets: name, longest input, what each asserts
standin-fuzz seeds TARGET DIRECTORY writes the inputs to begin with
standin-fuzz run TARGET FILE...     runs a target over files
";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["list"] => list(),
        ["seeds", name, directory] => known(name).and_then(|known| seeds(known, directory)),
        ["run", name, ref files @ ..] if !files.is_empty() => {
            known(name).and_then(|known| run(known, files))
        }
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = write!(io::stderr(), "{}", why.trim_end().to_owned() + "\n");
            ExitCode::from(64)
        }
    }
}

fn known(name: &str) -> Result<&'static Target, String> {
    target(name).ok_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        format!("there is no target {name:?}; the targets are {}", names.join(", "))
    })
}

fn list() -> Result<(), String> {
    let mut out = io::stdout();
    for target in TARGETS {
        let line = writeln!(out, "{}\t{}\t{}", target.name, target.longest, target.about);
        line.map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn seeds(target: &Target, directory: &str) -> Result<(), String> {
    let cannot = |error: io::Error| format!("{directory}: {error}");
    fs::create_dir_all(directory).map_err(cannot)?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        let file = Path::new(directory).join(format!("seed-{number:02}"));
        fs::write(file, seed).map_err(cannot)?;
    }
    Ok(())
}

fn run(target: &Target, files: &[&str]) -> Result<(), String> {
    for file in files {
        let bytes = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        (target.run)(&bytes);
    }
    let done = format!("{} inputs, and nothing wrong\n", files.len());
    io::stdout().write_all(done.as_bytes()).map_err(|error| error.to_string())
}
