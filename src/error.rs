//! Errors as sentences: what is wrong, where, and what to do.

/// What went wrong, said so that the user can act on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The user can mend it: a wrong path, a bad file, an impossible setting. Exit code 2.
    #[error("{0}")]
    User(String),
    /// Something failed that was asked for correctly: disk, device, network. Exit code 1.
    #[error("{0}")]
    Fault(String),
}

/// The result of everything in lopper that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that the user can mend.
    pub fn user(sentence: impl Into<String>) -> Self {
        Self::User(sentence.into())
    }

    /// A failure of the machine or of lopper.
    pub fn fault(sentence: impl Into<String>) -> Self {
        Self::Fault(sentence.into())
    }

    /// A failed file operation: a path that is missing or not allowed is the user's, the rest a fault.
    pub fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let path = crate::text::printable(&path.display().to_string()).into_owned();
        match error.kind() {
            ErrorKind::NotFound => Self::User(format!("cannot {what} {path}: no such file or folder")),
            ErrorKind::PermissionDenied => Self::User(format!("cannot {what} {path}: permission denied")),
            ErrorKind::StorageFull => {
                Self::Fault(format!("cannot {what} {path}: the disk is full; free some space and resume"))
            }
            _ => Self::Fault(format!("cannot {what} {path}: {error}")),
        }
    }

    /// 2 for what the user can mend, 1 for a fault.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::User(_) => 2,
            Self::Fault(_) => 1,
        }
    }

    /// The same kind of error with `place: ` before its sentence.
    #[must_use]
    pub fn at(self, place: impl std::fmt::Display) -> Self {
        match self {
            Self::User(sentence) => Self::User(format!("{place}: {sentence}")),
            Self::Fault(sentence) => Self::Fault(format!("{place}: {sentence}")),
        }
    }
}
