//! A TCP proxy that fails on command, for tests with bad connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ports;

/// How long somebody else may have the port that a proxy gave up.
const BIND_WITHIN: Duration = Duration::from_secs(2);
/// Between two tries to get it back.
const BIND_RETRY: Duration = Duration::from_millis(10);

/// Listens on a port of 127.0.0.1 and passes everything on, until told otherwise.
pub struct TcpProxy {
    addr: SocketAddr,
    faults: Arc<Faults>,
    target: SocketAddr,
    /// The listener and its connections since the last change; none while cut.
    running: Mutex<Option<Running>>,
}

#[derive(Default)]
struct Faults {
    delay_ms: AtomicU64,
    swallow: AtomicBool,
    /// Connections so far.
    accepted: AtomicU64,
    /// How many of them are stranded.
    stranded: AtomicU64,
}

struct Running {
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl TcpProxy {
    /// Starts a proxy in front of `target`.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        // Of the ports that no outgoing connection gets: it must still be free after a cut.
        let port = ports::free().map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let addr = listener.local_addr()?;
        let faults = Arc::new(Faults::default());
        let running = Running::start(listener, target, Arc::clone(&faults));
        Ok(Self { addr, faults, target, running: Mutex::new(Some(running)) })
    }

    /// Starts a proxy in front of the server that a URL with an IP address and a port names.
    pub async fn in_front_of(url: &str) -> io::Result<Self> {
        let target = authority(url).and_then(|(start, end)| url[start..end].parse().ok());
        let target = target.ok_or_else(|| io::Error::other("the URL has no IP address and port"))?;
        Self::start(target).await
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The same URL by way of this proxy.
    pub fn url(&self, url: &str) -> String {
        let Some((start, end)) = authority(url) else { return url.to_owned() };
        format!("{}{}{}", &url[..start], self.addr, &url[end..])
    }

    /// Closes every connection and refuses new ones. When it returns, both is so.
    pub async fn cut(&self) {
        let mut running = self.running.lock().await;
        if let Some(running) = running.take() {
            running.cancel.cancel();
            running.tasks.close();
            running.tasks.wait().await;
        }
    }

    /// Passes everything on again. Connections that [`Self::half_open`] has damaged are closed.
    pub async fn restore(&self) -> io::Result<()> {
        if self.faults.swallow.load(Ordering::SeqCst) {
            self.cut().await;
            self.faults.swallow.store(false, Ordering::SeqCst);
        }
        self.listen().await
    }

    /// Keeps connections and accepts new ones, but swallows all that is sent, in both directions.
    pub async fn half_open(&self) -> io::Result<()> {
        self.faults.swallow.store(true, Ordering::SeqCst);
        self.listen().await
    }

    /// Swallows whatever is sent on the connections that there are; new ones work. As if the server's host died without a
    /// word, and another one has its address now.
    pub fn strand(&self) {
        self.faults.stranded.store(self.faults.accepted.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// From now on every piece of data arrives this much later.
    pub fn set_delay(&self, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.faults.delay_ms.store(ms, Ordering::SeqCst);
    }

    async fn listen(&self) -> io::Result<()> {
        let mut running = self.running.lock().await;
        if running.is_none() {
            let listener = self.bind().await?;
            *running = Some(Running::start(listener, self.target, Arc::clone(&self.faults)));
        }
        Ok(())
    }
}

impl TcpProxy {
    /// The port again that was given up. A process that is being started right now, by whichever thread, has a copy of
    /// the old socket until it is another program.
    async fn bind(&self) -> io::Result<TcpListener> {
        let deadline = Instant::now() + BIND_WITHIN;
        loop {
            match TcpListener::bind(self.addr).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                    tokio::time::sleep(BIND_RETRY).await;
                }
                bound => return bound,
            }
        }
    }
}

impl Running {
    fn start(listener: TcpListener, target: SocketAddr, faults: Arc<Faults>) -> Self {
        let running = Self { cancel: CancellationToken::new(), tasks: TaskTracker::new() };
        let (cancel, tasks) = (running.cancel.clone(), running.tasks.clone());
        running.tasks.spawn(async move {
            let accept = async {
                loop {
                    let Ok((client, _)) = listener.accept().await else { continue };
                    let carry = carry(client, target, Arc::clone(&faults));
                    let cancel = cancel.clone();
                    tasks.spawn(async move { cancel.run_until_cancelled(carry).await });
                }
            };
            cancel.run_until_cancelled(accept).await
        });
        running
    }
}

impl Faults {
    /// Whether what comes on the connection with this number is swallowed.
    fn swallows(&self, number: u64) -> bool {
        self.swallow.load(Ordering::SeqCst) || number < self.stranded.load(Ordering::SeqCst)
    }
}

async fn carry(client: TcpStream, target: SocketAddr, faults: Arc<Faults>) -> io::Result<()> {
    let number = faults.accepted.fetch_add(1, Ordering::SeqCst);
    if faults.swallows(number) {
        let (reader, _writer) = client.into_split();
        return pump(reader, tokio::io::sink(), &faults, number).await;
    }
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_reader, client_writer) = client.into_split();
    let (server_reader, server_writer) = server.into_split();
    let up = pump(client_reader, server_writer, &faults, number);
    let down = pump(server_reader, client_writer, &faults, number);
    tokio::try_join!(up, down)?;
    Ok(())
}

async fn pump<R, W>(mut reader: R, mut writer: W, faults: &Faults, number: u64) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return writer.shutdown().await;
        }
        let delay_ms = faults.delay_ms.load(Ordering::SeqCst);
        if delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
        if !faults.swallows(number) {
            writer.write_all(&buffer[..count]).await?;
        }
    }
}

/// Where `host:port` stands in a URL.
fn authority(url: &str) -> Option<(usize, usize)> {
    let start = url.find("://")? + 3;
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |length| start + length);
    let start = url[start..end].rfind('@').map_or(start, |at| start + at + 1);
    Some((start, end))
}
