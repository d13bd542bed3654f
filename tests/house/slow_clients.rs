//! Clients that take their time.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::api::Api;
use crate::letopis::{Folder, PATIENCE};
use crate::people::Person;
use crate::signals::open_socket;

/// Sends a request that never ends, a header at a time, until the other side has had enough.
async fn trickle(address: std::net::SocketAddr) {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (mut reading, mut writing) = stream.into_split();
    writing.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n").await.expect("written");
    let trickling = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        loop {
            ticks.tick().await;
            if writing.write_all(b"x-more: 1\r\n").await.is_err() {
                return;
            }
        }
    };
    let mut said = Vec::new();
    let closed = async {
        // A reset closes it as well.
        let _ = reading.read_to_end(&mut said).await;
    };
    tokio::select! {
        () = trickling => {}
        () = closed => {}
    }
    assert!(!said.starts_with(b"HTTP/1.1 200"), "it answered what was not asked yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_trickles_headers_is_cut_off_and_a_socket_lives_on() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let mut socket = open_socket(&letopis, &ann).await;
    tokio::time::timeout(PATIENCE, trickle(letopis.address)).await.expect("it is cut off in time");

    // As old as the connection that was cut.
    socket.send(Message::Ping("still there".into())).await.expect("the socket is open");
    let pong = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Pong(payload))) => return payload,
                Some(Ok(Message::Text(_) | Message::Ping(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let pong = tokio::time::timeout(PATIENCE, pong).await.expect("an answer in time");
    assert_eq!(&pong[..], b"still there");
    letopis.stop().await;
}
