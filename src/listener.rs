//! The listener: HTTP/1.1 on TCP, with the limits that keep idle and slow clients from using up the process.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{Gauge, gauge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// What one listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the connection, or from the last answer on it, until a request's headers are there. So
    /// it is also how long an idle connection is kept.
    pub headers_within: Duration,
    /// Headers of a request.
    pub headers: usize,
    /// The request's line and headers, in bytes.
    pub head: usize,
    /// Some of what is written is taken within this time, or the connection ends: whoever asks and does not read would
    /// hold the answer in memory for ever.
    pub taken_within: Duration,
    /// Connections at once, sockets included; further ones wait in the kernel's queue.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            headers_within: Duration::from_secs(15),
            headers: 100,
            head: 64 * 1024,
            // The kernel tells of progress in megabytes, and lines are slow.
            taken_within: Duration::from_secs(120),
            connections: 16_384,
        }
    }
}

/// After an error of `accept` that is the machine's (no descriptors left), not the client's.
const PAUSE: Duration = Duration::from_millis(500);

/// Serves `router` until `stop`, and then until what was asked is answered. Sockets that were
/// upgraded are their handlers' to close.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    let open = gauge!("letopis_http_connections");
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((accept(&listener).await, place))
        };
        let Some(((stream, peer), place)) = (tokio::select! {
            accepted = accepted => accepted,
            () = stop.cancelled() => None,
        }) else {
            break;
        };
        let stream = Counted::new(stream, place, open.clone(), limits.taken_within);
        connections.spawn(connection(stream, peer, router.clone(), limits, stop.clone()));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) => {
            }
            Err(error) => {
                tracing::error!(%error, "a connection can't be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: Counted,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers_within)
        .max_headers(limits.headers)
        .max_buf_size(limits.head)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection broke off");
    }
}

/// A connection that holds its place until it is closed, wherever an upgrade takes it.
struct Counted {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    open: Gauge,
    _place: OwnedSemaphorePermit,
}

impl Counted {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit, open: Gauge, taken_within: Duration) -> Self {
        // Small answers and frames must not wait for one another; where that can't be, they do.
        let _ = stream.set_nodelay(true);
        open.increment(1.0);
        let mut stream = Box::pin(TimeoutStream::new(stream));
        stream.as_mut().set_write_timeout_pinned(Some(taken_within));
        Self { stream, open, _place: place }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(cx, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn start(
        router: Router,
        limits: Limits,
    ) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, router, limits, stop.clone()));
        (address, stop, serving)
    }

    async fn answer(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_for_a_place() {
        let inside = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let handler = {
            let inside = inside.clone();
            move || {
                let inside = inside.clone();
                async move {
                    let now = inside.0.fetch_add(1, Ordering::SeqCst) + 1;
                    inside.1.fetch_max(now, Ordering::SeqCst);
                    // Time enough for all the others to come in, if they could.
                    for _ in 0..2_000 {
                        tokio::task::yield_now().await;
                    }
                    inside.0.fetch_sub(1, Ordering::SeqCst);
                    "done"
                }
            }
        };
        let limits = Limits { connections: 2, ..Limits::default() };
        let (address, stop, serving) = start(Router::new().route("/", get(handler)), limits).await;
        let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let answers = futures::future::join_all((0..6).map(|_| answer(address, request))).await;
        assert!(answers.iter().all(|answer| answer.ends_with("done")), "{answers:?}");
        assert_eq!(inside.1.load(Ordering::SeqCst), 2);
        stop.cancel();
        serving.await.expect("it stops");
    }

    #[tokio::test]
    async fn too_many_and_too_large_headers_are_refused() {
        let router = Router::new().route("/", get(async || "done"));
        let limits = Limits { headers: 10, head: 8 * 1024, ..Limits::default() };
        let (address, stop, serving) = start(router, limits).await;
        let request = |headers: usize, length: usize| {
            let headers: String =
                (0..headers).map(|n| format!("x-{n}: {}\r\n", "v".repeat(length))).collect();
            format!("GET / HTTP/1.1\r\nconnection: close\r\n{headers}\r\n")
        };
        assert!(answer(address, &request(8, 10)).await.starts_with("HTTP/1.1 200"));
        for (headers, length) in [(11, 10), (2, 5_000)] {
            let answer = answer(address, &request(headers, length)).await;
            assert!(answer.starts_with("HTTP/1.1 431"), "{headers} of {length}: {answer}");
        }
        stop.cancel();
        serving.await.expect("it stops");
    }

    #[tokio::test]
    async fn who_does_not_take_an_answer_loses_the_connection() {
        let router = Router::new().route("/", get(async || vec![0_u8; 64 * 1024 * 1024]));
        let limits = Limits { taken_within: Duration::from_millis(100), ..Limits::default() };
        let (address, stop, serving) = start(router, limits).await;
        let mut idle = TcpStream::connect(address).await.expect("it listens");
        idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("written");
        idle.read_u8().await.expect("it is answered");
        // It ends only when the connection has.
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(60), serving).await.expect("in time").expect("it stops");
        let mut rest = Vec::new();
        let cut = idle.read_to_end(&mut rest).await;
        assert!(cut.is_err() || rest.len() < 64 * 1024 * 1024, "{}", rest.len());
    }

    #[tokio::test]
    async fn what_was_asked_before_the_stop_is_answered_after_it() {
        let stop_asked = CancellationToken::new();
        let (asked, seen) = (Arc::new(tokio::sync::Notify::new()), stop_asked.clone());
        let handler = {
            let asked = asked.clone();
            move || {
                let (asked, seen) = (asked.clone(), seen.clone());
                async move {
                    asked.notify_one();
                    seen.cancelled().await;
                    "done"
                }
            }
        };
        let (address, stop, serving) = start(Router::new().route("/", get(handler)), Limits::default()).await;
        let asking = tokio::spawn(answer(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
        asked.notified().await;
        stop.cancel();
        stop_asked.cancel();
        let answer = asking.await.expect("no panic");
        assert!(answer.ends_with("done"), "{answer}");
        serving.await.expect("it stops");
        TcpStream::connect(address).await.expect_err("nobody listens any more");
    }
}
