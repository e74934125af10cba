use std::time::{Duration, Instant};

use devstack::proxy::TcpProxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// A server that sends back what it gets.
async fn echo_proxy() -> TcpProxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    let connections = tasks.clone();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let (mut reader, mut writer) = stream.split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    });
    TcpProxy::start(addr).await.unwrap()
}

async fn ask(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"ping").await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"ping");
    Ok(())
}

#[tokio::test]
async fn a_cut_proxy_closes_and_refuses_until_it_is_restored() {
    let proxy = echo_proxy().await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut stream).await.unwrap();

    proxy.cut().await;
    ask(&mut stream).await.unwrap_err();
    TcpStream::connect(proxy.addr()).await.unwrap_err();

    proxy.restore().await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut stream).await.unwrap();
}

#[tokio::test]
async fn a_proxy_is_restored_also_if_somebody_has_its_port_for_a_moment() {
    let proxy = echo_proxy().await;
    proxy.cut().await;
    let other = TcpListener::bind(proxy.addr()).await.unwrap();
    // The first try finds the port taken; it is free before the next one.
    let (restored, ()) = tokio::join!(proxy.restore(), async { drop(other) });
    restored.unwrap();
    ask(&mut TcpStream::connect(proxy.addr()).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_half_open_proxy_accepts_and_never_answers() {
    let proxy = echo_proxy().await;
    let mut old = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut old).await.unwrap();
    proxy.half_open().await.unwrap();
    let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
    for stream in [&mut old, &mut new] {
        let answer = tokio::time::timeout(Duration::from_millis(200), ask(stream)).await;
        assert!(answer.is_err(), "half open, yet it answered or closed: {answer:?}");
    }

    proxy.restore().await.unwrap();
    ask(&mut old).await.unwrap_err();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut stream).await.unwrap();
}

#[tokio::test]
async fn a_delay_holds_up_open_connections_too() {
    let proxy = echo_proxy().await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut stream).await.unwrap();
    proxy.set_delay(Duration::from_millis(50));
    let asked = Instant::now();
    ask(&mut stream).await.unwrap();
    assert!(
        asked.elapsed() >= Duration::from_millis(100),
        "there and back, 50 ms each: {:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn a_url_is_led_through_the_proxy() {
    let proxy =
        TcpProxy::in_front_of("postgres://syncline:p@127.0.0.1:5432/t001?sslmode=disable").await.unwrap();
    let port = proxy.addr().port();
    assert_eq!(
        proxy.url("nats://t001-worker:p@127.0.0.1:4222"),
        format!("nats://t001-worker:p@127.0.0.1:{port}")
    );
    assert_eq!(proxy.url("http://127.0.0.1:80/a?b=@c"), format!("http://127.0.0.1:{port}/a?b=@c"));
}
