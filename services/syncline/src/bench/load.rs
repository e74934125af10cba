//! Load: raw HTTP/1.1 on kept-alive connections, as cheap as it gets, because it shares the machine with what it
//! measures. All connections live on one thread of their own, so that their CPU time can be told apart.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::resources;

/// Longest latency that is told apart, in microseconds.
const LATENCY_MAX_US: u64 = 60_000_000;
/// The longest answer, head and body.
const ANSWER_MAX: usize = 16 * 1024;
const BODY: &str = r#"{"connectorType":"hubspot"}"#;
const HIGH: &str = r#"{"connectorType":"hubspot","priority":"high"}"#;
/// Steps through the workspaces in an order that no index likes, as real ones would come.
const STRIDE: usize = 7_368_787;

/// What to send.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Where to: `127.0.0.1:3000`.
    pub address: String,
    pub connections: usize,
    /// Not counted.
    pub warm_up: Duration,
    pub duration: Duration,
    /// Seeded workspaces, one for each request.
    pub prefix: String,
    pub workspaces: usize,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Load {
    /// All answers, the warm-up's too. Every one of them was a 202 for a new job.
    pub answers: u64,
    /// Of answers after the warm-up, in microseconds.
    pub latency: Histogram<u64>,
    /// How long answers were counted.
    pub elapsed: Duration,
    /// CPU time of the load itself, warm-up included.
    pub cpu: Option<Duration>,
}

/// Sends until the time is over, or the workspaces have run out.
pub(super) async fn run(plan: Plan) -> anyhow::Result<Load> {
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let before = resources::thread_cpu();
        let mut load = runtime.block_on(send_all(&plan))?;
        load.cpu = resources::thread_cpu().zip(before).map(|(after, before)| after.saturating_sub(before));
        Ok(load)
    })
    .await?
}

async fn send_all(plan: &Plan) -> anyhow::Result<Load> {
    let next = Cell::new(0);
    let count_from = Instant::now() + plan.warm_up;
    let until = count_from + plan.duration;
    let connections = (0..plan.connections).map(|_| converse(plan, &next, count_from, until));
    let histograms = try_join_all(connections).await?;
    let mut latency = Histogram::new_with_max(LATENCY_MAX_US, 3)?;
    for histogram in histograms {
        latency.add(histogram)?;
    }
    Ok(Load { answers: next.get() as u64, latency, elapsed: count_from.elapsed(), cpu: None })
}

async fn converse(
    plan: &Plan,
    next: &Cell<usize>,
    count_from: Instant,
    until: Instant,
) -> anyhow::Result<Histogram<u64>> {
    let mut post = Post::connect(&plan.address).await?;
    let mut latency = Histogram::new_with_max(LATENCY_MAX_US, 3)?;
    loop {
        let begun = Instant::now();
        if begun >= until {
            return Ok(latency);
        }
        let n = next.get();
        if n == plan.workspaces {
            return Ok(latency);
        }
        next.set(n + 1);
        let workspace = store::seeded_workspace(&plan.prefix, n.wrapping_mul(STRIDE) % plan.workspaces);
        post.accept(&workspace).await?;
        if begun >= count_from {
            latency.record(u64::try_from(begun.elapsed().as_micros())?.min(LATENCY_MAX_US))?;
        }
    }
}

/// One kept-alive connection that posts syncs.
pub(super) struct Post {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Post {
    pub(super) async fn connect(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("the API does not listen")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, request: Vec::with_capacity(256), answer: vec![0; ANSWER_MAX] })
    }

    /// Posts a sync and checks that a new job was accepted. The answer is read to its last byte.
    pub(super) async fn accept(&mut self, workspace: &str) -> anyhow::Result<&[u8]> {
        self.send(workspace, "27", BODY).await
    }

    /// The same with high priority.
    pub(super) async fn accept_high(&mut self, workspace: &str) -> anyhow::Result<&[u8]> {
        self.send(workspace, "45", HIGH).await
    }

    async fn send(&mut self, workspace: &str, length: &str, body: &str) -> anyhow::Result<&[u8]> {
        self.request.clear();
        for part in [
            "POST /api/workspaces/",
            workspace,
            "/sync HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: ",
            length,
            "\r\n\r\n",
            body,
        ] {
            self.request.extend_from_slice(part.as_bytes());
        }
        self.stream.write_all(&self.request).await?;
        let mut read = 0;
        let (head, end) = loop {
            ensure!(read < ANSWER_MAX, "the answer is too long");
            match self.stream.read(&mut self.answer[read..]).await? {
                0 => bail!("the connection was closed before the answer"),
                more => read += more,
            }
            if let Some((head, end)) = extent(&self.answer[..read])?
                && read >= end
            {
                break (head, end);
            }
        };
        let body = &self.answer[head..end];
        if !self.answer.starts_with(b"HTTP/1.1 202") || contains(body, br#""deduplicated""#) {
            bail!("not accepted: {}", String::from_utf8_lossy(&self.answer[..end]));
        }
        Ok(body)
    }
}

/// Where an answer's body begins and ends, once its head is there.
fn extent(answer: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    const LENGTH: &[u8] = b"content-length: ";
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else {
        return Ok(None);
    };
    let at = answer[..head].windows(LENGTH.len()).position(|w| w == LENGTH).context("no content-length")?;
    let digits = answer[at + LENGTH.len()..head].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    Ok(Some((head, head + length)))
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let answer = b"HTTP/1.1 202 Accepted\r\ncontent-length: 12\r\n\r\n{\"a\":1}";
        assert_eq!(extent(answer).unwrap(), Some((45, 57)));
        assert_eq!(extent(&answer[..40]).unwrap(), None);
        assert!(extent(b"HTTP/1.1 202 Accepted\r\n\r\n").is_err());
    }
}
