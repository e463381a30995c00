//! Writes the manual pages and the completions, generated from the command line, into a directory:
//! what `cargo xtask man` runs. They belong to a package of the program, not into the program.
//!
//! ```text
//! manual DIRECTORY
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use standin::cli::{Cli, completions};

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("manual: name a DIRECTORY");
        return ExitCode::FAILURE;
    };
    match write(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual: {}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
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
