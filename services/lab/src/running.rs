use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::hubspot::{AsOf, Change, Changed, Expectation, Object, Zone};
use crate::serve::serve_state;
use crate::state::LabState;
use crate::tokens::{CLIENT_ID, CLIENT_SECRET};
use crate::{FaultRule, LabConfig, Stats, control};

/// A lab for tests: on a free port of 127.0.0.1, in a background task that ends when this is dropped.
#[derive(Debug)]
pub struct RunningLab {
    /// Where it listens, without a slash at the end.
    pub url: String,
    pub(crate) state: Arc<LabState>,
    tasks: TaskTracker,
}

/// What an OAuth connection is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthCredentials {
    /// The app's.
    pub client_id: &'static str,
    /// The app's.
    pub client_secret: &'static str,
    /// For new access tokens.
    pub refresh_token: String,
    /// Good for the lifetime of a token from now on.
    pub access_token: String,
}

impl RunningLab {
    /// Binds and serves.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start(config: LabConfig) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port for the lab")?;
        let url = format!("http://{}", listener.local_addr().context("the lab has no address")?);
        let state = Arc::new(LabState::new(config, CancellationToken::new()));
        let tasks = TaskTracker::new();
        let serving = Arc::clone(&state);
        tasks.spawn(async move {
            if let Err(error) = serve_state(listener, serving).await {
                tracing::error!(%error, "the lab failed");
            }
        });
        tasks.close();
        Ok(Self { url, state, tasks })
    }

    /// A token of this portal.
    #[must_use]
    pub fn token(portal: u64) -> String {
        format!("pat-lab-{portal}")
    }

    /// What somebody gets who connects this portal by OAuth now. The lab has one app.
    #[must_use]
    pub fn oauth(&self, portal: u64) -> OauthCredentials {
        let now_ms = self.state.now_ms();
        let granted = self.state.tokens().issue(portal, now_ms);
        OauthCredentials {
            client_id: CLIENT_ID,
            client_secret: CLIENT_SECRET,
            refresh_token: granted.refresh_token,
            access_token: granted.access_token,
        }
    }

    /// All OAuth access tokens that were issued so far expire now. Static tokens never do.
    pub fn expire_tokens(&self) {
        self.state.expire_tokens();
    }

    /// How long OAuth access tokens issued from now on are good, by the lab's clock; 1800 s unless set.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.state.tokens().set_lifetime_ms(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
    }

    /// Whether each refresh replaces the refresh token, too, and ends the old one. It does not unless set.
    pub fn rotate_refresh_tokens(&self, rotates: bool) {
        self.state.tokens().set_rotates(rotates);
    }

    /// The time zone of a portal, UTC unless set; its daily limit begins anew at its midnight.
    pub fn set_time_zone(&self, portal: u64, name: &str, utc_offset_min: i32) {
        self.state.set_zone(portal, Zone { name: name.to_owned(), utc_offset_min });
    }

    /// Moves an owner to the archived ones or back. Says whether there is such an owner.
    #[must_use]
    pub fn set_owner_archived(&self, id: u64, archived: bool) -> bool {
        let now_ms = self.state.now_ms();
        self.state.directory_mut().set_owner_archived(id, archived, now_ms)
    }

    /// How many owners there are, deactivated ones included.
    #[must_use]
    pub fn owners(&self) -> u64 {
        self.state.directory().owner_count()
    }

    /// How many stages all pipelines have.
    #[must_use]
    pub fn stages(&self) -> u64 {
        self.state.directory().stage_count()
    }

    /// Puts a stage at the end of a pipeline, or gives it another label and probability (text; `1.0` and `0.0` are
    /// closed). Says whether there is such a pipeline.
    #[must_use]
    pub fn put_stage(&self, pipeline: &str, id: &str, label: &str, probability: &str) -> bool {
        self.state.directory_mut().put_stage(pipeline, id, label, probability)
    }

    /// Takes a stage out of a pipeline, whatever deals are in it. Says whether it was there.
    #[must_use]
    pub fn remove_stage(&self, pipeline: &str, id: &str) -> bool {
        self.state.directory_mut().remove_stage(pipeline, id)
    }

    /// What was seen so far.
    pub async fn stats(&self) -> Stats {
        self.state.ledger().stats()
    }

    /// Forgets the statistics, and with `windows` also which requests count against the limits.
    pub fn reset(&self, windows: bool) {
        self.state.ledger().reset(windows);
    }

    /// Replaces all fault rules; none clears them.
    ///
    /// # Errors
    /// If a rule makes no sense.
    pub fn set_faults(&self, rules: Vec<FaultRule>) -> anyhow::Result<()> {
        self.state.set_faults(rules).map_err(anyhow::Error::msg)
    }

    /// The fault rules that are left, with what is left of their counters.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultRule> {
        self.state.faults().rules().to_vec()
    }

    /// How many live records there are and which of them cannot be transformed.
    #[must_use]
    pub fn expect(&self, object: Object) -> Expectation {
        self.state.dataset().expectation(object, false)
    }

    /// The same of the archived records.
    #[must_use]
    pub fn expect_archived(&self, object: Object) -> Expectation {
        self.state.dataset().expectation(object, true)
    }

    /// Every live record with all its properties, as the list endpoint shows it. Use small counts.
    ///
    /// # Errors
    /// If the lab renders something that is not JSON.
    pub fn records(&self, object: Object) -> anyhow::Result<Vec<Value>> {
        self.all_records(object, false)
    }

    /// Every archived record, in the same way. Merged and hard-deleted ones are in neither.
    ///
    /// # Errors
    /// If the lab renders something that is not JSON.
    pub fn archived_records(&self, object: Object) -> anyhow::Result<Vec<Value>> {
        self.all_records(object, true)
    }

    fn all_records(&self, object: Object, archived: bool) -> anyhow::Result<Vec<Value>> {
        let mut records = Vec::new();
        let mut from = Some(0);
        while let Some(id) = from {
            let (lines, next) = control::chunk(&self.state, object, archived, id);
            for line in lines.lines() {
                records.push(serde_json::from_str(line).context("a record is not JSON")?);
            }
            from = next;
        }
        Ok(records)
    }

    /// Changes records that the lab chooses, all in one moment, and says which.
    pub fn change(&self, change: Change) -> Changed {
        self.state.change(&change)
    }

    /// The ids of the live records that each live record is associated with. Who has none is not in it.
    #[must_use]
    pub fn associations(&self, from: Object, to: Object) -> BTreeMap<u64, Vec<u64>> {
        let dataset = self.state.dataset();
        let all: BTreeSet<u64> = dataset.rows_from(from, 0, false, AsOf::Now).map(|row| row.id).collect();
        let links = dataset.links(from, to, &all).unwrap_or_default();
        links.into_iter().map(|(id, links)| (id, links.iter().map(|link| link.to_id).collect())).collect()
    }

    /// How many associations of one record a page holds; 500 unless set.
    pub fn set_association_page_size(&self, size: usize) {
        self.state.set_association_page_size(size);
    }

    /// From now on searches see every record as it was this long ago. Zero is no lag.
    pub fn set_search_lag(&self, lag: Duration) {
        self.state.set_search_lag_ms(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
    }

    /// Puts the lab's clock forward: for the search lag, the rate limits and the dates of later changes. Other clocks
    /// stay behind, so a client that asks for changes up to its own present misses those made after this.
    pub fn advance(&self, by: Duration) {
        self.state.clock.advance(by);
    }

    /// The lab's present, in Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.state.now_ms()
    }

    /// Archives a record now, or restores it with a new modified date. Says whether there is such a record.
    #[must_use]
    pub fn set_archived(&self, object: Object, id: u64, archived: bool) -> bool {
        self.state.edit(object, id, Some(archived), false)
    }

    /// Gives a record new content and a new modified date. Says whether there is such a record.
    #[must_use]
    pub fn touch(&self, object: Object, id: u64) -> bool {
        self.state.edit(object, id, None, true)
    }

    /// Resolves once `n` vendor requests have been received since the start, whatever became of them and whether or not
    /// there was a reset.
    pub async fn wait_for_requests(&self, n: u64) {
        let mut received = self.state.received();
        if received.wait_for(|count| *count >= n).await.is_err() {
            tracing::debug!("the lab is gone");
        }
    }

    /// Resolves once `n` requests since the start have been made to hang by a fault.
    pub async fn wait_for_hanging(&self, n: u64) {
        let mut hung = self.state.hung();
        if hung.wait_for(|count| *count >= n).await.is_err() {
            tracing::debug!("the lab is gone");
        }
    }

    /// Resolves once `done` says so, looking again after every request received and every answer.
    pub async fn wait_until(&self, mut done: impl FnMut(&Stats) -> bool) {
        let mut received = self.state.received();
        let mut answered = self.state.answered();
        while !done(&self.stats().await) {
            let changed = tokio::select! {
                changed = received.changed() => changed,
                changed = answered.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Stops serving and waits until the port is free again.
    pub async fn stop(&self) {
        self.state.closing.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for RunningLab {
    fn drop(&mut self) {
        self.state.closing.cancel();
    }
}
