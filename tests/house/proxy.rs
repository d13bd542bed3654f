//! A TCP proxy that can hold back what a server says, and cut its connections then.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Forward,
    /// What clients say goes on; what the server says after these bytes came by is kept.
    Hold(Arc<[u8]>),
    /// New connections are closed at once.
    Refuse,
}

/// How it is, and how often its connections have been closed.
type State = (Mode, u64);

/// Forwards to one server until it is told otherwise.
pub struct Proxy {
    pub address: SocketAddr,
    state: watch::Sender<State>,
    held: Arc<Mutex<Vec<u8>>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (state, held) = (watch::Sender::new((Mode::Forward, 0)), Arc::default());
        let (states, keep) = (state.clone(), Arc::clone(&held));
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                tokio::spawn(carry(client, server, states.subscribe(), Arc::clone(&keep)));
            }
        });
        Self { address, state, held, accepting }
    }

    /// Keeps what the server says on a connection in which `words` went to it.
    pub fn hold_replies_to(&self, words: &str) {
        self.held().clear();
        self.state.send_modify(|(mode, _)| *mode = Mode::Hold(words.as_bytes().into()));
    }

    /// What was kept.
    pub fn held(&self) -> MutexGuard<'_, Vec<u8>> {
        self.held.lock().expect("no panic while it is held")
    }

    /// Closes every connection, so that what was kept is lost; new ones are closed at once.
    pub fn cut(&self) {
        self.state.send_modify(|(mode, closed)| (*mode, *closed) = (Mode::Refuse, *closed + 1));
    }

    /// Closes every connection; new ones are good.
    pub fn cut_once(&self) {
        self.state.send_modify(|(mode, closed)| (*mode, *closed) = (Mode::Forward, *closed + 1));
    }

    /// New connections are good again.
    pub fn mend(&self) {
        self.state.send_modify(|(mode, _)| *mode = Mode::Forward);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// One connection, until one side closes it or it is cut.
async fn carry(
    client: TcpStream,
    server: SocketAddr,
    state: watch::Receiver<State>,
    held: Arc<Mutex<Vec<u8>>>,
) {
    let began = state.borrow().clone();
    if began.0 == Mode::Refuse {
        return;
    }
    let mut cut = state.clone();
    let holds = AtomicBool::new(false);
    let carrying = async {
        let server = TcpStream::connect(server).await?;
        let ((mut asks, mut hears), (mut says, mut told)) = (client.into_split(), server.into_split());
        let up = async {
            let (mut bytes, mut seen) = (vec![0; 16 * 1024], Vec::new());
            loop {
                let read = asks.read(&mut bytes).await?;
                if read == 0 {
                    return Ok(());
                }
                if let (Mode::Hold(words), _) = &*state.borrow() {
                    seen.extend_from_slice(&bytes[..read]);
                    // Said before it is passed on, so that no reply can be faster.
                    holds.fetch_or(seen.windows(words.len()).any(|it| it == &**words), Ordering::SeqCst);
                    // Words that two readings share are found as well.
                    seen.drain(..seen.len().saturating_sub(words.len()));
                }
                told.write_all(&bytes[..read]).await?;
            }
        };
        let down = async {
            let mut bytes = vec![0; 16 * 1024];
            loop {
                let read = says.read(&mut bytes).await?;
                if read == 0 {
                    return Ok(());
                }
                if holds.load(Ordering::SeqCst) {
                    held.lock().expect("no panic while it is held").extend_from_slice(&bytes[..read]);
                } else {
                    hears.write_all(&bytes[..read]).await?;
                }
            }
        };
        tokio::select! {
            ended = up => ended,
            ended = down => ended,
        }
    };
    let carrying = async {
        // Whoever is at its ends sees that it broke.
        let _: std::io::Result<()> = carrying.await;
    };
    tokio::select! {
        () = carrying => {}
        _ = cut.wait_for(|(_, closed)| *closed != began.1) => {}
    }
}
