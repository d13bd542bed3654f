//! Live frames, read in one pass. [`ServerFrame`](domain::live::ServerFrame) says what they are; its own reader
//! first gathers a tree of values, which is slower and costs the download 20 kB.

use domain::live::{ByeReason, Ids, Signal, What};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Debug, PartialEq)]
pub enum Frame {
    Hello,
    Change {
        position: u64,
        what: What,
        ids: Ids,
        /// JSON of what changed, as `what` says.
        item: Option<String>,
    },
    /// A passing sign of life of somebody.
    Signal(Signal, Ids),
    /// Go on from this position.
    Gap(u64),
    Bye(ByeReason),
    /// A sign of life, or a kind that this version does not know.
    Other,
}

#[derive(Deserialize)]
struct Fields<'a> {
    r#type: &'a str,
    position: Option<u64>,
    what: Option<What>,
    ids: Option<Ids>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    reason: Option<ByeReason>,
    signal: Option<Signal>,
}

impl Frame {
    pub fn read(text: &str) -> Self {
        let Ok(fields) = serde_json::from_str::<Fields<'_>>(text) else { return Self::Other };
        match (fields.r#type, fields.position, fields.what, fields.reason) {
            ("hello", ..) => Self::Hello,
            ("change", Some(position), Some(what), _) => {
                let item = fields.item.map(|item| item.get().to_owned());
                Self::Change { position, what, ids: fields.ids.unwrap_or_default(), item }
            }
            ("signal", ..) => fields
                .signal
                .map_or(Self::Other, |signal| Self::Signal(signal, fields.ids.unwrap_or_default())),
            ("gap", Some(position), ..) => Self::Gap(position),
            ("bye", _, _, Some(reason)) => Self::Bye(reason),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::ChatId;
    use domain::live::ServerFrame;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_frame_of_the_server_is_understood() {
        let ids = Ids { chat_id: Some(ChatId(Uuid::from_u128(7))), number: Some(3), ..Ids::default() };
        let item = serde_json::json!({ "text": "\"quoted\" and {braced}" });
        let bye = ByeReason::SessionEnded;
        let frames = [
            (ServerFrame::Hello { position: 1 }, Frame::Hello),
            (
                ServerFrame::Change { position: 2, what: What::Message, ids, item: Some(item.clone()) },
                Frame::Change { position: 2, what: What::Message, ids, item: Some(item.to_string()) },
            ),
            (
                ServerFrame::Change { position: 3, what: What::Me, ids: Ids::default(), item: None },
                Frame::Change { position: 3, what: What::Me, ids: Ids::default(), item: None },
            ),
            (ServerFrame::Gap { position: 4 }, Frame::Gap(4)),
            (ServerFrame::Bye { reason: bye }, Frame::Bye(bye)),
            (ServerFrame::Pong { position: 5 }, Frame::Other),
            (ServerFrame::Signal { signal: Signal::Typing, ids }, Frame::Signal(Signal::Typing, ids)),
        ];
        for (sent, understood) in frames {
            let text = serde_json::to_string(&sent).expect("a frame is JSON");
            assert_eq!(Frame::read(&text), understood, "{text}");
        }
        assert_eq!(Frame::read("{\"type\":\"new\",\"what\":\"unheard of\"}"), Frame::Other);
    }
}
