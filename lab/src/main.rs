//! `standin-lab`: the lab as a program. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    standin_lab::main()
}
