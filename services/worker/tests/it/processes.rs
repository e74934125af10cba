//! Worker processes that can be killed.

use std::process::{Child, Command, Stdio};

use devstack::NatsUser;

use crate::fixture::{KEY, World};

/// A worker in a process of its own. Killed when dropped.
pub struct Process(Child);

impl Process {
    /// With a short lease, so that deaths are noticed soon.
    pub fn start(world: &World) -> Self {
        Self::start_with(
            world,
            &[("SYNCLINE_WORKER_LEASE_MS", "1500"), ("SYNCLINE_WORKER_HEARTBEAT_MS", "300")],
        )
    }

    /// With other settings than the defaults.
    pub fn start_with(world: &World, settings: &[(&str, &str)]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_syncline-worker"))
            .env("SYNCLINE_DATABASE_URL", &world.env.database_url)
            .env("SYNCLINE_NATS_URL", world.env.nats_url(NatsUser::Worker))
            .env("SYNCLINE_SECRETS_ENCRYPTION_KEY", KEY)
            .env("SYNCLINE_CONNECTORS_HUBSPOT_BASE_URL", &world.lab.url)
            .env("SYNCLINE_CONNECTORS_HUBSPOT_OBJECTS_LIMIT", "1000000")
            .env("SYNCLINE_HTTP_LISTEN", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .env("SYNCLINE_WORKER_PAGES_AHEAD_MAX", "1")
            .env("SYNCLINE_LOG_FILTER", "warn,async_nats=off")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub fn exit_code(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already, or stopped.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
