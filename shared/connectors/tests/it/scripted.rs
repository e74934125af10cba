//! A server that answers each request as a function says, for accounts that the lab does not have.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

/// A request, as far as a script wants to know it.
pub struct Asked {
    pub path: String,
    /// The longest part of it that a vendor limits.
    pub target_len: usize,
    pub query: Vec<(String, String)>,
    /// Null if there is none.
    pub body: Value,
    pub body_len: usize,
}

impl Asked {
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Serves until it is dropped.
pub struct Scripted {
    pub url: String,
    _serving: JoinSet<()>,
}

impl Scripted {
    /// `script` gives a status and a body.
    pub async fn start(script: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(script);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let script = Arc::clone(&script);
                connections.spawn(async move {
                    while let Some(asked) = read(&mut stream).await {
                        let (status, body) = script(&asked);
                        let body = body.to_string();
                        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len());
                        if stream.write_all((head + &body).as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, _serving: serving }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut received = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Some(parse(head, body));
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => received.extend_from_slice(&chunk[..n]),
        }
    }
}

fn parse(head: &str, body: &str) -> Asked {
    let target = head.split(' ').nth(1).unwrap();
    let url = Url::parse("http://x").unwrap().join(target).unwrap();
    Asked {
        path: url.path().to_owned(),
        target_len: target.len(),
        query: url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect(),
        body: serde_json::from_str(body).unwrap_or_default(),
        body_len: body.len(),
    }
}
