//! Free TCP ports.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail, ensure};

/// Below what systems hand to outgoing connections: a port from there may be taken while its server is down.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// A port of 127.0.0.1 that nobody listens on now. Somebody else may be faster: start again with another one then.
pub fn free() -> Result<u16> {
    for _ in 0..200 {
        let port = rand::random_range(RANGE);
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1 between {} and {}", RANGE.start, RANGE.end)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The wanted port if it is free, or any that is.
pub(crate) fn wanted(name: &str, wanted: Option<u16>) -> Result<u16> {
    let Some(port) = wanted else { return free() };
    ensure!(is_free(port), "port {port} of 127.0.0.1, wanted for {name}, is in use");
    Ok(port)
}
