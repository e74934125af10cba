//! The board on which processes share the budgets of vendor accounts: a KV bucket.

use async_trait::async_trait;
use bus::{BudgetPut, Bus, BusError};
use connectors::{BoardAway, BudgetBoard, Posted, Sharing, Written};
use std::sync::Arc;

/// The bucket.
struct Bucket(Bus);

/// Shares budgets through NATS, under the name of this worker.
pub fn share_budgets(bus: &Bus, name: &str) -> Sharing {
    Sharing { board: Arc::new(Bucket(bus.clone())), name: name.to_owned() }
}

#[async_trait]
impl BudgetBoard for Bucket {
    async fn read(&self, key: &str) -> Result<Posted, BoardAway> {
        let found = self.0.budget(key).await.map_err(away)?;
        let value = found.value.map(|value| value.to_vec());
        Ok(Posted { value, revision: found.revision, stored_at_ms: found.stored_at_ms })
    }

    async fn write(&self, key: &str, value: Vec<u8>, revision: u64) -> Result<Written, BoardAway> {
        match self.0.put_budget(key, value, revision).await.map_err(away)? {
            BudgetPut::Stored(revision) => Ok(Written::Stored(revision)),
            BudgetPut::Conflict => Ok(Written::Conflict),
        }
    }
}

fn away(error: BusError) -> BoardAway {
    BoardAway(error.to_string())
}
