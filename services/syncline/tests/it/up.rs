//! `syncline up` as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use devstack::NatsUser;
use devstack::testing::TestEnv;
use serde_json::{Value, json};

/// A small account without limits.
pub const SMALL: [&str; 7] =
    ["--lab-contacts", "1500", "--lab-companies", "600", "--lab-deals", "150", "--lab-unlimited"];

pub struct Up {
    pub child: Child,
    pub ready: Value,
    pub http: reqwest::Client,
}

impl Up {
    /// On the test run's servers, with the lab.
    pub async fn start(env: &TestEnv, dir: &Path, more: &[&str]) -> Self {
        let mut command = Self::command(dir);
        command.args(["--lab"]).args(SMALL).args(more);
        command
            .env("DATABASE_URL", &env.database_url)
            .env("SYNCLINE_NATS_URL", env.nats_url(NatsUser::Admin));
        Self::spawn(command).await
    }

    pub fn command(dir: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command
            .args(["up", "--json", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .env("SYNCLINE_LOG_FILTER", "warn,async_nats=off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
    }

    pub async fn spawn(mut command: Command) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let read = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).map(|_| line)
        });
        let line = tokio::time::timeout(Duration::from_secs(60), read).await.unwrap().unwrap().unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no line of JSON: {line:?}"));
        Self { child, ready, http: reqwest::Client::new() }
    }

    pub fn text(&self, key: &str) -> &str {
        self.ready[key].as_str().unwrap_or_else(|| panic!("no {key} in {}", self.ready))
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}/api/workspaces/{}{path}", self.text("baseUrl"), self.text("workspaceId"))
    }

    pub async fn post(&self) -> Value {
        let answer = self
            .http
            .post(self.url("/sync"))
            .json(&json!({"connectorType": "hubspot"}))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 202);
        answer.json().await.unwrap()
    }

    pub async fn job(&self, id: &str) -> Value {
        let answer = self.http.get(self.url(&format!("/sync/jobs/{id}"))).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// Polls, as a client does, until the job fits.
    pub async fn until(&self, id: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let poll = async {
            let (mut revision, mut current) = (0, 0);
            loop {
                let job = self.job(id).await;
                let now = (job["revision"].as_u64().unwrap(), job["progress"]["current"].as_u64().unwrap());
                assert!(now.0 >= revision && now.1 >= current, "a poll went backwards: {job}");
                (revision, current) = now;
                if fits(&job) {
                    return job;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), poll).await.expect("the job does not get there")
    }

    pub async fn completed(&self, id: &str) -> Value {
        let job = self.until(id, |job| !job["completedAt"].is_null()).await;
        assert_eq!(job["status"], "completed", "{job}");
        job
    }

    /// Ctrl-C, and what it exits with.
    pub fn interrupt(&mut self) -> Option<i32> {
        assert!(
            Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success()
        );
        self.child.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn port_is_open(url: &str) -> bool {
    let address = url.rsplit('@').next().unwrap().split('/').next().unwrap();
    std::net::TcpStream::connect(address).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn up_runs_everything_on_its_own_servers_and_ctrl_c_leaves_nothing_running() {
    let dir = tempfile::Builder::new().prefix("syncline-up-").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Up::command(dir.path());
    command.args(["--lab"]).args(SMALL);
    let mut up = Up::spawn(command).await;
    assert_eq!(up.ready["pid"].as_u64(), Some(u64::from(up.child.id())));
    let accepted = up.post().await;
    assert_eq!(accepted["status"], "queued");
    let job = up.completed(accepted["jobId"].as_str().unwrap()).await;
    let listed = |name: &str| {
        let results = job["result"]["results"].as_array().unwrap();
        results.iter().find(|result| result["object"] == name).unwrap()["listed"].as_u64().unwrap()
    };
    let others = listed("owners") + listed("stages");
    assert!(others > 0 && listed("associations") > 0, "{job}");
    let total = 2_250 - 3 + others;
    assert_eq!(job["result"]["totalRecords"], total, "one record of each object cannot be transformed");
    let (nats, postgres) = (up.text("natsUrl").to_owned(), up.text("databaseUrl").to_owned());
    assert!(port_is_open(&nats) && port_is_open(&postgres));
    assert_eq!(up.interrupt(), Some(0));
    assert!(!port_is_open(&nats) && !port_is_open(&postgres), "a server was left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn up_keeps_its_data_in_its_directory() {
    let dir = tempfile::Builder::new().prefix("syncline-up-").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let start = || {
        let mut command = Up::command(dir.path());
        command.args(["--lab"]).args(SMALL);
        Up::spawn(command)
    };
    let mut first = start().await;
    let accepted = first.post().await;
    let id = accepted["jobId"].as_str().unwrap().to_owned();
    first.completed(&id).await;
    assert_eq!(first.interrupt(), Some(0));
    let mut second = start().await;
    assert_eq!(second.job(&id).await["status"], "completed");
    // The credentials of the first start open with the key that was kept.
    let again = second.post().await["jobId"].as_str().unwrap().to_owned();
    assert_eq!(second.completed(&again).await["result"]["results"][0]["written"], 0);
    assert_eq!(second.interrupt(), Some(0));
}
