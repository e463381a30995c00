//! Writes the manual pages and the completions, generated from the command line, into a directory:
//! what `cargo xtask man` runs; or the tables of keys into the reference, what `cargo xtask docs
//! --update` runs. They belong to a package of the program, not into the program.
//!
//! ```text
//! manual DIRECTORY
//! manual --reference FILE
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use standin::cli::{Cli, completions};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (path, result) = match arguments.as_slice() {
        [directory] => (directory, write(directory)),
        [option, file] if option.as_os_str() == "--reference" => (file, update(file)),
        _ => {
            eprintln!("manual: name a DIRECTORY, or --reference FILE");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual: {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

fn update(path: &Path) -> io::Result<()> {
    let text = fs::read_to_string(path)?;
    let updated = standin::file::reference::updated(&text).map_err(io::Error::other)?;
    if updated == text { Ok(()) } else { fs::write(path, updated) }
}

fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    // A page for each subcommand, as git has them: standin(1), standin-run(1) and so on.
    clap_mangen::generate_to(Cli::command(), directory)?;
    for (shell, name) in
        [(Shell::Bash, "standin.bash"), (Shell::Zsh, "_standin"), (Shell::Fish, "standin.fish")]
    {
        fs::write(directory.join(name), completions::script(shell))?;
    }
    Ok(())
}
