//! The processes: each with a configuration, a log and proxies of its own, so that it alone can be killed, held up
//! and cut off.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use devstack::NatsUser;
use devstack::programs::{Program, ProgramOptions, Programs};
use devstack::proxy::TcpProxy;
use runtime::Config;
use tokio::sync::Mutex;

use super::schedule::{Link, Slot, Trouble};
use crate::roles::Role;

/// How long a process may take to end when asked: longer than it takes itself.
const STOP_WITHIN: Duration = Duration::from_secs(40);

/// One life of a process, from its start to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub slot: Slot,
    pub pid: u32,
}

/// Where the real servers are.
pub(super) struct Servers {
    /// For each user the URL of each server.
    pub nats: HashMap<NatsUser, Vec<String>>,
    pub database_url: String,
    pub vendor_url: String,
}

struct Member {
    config_file: PathBuf,
    log: PathBuf,
    listen: SocketAddr,
    nats: Vec<TcpProxy>,
    postgres: TcpProxy,
    vendor: TcpProxy,
    /// Empty while it is down.
    program: Mutex<Option<Program>>,
}

/// All processes.
pub(super) struct Fleet {
    programs: Programs,
    program: PathBuf,
    members: BTreeMap<Slot, Member>,
    lives: SyncMutex<Vec<Life>>,
}

impl Fleet {
    /// Starts every process.
    pub(super) async fn start(
        program: PathBuf,
        dir: &Path,
        config: &Config,
        slots: &[Slot],
        servers: &Servers,
    ) -> anyhow::Result<Self> {
        let mut members = BTreeMap::new();
        for slot in slots {
            members.insert(*slot, Member::new(*slot, dir, config, servers).await?);
        }
        let programs = Programs::new(&dir.join("fleet"))?;
        let fleet = Self { programs, program, members, lives: SyncMutex::default() };
        for slot in slots {
            fleet.start_again(*slot).await?;
        }
        Ok(fleet)
    }

    fn member(&self, slot: Slot) -> anyhow::Result<&Member> {
        self.members.get(&slot).with_context(|| format!("there is no {slot}"))
    }

    pub(super) fn slots(&self) -> Vec<Slot> {
        self.members.keys().copied().collect()
    }

    /// The base URLs of a role.
    pub(super) fn urls(&self, role: Role) -> Vec<(Slot, String)> {
        let of = self.members.iter().filter(|(slot, _)| slot.role == role);
        of.map(|(slot, member)| (*slot, format!("http://{}", member.listen))).collect()
    }

    /// Every process that was ever started.
    pub(super) fn lives(&self) -> Vec<Life> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Which process it is now, or was last.
    pub(super) fn pid(&self, slot: Slot) -> Option<u32> {
        let lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        lives.iter().rev().find(|life| life.slot == slot).map(|life| life.pid)
    }

    /// Starts it unless it runs.
    pub(super) async fn start_again(&self, slot: Slot) -> anyhow::Result<()> {
        let member = self.member(slot)?;
        let mut running = member.program.lock().await;
        if running.is_some() {
            return Ok(());
        }
        let args =
            [slot.role.to_string(), "--listen".to_owned(), member.listen.to_string(), "--config".to_owned()];
        let mut args: Vec<_> = args.into_iter().map(Into::into).collect();
        args.push(member.config_file.clone().into_os_string());
        let options = ProgramOptions { program: self.program.clone(), args, log: member.log.clone() };
        let program = self.programs.start(options).with_context(|| format!("{slot} could not be started"))?;
        let life = Life { slot, pid: program.id() };
        self.lives.lock().unwrap_or_else(PoisonError::into_inner).push(life);
        *running = Some(program);
        Ok(())
    }

    /// `kill -9`. Says which process it was.
    pub(super) async fn kill(&self, slot: Slot) -> anyhow::Result<Option<u32>> {
        let mut running = self.member(slot)?.program.lock().await;
        let Some(mut program) = running.take() else { return Ok(None) };
        self.programs.kill(&mut program).await?;
        Ok(Some(program.id()))
    }

    /// SIGSTOP. Says which process it is.
    pub(super) async fn hold_up(&self, slot: Slot) -> anyhow::Result<Option<u32>> {
        let running = self.member(slot)?.program.lock().await;
        let Some(program) = running.as_ref() else { return Ok(None) };
        program.hold_up()?;
        Ok(Some(program.id()))
    }

    /// SIGCONT.
    pub(super) async fn go_on(&self, slot: Slot) -> anyhow::Result<()> {
        match self.member(slot)?.program.lock().await.as_ref() {
            Some(program) => program.go_on(),
            None => Ok(()),
        }
    }

    /// Disturbs a connection of one process, or of all.
    pub(super) async fn disturb(
        &self,
        link: Link,
        slot: Option<Slot>,
        trouble: Trouble,
    ) -> anyhow::Result<()> {
        for proxy in self.proxies(link, slot) {
            match trouble {
                Trouble::Cut => proxy.cut().await,
                Trouble::Delay { ms } => proxy.set_delay(Duration::from_millis(ms)),
                Trouble::HalfOpen => proxy.half_open().await?,
            }
        }
        Ok(())
    }

    /// Ends a disturbance: of each of them, also if one cannot be restored.
    pub(super) async fn restore(&self, link: Link, slot: Option<Slot>) -> anyhow::Result<()> {
        let mut restored = Ok(());
        for proxy in self.proxies(link, slot) {
            proxy.set_delay(Duration::ZERO);
            restored = restored.and(proxy.restore().await);
        }
        restored.context("a proxy could not be restored")
    }

    fn proxies(&self, link: Link, slot: Option<Slot>) -> Vec<&TcpProxy> {
        let members = self.members.iter().filter(|(one, _)| slot.is_none_or(|slot| slot == **one));
        members
            .flat_map(|(_, member)| match link {
                Link::Nats => member.nats.iter().collect(),
                Link::Postgres => vec![&member.postgres],
                Link::Vendor => vec![&member.vendor],
            })
            .collect()
    }

    /// Who ended without having been killed. They are started again, as a supervisor would.
    pub(super) async fn look_after(&self) -> anyhow::Result<Vec<String>> {
        let mut ended = Vec::new();
        for (slot, member) in &self.members {
            let mut running = member.program.lock().await;
            if let Some(program) = running.as_mut()
                && !program.is_running()?
            {
                ended.push(format!("{slot} ended by itself; its log ends with: {}", program.log_tail()));
                *running = None;
                drop(running);
                self.start_again(*slot).await?;
            }
        }
        Ok(ended)
    }

    /// Asks every process to end, all at once, and says who did not do so in time, or not well.
    pub(super) async fn stop(&self) -> anyhow::Result<Vec<String>> {
        let stopping = self.members.iter().map(|(slot, member)| async move {
            let Some(mut program) = member.program.lock().await.take() else { return Ok(None) };
            let well = self.programs.stop(&mut program, STOP_WITHIN).await?;
            anyhow::Ok((!well).then(|| format!("{slot} did not end well when it was asked to")))
        });
        let stopped = futures_util::future::try_join_all(stopping).await?;
        Ok(stopped.into_iter().flatten().collect())
    }
}

impl Member {
    async fn new(slot: Slot, dir: &Path, config: &Config, servers: &Servers) -> anyhow::Result<Self> {
        let user = match slot.role {
            Role::Ingress => NatsUser::Ingress,
            Role::Worker => NatsUser::Worker,
            Role::Status => NatsUser::Status,
            Role::Scheduler => NatsUser::Scheduler,
        };
        let (mut nats, mut nats_urls) = (Vec::new(), Vec::new());
        for url in servers.nats.get(&user).into_iter().flatten() {
            let proxy = TcpProxy::in_front_of(url).await?;
            nats_urls.push(proxy.url(url));
            nats.push(proxy);
        }
        let postgres = TcpProxy::in_front_of(&servers.database_url).await?;
        let vendor = TcpProxy::in_front_of(&servers.vendor_url).await?;
        let mut config = config.clone();
        config.nats.url = nats_urls.join(",").into();
        config.database.url = postgres.url(&servers.database_url).into();
        if let Some(hubspot) = config.connectors.get_mut("hubspot") {
            hubspot.base_url = vendor.url(&servers.vendor_url);
        }
        let config_file = dir.join(format!("{slot}.toml"));
        config
            .write_to(&config_file)
            .with_context(|| format!("{} could not be written", config_file.display()))?;
        let listen = SocketAddr::from(([127, 0, 0, 1], devstack::ports::free()?));
        let log = dir.join(format!("{slot}.log"));
        Ok(Self { config_file, log, listen, nats, postgres, vendor, program: Mutex::default() })
    }
}
