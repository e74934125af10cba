//! `syncline`: the one binary for people.

mod bench;
mod chaos;
mod cli;
mod client;
mod commands;
mod demo;
mod instance;
mod lab_workspace;
mod roles;
mod watch;

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // The HTTP client brings no cryptography of its own; a second install changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    match Box::pin(cli.run()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
