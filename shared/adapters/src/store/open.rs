//! Why a store cannot be opened.

/// What an operator can do about a store that does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be reached or does not answer: try again later, or correct the address.
    #[error("{0}")]
    Unavailable(String),
    /// Its settings or version would break the promise that an accepted run is never lost: change what the text says.
    #[error("{0}")]
    Refused(String),
    /// The schema is older than this program, or not there at all.
    #[error("the database schema is not current: {0}; run `hermes migrate`")]
    Outdated(String),
    /// Another process has it open.
    #[error("{0}")]
    InUse(String),
}
