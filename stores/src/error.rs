//! What can go wrong in an engine of the read side.

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another writer has taken over; this one must stop.
    #[error("a writer of epoch {theirs} has taken over from epoch {mine}")]
    StaleEpoch { mine: u64, theirs: u64 },
    /// The rows are not where their writer left them: the engine has lost some, or was restored from
    /// an older copy. Whoever takes them over anew goes on from what is there.
    #[error("{engine}: the rows were left at position {expected}, and are at {held}")]
    WentBack { engine: &'static str, expected: u64, held: u64 },
    /// The engine did not answer as it should; trying again may help.
    #[error("{engine}: {message}")]
    Engine { engine: &'static str, message: String },
    /// What is stored is not what the engine writes; trying again changes nothing, a rebuild does.
    #[error("{engine}: the rows are damaged ({message})")]
    Damaged { engine: &'static str, message: String },
    /// A row says what no version of this code writes.
    #[error("{engine} holds a row that cannot be read: {message}")]
    Unreadable { engine: &'static str, message: String },
    /// A URL that names no engine of this port, or one that cannot be opened.
    #[error("{0}")]
    Refused(String),
}

impl StoreError {
    /// Whether the rows themselves are wrong.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Unreadable { .. })
    }
}

pub type Result<T> = std::result::Result<T, StoreError>;
