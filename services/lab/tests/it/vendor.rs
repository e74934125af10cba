use std::sync::Once;

use lab::{LabConfig, Limits, RunningLab};
use reqwest::{Client, Response};
use serde_json::Value;

/// A lab and a client of one portal.
pub struct Vendor {
    pub lab: RunningLab,
    pub http: Client,
    pub token: String,
}

pub fn small() -> LabConfig {
    LabConfig {
        contacts: 1_000,
        companies: 600,
        deals: 250,
        limits: Limits::unlimited(),
        ..LabConfig::default()
    }
}

impl Vendor {
    pub async fn start(config: LabConfig) -> Self {
        static CRYPTO: Once = Once::new();
        CRYPTO.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
        let lab = RunningLab::start(config).await.unwrap();
        Self { lab, http: Client::new(), token: RunningLab::token(42) }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.lab.url)).bearer_auth(&self.token).send().await.unwrap()
    }

    pub async fn json(&self, path: &str) -> Value {
        self.get(path).await.error_for_status().unwrap().json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        let request = self.http.post(format!("{}{path}", self.lab.url)).bearer_auth(&self.token);
        request.json(body).send().await.unwrap()
    }

    /// All pages from here on, following `paging.next.after`.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let (mut records, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.json(&format!("{path}&limit=100{after}")).await;
            records.extend(page["results"].as_array().unwrap().iter().cloned());
            match page.get("paging") {
                Some(paging) => after = format!("&after={}", paging["next"]["after"].as_str().unwrap()),
                None => return records,
            }
        }
    }
}

pub fn ids(records: &[Value]) -> Vec<u64> {
    records.iter().map(|record| record["id"].as_str().unwrap().parse().unwrap()).collect()
}
