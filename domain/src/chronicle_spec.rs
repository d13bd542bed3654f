//! Given, when, then: chronicle.

use super::*;
use crate::given::{NOW, given};

const LOG: Uuid = Uuid::from_u128(0x10);

fn opened() -> ChronicleEvent {
    ChronicleEvent::ChronicleOpened { log_id: LOG, format: 1, at: NOW }
}

#[test]
fn a_log_opens_with_its_id_and_the_format_it_is_written_in() {
    let log =
        given::<Chronicle>([]).when(ChronicleCommand::Open { log_id: LOG, at: NOW }).then([opened()]).state();
    assert_eq!(log, Chronicle { log_id: Some(LOG), format: FORMAT });
}

#[test]
fn a_log_is_opened_once() {
    for log_id in [LOG, Uuid::from_u128(0x11)] {
        given::<Chronicle>([opened()])
            .when(ChronicleCommand::Open { log_id, at: NOW })
            .then_refused(Kind::Conflict);
    }
}

#[test]
fn the_format_is_the_one_that_the_log_says_and_not_this_builds() {
    let newer = ChronicleEvent::ChronicleOpened { log_id: LOG, format: FORMAT + 1, at: NOW };
    assert_eq!(given::<Chronicle>([newer]).state().format, FORMAT + 1);
}
