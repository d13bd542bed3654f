//! Signals: SIGTERM says good-bye, SIGKILL leaves nothing behind that keeps the next start out.

use domain::live::{ByeReason, ServerFrame};
use domain::views::Me;
use futures::StreamExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::api::Api;
use crate::letopis::{Folder, Letopis, PATIENCE};
use crate::people::Person;

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub async fn open_socket(letopis: &Letopis, person: &Person) -> Socket {
    let url = letopis.url("/query/v1/live").replacen("http", "ws", 1);
    let mut request = url.into_client_request().expect("a request");
    let bearer = format!("Bearer {}", person.access).parse().expect("a header's value");
    request.headers_mut().insert("authorization", bearer);
    let (mut socket, _) = connect_async(request).await.expect("a socket");
    assert!(matches!(next_frame(&mut socket).await, Some(ServerFrame::Hello { .. })));
    socket
}

/// The next frame; `None` once the socket was closed in order.
async fn next_frame(socket: &mut Socket) -> Option<ServerFrame> {
    let next = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("a frame")),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return None,
                Some(other) => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("a frame in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_closes_sockets_with_a_good_bye_and_ends_in_order() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(open_socket(&letopis, &ann).await);
    }
    // One that never reads and never closes.
    let _deaf = open_socket(&letopis, &ann).await;
    let listening = heard.into_iter().map(|mut socket| async move {
        assert_eq!(next_frame(&mut socket).await, Some(ServerFrame::Bye { reason: ByeReason::Shutdown }));
        assert_eq!(next_frame(&mut socket).await, None);
    });
    let (_, said) = tokio::join!(futures::future::join_all(listening), letopis.stop());
    assert!(!said.contains("would not end"), "it did not wait for its sockets:\n{said}");
    // Log and keys are one file each, as a backup wants them.
    for name in ["log.db-wal", "keys.db-wal"] {
        let left = std::fs::metadata(folder.file(name)).map_or(0, |file| file.len());
        assert_eq!(left, 0, "{name} is left over");
    }
    let letopis = folder.start().await;
    let me: Me = ann.on(&Api::of(&letopis)).query("/me").await;
    assert_eq!(me.user_id, ann.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_leaves_neither_listener_nor_lock() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let ann = Person::register(&Api::of(&letopis), "ann").await;
    let mut socket = open_socket(&letopis, &ann).await;
    let address = letopis.address;
    letopis.kill().await;
    let refused = TcpStream::connect(address).await.expect_err("somebody still listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(matches!(socket.next().await, None | Some(Err(_))), "the socket is still open");

    // On the same folder and the same port.
    let letopis = folder.settings().with("LETOPIS_LISTEN", address).start().await;
    let me: Me = ann.on(&Api::of(&letopis)).query("/me").await;
    assert_eq!(me.user_id, ann.id);
    open_socket(&letopis, &ann).await;
}
