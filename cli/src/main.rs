//! The `hermes` command: a table of contents.

use std::process::ExitCode;

use clap::Parser;
use hermes::args::Arguments;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    hermes::execute(Arguments::parse()).await.into()
}
