//! A socket that is cut while 100 things happen: whoever comes back is told each of them once, in order,
//! and asks for no page.

use std::net::SocketAddr;

use domain::ids::ChatId;
use domain::live::{ServerFrame, What};
use domain::requests::{ChatMessage, Done, EditMessage};
use domain::views::{Deleted, Message};
use futures::StreamExt;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message as Raw;

use crate::api::Api;
use crate::letopis::{Folder, PATIENCE};
use crate::people::Person;
use crate::proxy::Proxy;
use crate::signals::Socket;

async fn open(address: SocketAddr, who: &Person, after: Option<u64>) -> Socket {
    let after = after.map(|after| format!("?after={after}")).unwrap_or_default();
    let url = format!("ws://{address}/query/v1/live{after}");
    let mut request = url.into_client_request().expect("a request");
    let bearer = format!("Bearer {}", who.access).parse().expect("a header's value");
    request.headers_mut().insert("authorization", bearer);
    connect_async(request).await.expect("a socket").0
}

/// The next frame; `None` once the connection is gone.
async fn next(socket: &mut Socket) -> Option<ServerFrame> {
    let next = async {
        loop {
            match socket.next().await {
                Some(Ok(Raw::Text(text))) => return Some(serde_json::from_str(&text).expect("a frame")),
                Some(Ok(Raw::Ping(_) | Raw::Pong(_))) => {}
                _ => return None,
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("a frame in time")
}

/// A message's frame, as what it says of the message.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    position: u64,
    number: u64,
    text: String,
    edited: bool,
    deleted: bool,
}

/// Reads until the frame at `last`; frames of messages alone.
async fn told(socket: &mut Socket, last: u64) -> Vec<Told> {
    let mut told = Vec::new();
    loop {
        match next(socket).await.expect("the socket stays") {
            ServerFrame::Change { position, what: What::Message, item: Some(item), .. } => {
                let message: Message = serde_json::from_value(item).expect("a message");
                told.push(Told {
                    position,
                    number: message.number,
                    text: message.text,
                    edited: message.edited_at.is_some(),
                    deleted: message.deleted == Some(Deleted::Author),
                });
                if position >= last {
                    return told;
                }
            }
            ServerFrame::Hello { .. } | ServerFrame::Change { .. } | ServerFrame::Signal { .. } => {}
            other => panic!("{other:?}: a page would have to be asked for"),
        }
    }
}

/// 100 messages, of which every third is edited and every fifth deleted; answers the last position.
async fn happens(api: &Api, who: &Person, chat_id: ChatId, first: u64) -> u64 {
    let mut last = 0;
    for number in first..first + 100 {
        last = who.say(api, chat_id, &format!("message {number}")).await.position;
        if number % 3 == 0 {
            let edit = EditMessage { chat_id, number, text: format!("message {number}, mended") };
            last = who.on(api).done::<Done>("edit_message", &edit).await.position;
        }
        if number % 5 == 0 {
            let delete = ChatMessage { chat_id, number };
            last = who.on(api).done::<Done>("delete_message", &delete).await.position;
        }
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_it_was_cut_is_told_once_and_whole() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let proxy = Proxy::before(letopis.address).await;
    let api = Api::of(&letopis);
    let (ann, bob) = (Person::register(&api, "ann").await, Person::register(&api, "bob").await);
    ann.befriend(&api, &bob).await;
    let chat = ann.chat_with(&api, &bob).await;
    let mut socket = open(proxy.address, &bob, None).await;
    // What happens before it is greeted is told to nobody who asked for nothing earlier.
    let greeted = next(&mut socket).await;
    assert!(matches!(greeted, Some(ServerFrame::Hello { .. })), "{greeted:?}");
    let before = ann.say(&api, chat, "before").await.position;
    assert_eq!(told(&mut socket, before).await.len(), 1);

    proxy.cut();
    assert!(next(&mut socket).await.is_none(), "it is cut");
    let last = happens(&api, &ann, chat, 2).await;
    proxy.mend();
    let mut socket = open(proxy.address, &bob, Some(before)).await;
    let caught_up = told(&mut socket, last).await;

    // Each message once, as it is now: what was edited and deleted meanwhile is told as such.
    let expected: Vec<(u64, String, bool, bool)> = (2..102_u64)
        .map(|number| {
            let (edited, deleted) = (number % 3 == 0, number % 5 == 0);
            let text = match (deleted, edited) {
                (true, _) => String::new(),
                (false, true) => format!("message {number}, mended"),
                (false, false) => format!("message {number}"),
            };
            (number, text, edited && !deleted, deleted)
        })
        .collect();
    let mut latest: Vec<(u64, String, bool, bool)> = Vec::new();
    for told in &caught_up {
        let state = (told.number, told.text.clone(), told.edited && !told.deleted, told.deleted);
        // One that was touched may be told where it was sent and where it was touched, the same both times.
        match latest.iter().find(|it| it.0 == told.number) {
            Some(known) => assert_eq!(*known, state),
            None => latest.push(state),
        }
    }
    latest.sort_by_key(|it| it.0);
    assert_eq!(latest, expected);
    assert!(caught_up.windows(2).all(|two| two[0].position <= two[1].position), "in the log's order");
    let mut places: Vec<_> = caught_up.iter().map(|told| (told.position, told.number)).collect();
    let count = places.len();
    places.dedup();
    assert_eq!(places.len(), count, "nothing is told twice");

    // And it goes on from there, without a gap.
    let after = ann.say(&api, chat, "after").await.position;
    let rest = told(&mut socket, after).await;
    assert_eq!(rest.iter().map(|it| (it.position, it.number)).collect::<Vec<_>>(), [(after, 102)]);
    letopis.stop().await;
}
