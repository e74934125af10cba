//! nats-server: its configuration, its users, its start.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use crate::ports;
use crate::process::{Launch, Process};
use crate::secrets::Secrets;
use crate::server::Server;
use crate::stack::StackOptions;

const SERVER_CONF: &str = include_str!("../../../nats/server.conf");
const PERMISSIONS_CONF: &str = include_str!("../../../nats/permissions.conf");

/// A user of the NATS account, with the permissions of `nats/permissions.conf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NatsUser {
    /// `syncline`: everything in the account.
    Admin,
    /// Accepts syncs: publishes tickets and progress.
    Ingress,
    /// Pulls and settles tickets, writes progress.
    Worker,
    /// Reads and follows progress.
    Status,
    /// Publishes tickets again and provisions a wiped store.
    Scheduler,
    /// Creates and updates stream, consumers and bucket.
    Provision,
    /// People: read only.
    Viewer,
}

impl NatsUser {
    /// Every user.
    pub const ALL: [Self; 7] = [
        Self::Admin,
        Self::Ingress,
        Self::Worker,
        Self::Status,
        Self::Scheduler,
        Self::Provision,
        Self::Viewer,
    ];

    /// The user's name in `nats/server.conf`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "syncline",
            Self::Ingress => "ingress",
            Self::Worker => "worker",
            Self::Status => "status",
            Self::Scheduler => "scheduler",
            Self::Provision => "provision",
            Self::Viewer => "viewer",
        }
    }

    /// The only inbox prefix the user may subscribe to.
    pub fn inbox_prefix(self) -> String {
        format!("_INBOX_{}", self.name())
    }

    fn password_variable(self) -> String {
        let name = if self == Self::Admin { "ADMIN".to_owned() } else { self.name().to_uppercase() };
        format!("SYNCLINE_NATS_{name}_PASSWORD")
    }
}

/// The name and URL of a user; `test_account` as [`crate::testing::TestEnv`] got it.
pub(crate) fn url(secrets: &Secrets, user: NatsUser, port: u16, test_account: Option<u16>) -> String {
    let prefix = test_account.map(|number| format!("{}-", account_name(number).to_lowercase()));
    let prefix = prefix.unwrap_or_default();
    format!("nats://{prefix}{}:{}@127.0.0.1:{port}", user.name(), secrets.of(user))
}

fn account_name(number: u16) -> String {
    format!("T{number:03}")
}

/// A nats-server in a directory of its own.
pub(crate) struct Nats {
    pub program: PathBuf,
    /// If it is one of a cluster.
    pub node: Option<Node>,
    pub dir: PathBuf,
    pub log: PathBuf,
    pub port: u16,
    pub port_is_ours: bool,
    pub secrets: Secrets,
    pub process: Option<Process>,
}

/// Where a server of a cluster meets the others.
pub(crate) struct Node {
    pub number: u16,
    pub port: u16,
    /// Of all of them.
    pub ports: Vec<u16>,
}

/// What has to be started: one server, or a cluster.
pub(crate) fn servers(
    program: &Path,
    dir: &Path,
    options: &StackOptions,
    secrets: &Secrets,
    test_accounts: u16,
) -> Result<Vec<Nats>> {
    let count = options.nats_nodes;
    ensure!(
        count == 1 || (count == 3 && options.nats_port.is_none()),
        "a cluster has 3 nats-servers on free ports"
    );
    let ports = (0..count).map(|_| ports::free()).collect::<Result<Vec<_>>>()?;
    let mut servers = Vec::new();
    for (number, port) in (0..count).zip(&ports) {
        let name = if number == 0 { "nats".to_owned() } else { format!("nats-{number}") };
        let nats = Nats {
            program: program.to_owned(),
            node: (count > 1).then(|| Node { number, port: *port, ports: ports.clone() }),
            dir: dir.join(&name),
            log: dir.join(format!("{name}.log")),
            port: ports::wanted("nats-server", options.nats_port)?,
            port_is_ours: options.nats_port.is_none(),
            secrets: secrets.clone(),
            process: None,
        };
        nats.write_config(test_accounts)?;
        servers.push(nats);
    }
    Ok(servers)
}

impl Node {
    /// The configuration is that of a single server; what makes it one of several is said here.
    fn args(&self) -> Vec<OsString> {
        let routes: Vec<_> = self.ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let args = [
            "--name".to_owned(),
            format!("syncline-{}", self.number),
            "--cluster_name".to_owned(),
            "syncline".to_owned(),
            "--cluster".to_owned(),
            format!("nats://127.0.0.1:{}", self.port),
            "--routes".to_owned(),
            routes.join(","),
            // Clients use the addresses that they were given: they may lead through a proxy.
            "--no_advertise".to_owned(),
        ];
        args.map(OsString::from).into()
    }
}

impl Nats {
    pub fn write_config(&self, test_accounts: u16) -> Result<()> {
        fs::create_dir_all(self.store_dir()).context("make the JetStream directory")?;
        let config =
            if test_accounts > 0 { with_test_accounts(test_accounts)? } else { SERVER_CONF.to_owned() };
        fs::write(self.dir.join("server.conf"), config).context("write server.conf")?;
        fs::write(self.dir.join("permissions.conf"), PERMISSIONS_CONF).context("write permissions.conf")
    }

    pub fn wipe(&self) -> Result<()> {
        fs::remove_dir_all(self.store_dir()).context("delete the JetStream directory")?;
        fs::create_dir_all(self.store_dir()).context("make the JetStream directory")
    }

    fn store_dir(&self) -> PathBuf {
        self.dir.join("store")
    }
}

impl Server for Nats {
    fn name(&self) -> &'static str {
        "nats-server"
    }

    fn launch(&self) -> Result<Launch> {
        let args = [
            OsString::from("-c"),
            self.dir.join("server.conf").into(),
            "-a".into(),
            "127.0.0.1".into(),
            "-p".into(),
            self.port.to_string().into(),
            "-P".into(),
            self.dir.join("nats.pid").into(),
        ];
        let more = self.node.as_ref().map(Node::args).unwrap_or_default();
        let mut store = OsString::from("\"");
        store.push(self.store_dir());
        store.push("\"");
        let mut envs = vec![("SYNCLINE_NATS_STORE_DIR".to_owned(), store)];
        envs.extend(
            NatsUser::ALL.iter().map(|user| (user.password_variable(), self.secrets.of(*user).into())),
        );
        Ok(Launch {
            program: self.program.clone(),
            args: args.into_iter().chain(more).collect(),
            envs,
            run_as: None,
            log: self.log.clone(),
            polite: Signal::TERM,
        })
    }

    async fn answers(&self) -> Result<()> {
        let hello = async {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).await?;
            Ok::<_, std::io::Error>(line)
        };
        let line = tokio::time::timeout(Duration::from_secs(2), hello).await??;
        ensure!(line.starts_with("INFO "), "not a nats-server: {line:?}");
        Ok(())
    }

    fn change_port(&mut self) -> Result<bool> {
        if self.port_is_ours {
            self.port = ports::free()?;
        }
        Ok(self.port_is_ours)
    }

    fn process(&mut self) -> &mut Option<Process> {
        &mut self.process
    }
}

/// The product's configuration, and beside its account copies of it for tests: same users, same permissions.
///
/// User names are unique in a server, so a copy's users are `t017-ingress`; inboxes are private to an account.
fn with_test_accounts(count: u16) -> Result<String> {
    const OPEN: &str = "\naccounts {\n";
    let (head, accounts) = SERVER_CONF.split_once(OPEN).context("server.conf has no accounts block")?;
    let (account, _) = accounts.rsplit_once('}').context("server.conf: accounts is not closed")?;
    ensure!(
        account.matches(" SYNCLINE {").count() == 1 && head.contains("max_file_store: 20GB"),
        "server.conf has changed its form; adapt devstack's test accounts to it"
    );
    // The streams of hundreds of accounts reserve more than one product's disk.
    let mut config = head.replace("max_file_store: 20GB", "max_file_store: 1PB");
    config.push_str(OPEN);
    config.push_str(account);
    for number in 0..count {
        let name = account_name(number);
        let copy = account
            .replace(" SYNCLINE {", &format!(" {name} {{"))
            .replace("{ user: ", &format!("{{ user: {}-", name.to_lowercase()));
        writeln!(config, "{copy}").context("format the test accounts")?;
    }
    config.push_str("}\n");
    Ok(config)
}
