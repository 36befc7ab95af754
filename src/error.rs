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
    /// The user stopped it, and it can be gone on with. Exit code 2.
    #[error("{0}")]
    Stopped(String),
    /// There is no room on a disk: a worker waits for it, everybody else has failed. Exit code 1.
    #[error("{text}")]
    Full {
        /// The sentence.
        text: String,
        /// Bytes that are needed, 0 where that is not known.
        need: u64,
    },
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

    /// A failed file operation: a path that is missing, not allowed or of the wrong kind is the user's, the
    /// rest a fault.
    pub fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let path = crate::text::printable(&path.display().to_string()).into_owned();
        let (user, why) = match error.kind() {
            ErrorKind::NotFound => (true, "no such file or folder"),
            ErrorKind::PermissionDenied => (true, "permission denied"),
            ErrorKind::ReadOnlyFilesystem => (true, "the file system is read-only"),
            ErrorKind::IsADirectory => (true, "it is a folder, a file is needed"),
            ErrorKind::NotADirectory => (true, "a part of the path is a file, not a folder"),
            ErrorKind::AlreadyExists => (true, "there is a file of that name"),
            ErrorKind::InvalidFilename => (true, "the name is too long"),
            ErrorKind::InvalidData => (true, "it is not UTF-8 text"),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                let what_is =
                    if error.kind() == ErrorKind::StorageFull { "disk is full" } else { "disk quota is used up" };
                return Self::Full { text: format!("cannot {what} {path}: the {what_is}; free some space"), need: 0 };
            }
            ErrorKind::FileTooLarge => (false, "the limit on file sizes is reached (ulimit -f)"),
            _ => return Self::Fault(format!("cannot {what} {path}: {error}")),
        };
        let sentence = format!("cannot {what} {path}: {why}");
        if user { Self::User(sentence) } else { Self::Fault(sentence) }
    }

    /// 2 for what the user can mend or has stopped, 1 for a fault.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::User(_) | Self::Stopped(_) => 2,
            Self::Fault(_) | Self::Full { .. } => 1,
        }
    }

    /// The same kind of error with `place: ` before its sentence, unless it begins so already.
    #[must_use]
    pub fn at(self, place: impl std::fmt::Display) -> Self {
        let (Self::User(sentence)
        | Self::Stopped(sentence)
        | Self::Fault(sentence)
        | Self::Full { text: sentence, .. }) = &self;
        let place = format!("{place}: ");
        if sentence.starts_with(&place) {
            return self;
        }
        match self {
            Self::User(sentence) => Self::User(place + &sentence),
            Self::Stopped(sentence) => Self::Stopped(place + &sentence),
            Self::Fault(sentence) => Self::Fault(place + &sentence),
            Self::Full { text, need } => Self::Full { text: place + &text, need },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::Path;

    #[test]
    fn what_the_user_can_mend_is_told_from_a_fault() {
        let said = |kind| Error::io("write", Path::new("a\x1b[2J/b"), &io::Error::from(kind));
        assert_eq!(said(io::ErrorKind::NotFound).exit_code(), 2);
        assert_eq!(said(io::ErrorKind::ReadOnlyFilesystem).exit_code(), 2);
        assert_eq!(said(io::ErrorKind::StorageFull).exit_code(), 1);
        assert_eq!(said(io::ErrorKind::TimedOut).exit_code(), 1);
        let full = said(io::ErrorKind::StorageFull).to_string();
        assert_eq!(full, "cannot write a\\u{1b}[2J/b: the disk is full; free some space");
    }
}
