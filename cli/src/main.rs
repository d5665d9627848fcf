//! The `hermes` command: a table of contents.

use std::process::ExitCode;

use clap::Parser;
use hermes::args::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    hermes::execute(Arguments::parse()).await.into()
}
