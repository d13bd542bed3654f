//! What crosses the socket.

use chronicle::log::Head;
use projectors::{Refusal, Retried, Stage, Status};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Grows with what an older one would not understand.
pub const VERSION: u32 = 1;

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub version: u32,
    #[serde(flatten)]
    pub ask: Ask,
}

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Who has the data folder.
    Who,
    /// How the projections are.
    Status,
    /// Rebuilds a projection; told stage by stage.
    Rebuild { name: String, accept: bool },
    /// Tries parked streams again: one, or all of a projection.
    Retry { name: String, stream: Option<String> },
}

/// A process that serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    pub pid: u32,
    /// Of the program.
    pub version: String,
    pub log_id: Uuid,
    /// Where it listens.
    pub listen: String,
    /// Where the log ended when it was asked.
    pub head: u64,
}

impl Who {
    /// With the head as it is now.
    pub fn at(&self, head: Head) -> Self {
        Self { head: head.position, ..self.clone() }
    }
}

/// One line of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    Who {
        who: Who,
    },
    Status {
        projections: Vec<Status>,
    },
    Stage {
        stage: Stage,
    },
    Retried {
        streams: Vec<Retried>,
    },
    /// It is not done, and why; `refusal` where the projections refused it.
    Refused {
        why: String,
        refusal: Option<Refusal>,
    },
}

impl Reply {
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), refusal: None }
    }

    /// Whether nothing follows.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Stage { stage } => stage.is_end(),
            _ => true,
        }
    }
}
