//! `lopper`: see the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    lopper::cli::main()
}
