//! The size of a body.

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{BODY_MAX, PATIENCE, World};

const SYNC: &str = "/api/workspaces/acme/sync";
const TEN_MB: usize = 10 * 1024 * 1024;

/// A request that fits but for its length: JSON allows as much white space as one likes.
fn body(bytes: usize) -> String {
    let json = r#"{"connectorType": "hubspot"}"#;
    format!("{json}{}", " ".repeat(bytes - json.len()))
}

/// Sends a request as it is, while reading what comes back, and gives the answer as it is.
async fn raw(world: &World, request: Vec<u8>) -> String {
    let stream = TcpStream::connect(world.url.strip_prefix("http://").unwrap()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    // The server may stop reading in the middle: that is no fault.
    let write = async { drop(writer.write_all(&request).await) };
    let mut answer = Vec::new();
    let read = reader.read_to_end(&mut answer);
    let both = async { tokio::join!(write, read) };
    // Nor is a reset, once the answer is there.
    drop(tokio::time::timeout(PATIENCE, both).await.expect("no answer"));
    String::from_utf8(answer).unwrap()
}

fn head(length: &str) -> String {
    format!(
        "POST {SYNC} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
    )
}

fn with_length(body: &str) -> Vec<u8> {
    format!("{}{body}", head(&format!("content-length: {}", body.len()))).into_bytes()
}

fn chunked(body: &str) -> Vec<u8> {
    let mut request = head("transfer-encoding: chunked").into_bytes();
    for chunk in body.as_bytes().chunks(16_384) {
        request.extend(format!("{:x}\r\n", chunk.len()).bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_with_413_announced_or_not() {
    let mut world = World::new().await;
    for request in [with_length(&body(TEN_MB)), chunked(&body(TEN_MB))] {
        let answer = raw(&world, request).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");
        assert!(answer.contains("application/problem+json") && answer.contains("65536 bytes"), "{answer}");
    }
    world.assert_nothing_written().await;
}

#[tokio::test]
async fn a_body_at_the_limit_is_accepted_and_one_byte_more_is_not() {
    let mut world = World::new().await;
    let detail = world.send(Method::POST, SYNC, body(BODY_MAX + 1)).await.problem(413, "body-too-large");
    assert!(detail.contains("65536"), "{detail}");
    let answer = raw(&world, chunked(&body(BODY_MAX + 1))).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    world.assert_nothing_written().await;
    world.send(Method::POST, SYNC, body(BODY_MAX)).await.ok(202);
    let answer = raw(&world, chunked(&body(BODY_MAX))).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(world.rows().await.len(), 1);
}

#[tokio::test]
async fn a_body_that_ends_early_is_not_taken_for_a_short_one() {
    let mut world = World::new().await;
    let cut_short = format!("{}{{}}", head("content-length: 100"));
    let stream = TcpStream::connect(world.url.strip_prefix("http://").unwrap()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(cut_short.as_bytes()).await.unwrap();
    writer.shutdown().await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, reader.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    world.assert_nothing_written().await;
}
