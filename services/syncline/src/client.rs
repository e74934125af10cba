//! A client of the HTTP API.

use anyhow::{Context, bail};
use protocol::{JobView, Problem};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A running Syncline.
pub(crate) struct Client {
    http: reqwest::Client,
    base_url: String,
}

/// The answer to a post.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Accepted {
    pub job_id: String,
    pub message: String,
}

/// The answer to a cancellation.
#[derive(Debug, Deserialize)]
pub(crate) struct Cancelled {
    pub status: String,
    pub message: String,
}

/// A page of jobs.
#[derive(Debug, Deserialize)]
pub(crate) struct Jobs {
    pub jobs: Vec<Entry>,
}

/// A job in a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub id: String,
    pub status: String,
    pub connector_type: Option<String>,
    pub created_at: String,
    pub error: Option<String>,
}

impl Client {
    pub(crate) fn new(base_url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(30)).build()?;
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned() })
    }

    pub(crate) async fn post_sync(
        &self,
        workspace: &str,
        connector: Option<&str>,
        mode: Option<&str>,
    ) -> anyhow::Result<Accepted> {
        let mut body = json!({});
        for (field, value) in [("connectorType", connector), ("mode", mode)] {
            if let Some(value) = value {
                body[field] = value.into();
            }
        }
        self.send(Method::POST, &format!("/api/workspaces/{workspace}/sync"), Some(&body)).await
    }

    pub(crate) async fn job(&self, workspace: &str, job_id: &str) -> anyhow::Result<JobView> {
        self.send(Method::GET, &format!("/api/workspaces/{workspace}/sync/jobs/{job_id}"), None).await
    }

    pub(crate) async fn jobs(
        &self,
        workspace: &str,
        limit: u32,
        status: Option<&str>,
    ) -> anyhow::Result<Jobs> {
        let status = status.map(|status| format!("&status={status}")).unwrap_or_default();
        self.send(Method::GET, &format!("/api/workspaces/{workspace}/sync/jobs?limit={limit}{status}"), None)
            .await
    }

    pub(crate) async fn cancel(&self, workspace: &str, job_id: &str) -> anyhow::Result<Cancelled> {
        self.send(Method::DELETE, &format!("/api/workspaces/{workspace}/sync/jobs/{job_id}"), None).await
    }

    pub(crate) async fn retry(&self, workspace: &str, job_id: &str) -> anyhow::Result<Accepted> {
        self.send(Method::POST, &format!("/api/workspaces/{workspace}/sync/jobs/{job_id}/retry"), None).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let mut request = self.http.request(method, format!("{}{path}", self.base_url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| {
            format!(
                "no Syncline answers at {}; start one with `syncline up`, or name it with --url",
                self.base_url
            )
        })?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).context("the answer is not what this version expects");
        }
        refuse(status, &bytes)
    }
}

fn refuse<T>(status: StatusCode, body: &[u8]) -> anyhow::Result<T> {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => bail!("{}: {} ({})", problem.title, problem.detail, status.as_u16()),
        Err(_) => bail!("the answer was {status}"),
    }
}
