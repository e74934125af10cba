//! Serving over a real port, and stopping.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get as on_get, post as on_post};
use runtime::Json;
use runtime::http::{serve, shell};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::asking::config;

/// A server on a port of its own, with a route that waits until it is let go.
struct Server {
    address: std::net::SocketAddr,
    token: CancellationToken,
    entered: Arc<Notify>,
    let_go: Arc<Notify>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "the test joins the task")]
    async fn start(deadline: Duration) -> Self {
        let (entered, let_go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inside, released) = (entered.clone(), let_go.clone());
        let wait = async move || {
            inside.notify_one();
            released.notified().await;
            "done"
        };
        let router = Router::new()
            .route("/ok", on_get(async || "fine"))
            .route("/wait", on_get(wait))
            .route("/echo", on_post(async |body: Json<Value>| body));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let token = CancellationToken::new();
        let task = tokio::spawn(serve(listener, shell(router, config()), token.clone(), deadline));
        Self { address, token, entered, let_go, task }
    }

    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

const GET: &str = " HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_request_is_answered_over_a_real_port() {
    let server = Server::start(Duration::from_secs(5)).await;
    let stream = server.send("GET /ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let text = read_all(stream).await;
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("fine"), "{text}");
    server.token.cancel();
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_lets_the_answer_under_way_finish_and_takes_no_new_connection() {
    let server = Server::start(Duration::from_secs(30)).await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let stream = server.send(&format!("GET /wait{GET}")).await;
    server.entered.notified().await;
    server.token.cancel();
    assert_eq!(read_all(idle).await, "", "an idle connection is closed");
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.let_go.notify_one();
    let text = read_all(stream).await;
    assert!(text.ends_with("done"), "{text}");
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_not_done_at_the_deadline_is_cut_off() {
    let server = Server::start(Duration::from_millis(50)).await;
    let stream = server.send(&format!("GET /wait{GET}")).await;
    server.entered.notified().await;
    server.token.cancel();
    server.task.await.unwrap().unwrap();
    assert_eq!(read_all(stream).await, "");
}

#[tokio::test]
async fn connections_do_not_outlive_a_server_that_is_dropped() {
    let server = Server::start(Duration::from_secs(30)).await;
    let stream = server.send(&format!("GET /wait{GET}")).await;
    server.entered.notified().await;
    server.task.abort();
    assert_eq!(read_all(stream).await, "");
}

#[tokio::test]
async fn the_sender_of_a_body_that_is_too_large_gets_to_read_why() {
    let server = Server::start(Duration::from_secs(5)).await;
    let body = " ".repeat(10_000);
    for head in [
        "content-length: 10000\r\n\r\n".to_owned() + &body,
        format!("transfer-encoding: chunked\r\n\r\n2710\r\n{body}\r\n0\r\n\r\n"),
    ] {
        let head = format!(
            "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n{head}"
        );
        let text = read_all(server.send(&head).await).await;
        assert!(text.starts_with("HTTP/1.1 413") && text.contains("body-too-large"), "{text}");
    }
    server.token.cancel();
    server.task.await.unwrap().unwrap();
}
