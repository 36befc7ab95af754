//! What a screen asks of a process that has loaded a run (`lopper what-if RUN --serve`), and what that says: lines of
//! JSON, one a question, any number of answers to each.

use super::proposal::{Goal, Proposal};
use super::sensitivity::Measured;
use super::what_if::WhatIf;
use crate::recipe::ratios::Rule;
use crate::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read, Write};

/// No line is longer, bytes.
const LONGEST: u64 = 16 << 20;

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// What its answers are known by.
    pub id: String,
    /// What it is about.
    #[serde(flatten)]
    pub question: Question,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// What other prune ratios would do; a newer one takes its place. Answered also while a longer one is under way.
    WhatIf {
        /// Rules behind the run's own, the last match wins.
        rules: Vec<Rule>,
        /// Dev documents to measure the loss on, the first ones.
        documents: usize,
        /// Dev documents to write summaries of, the first ones.
        samples: usize,
    },
    /// What the dev loss minds, group by group, at these ratios in their order; what is known is told at once.
    Sensitivity {
        /// Shares to prune, 0 to 1.
        ratios: Vec<f64>,
        /// Dev documents, the first ones.
        documents: usize,
    },
    /// Ratios per module for a goal.
    Suggest {
        /// The goal.
        goal: Goal,
    },
    /// A question is taken back.
    GiveUp {
        /// Its id.
        request: String,
    },
}

impl Question {
    /// Its name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WhatIf { .. } => "what_if",
            Self::Sensitivity { .. } => "sensitivity",
            Self::Suggest { .. } => "suggest",
            Self::GiveUp { .. } => "give_up",
        }
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The question's id.
    pub id: String,
    /// What is known.
    #[serde(flatten)]
    pub said: Said,
}

/// What is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// Of a what-if, so far.
    WhatIf(Box<WhatIf>),
    /// One group's measurement.
    Measured(Box<Measured>),
    /// How far a search is, in a line.
    Progress(String),
    /// What the user should know of the set that was loaded for this question, and is asked from now on.
    Note(String),
    /// The ratios that were looked for.
    Proposed(Box<Proposal>),
    /// Nothing more will come: why, unless all is there.
    Ended(Option<String>),
}

impl Said {
    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        match self {
            Self::WhatIf(found) => found.state.is_over(),
            Self::Ended(_) => true,
            Self::Measured(_) | Self::Progress(_) | Self::Note(_) | Self::Proposed(_) => false,
        }
    }
}

/// The next line that is one; `None` at the end. Lines that are none are skipped.
pub fn read<T: DeserializeOwned>(from: &mut impl BufRead) -> Option<T> {
    loop {
        let mut line = Vec::new();
        match from.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            _ => return None,
        }
        if let Ok(read) = serde_json::from_slice(&line) {
            return Some(read);
        }
    }
}

/// Writes a line.
///
/// # Errors
/// When nobody reads any more.
pub fn write<T: Serialize>(to: &mut impl Write, what: &T) -> Result<()> {
    let mut line = serde_json::to_vec(what).map_err(|e| Error::fault(e.to_string()))?;
    line.push(b'\n');
    to.write_all(&line).and_then(|()| to.flush()).map_err(|e| Error::user(format!("nobody listens: {e}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_and_others_are_skipped() {
        let asked = |id: &str, question| Asked { id: id.into(), question };
        let all = [
            asked("1", Question::WhatIf { rules: vec![Rule::parse("*=0.5").unwrap()], documents: 8, samples: 1 }),
            asked("2", Question::Sensitivity { ratios: vec![0.7, 0.9], documents: 8 }),
            asked("3", Question::Suggest { goal: Goal::MaxLoss(0.01) }),
            asked("4", Question::GiveUp { request: "2".into() }),
        ];
        let mut bytes = b"no line\n{\"id\":\"5\",\"ask\":\"dance\"}\n".to_vec();
        all.iter().for_each(|asked| write(&mut bytes, asked).unwrap());
        // A torn last line is none.
        bytes.extend(b"{\"id\":\"6\",\"ask\":");
        let mut from = &bytes[..];
        let read: Vec<Asked> = std::iter::from_fn(|| super::read(&mut from)).collect();
        assert_eq!(read, all);
        let said = [
            Said::WhatIf(Box::default()),
            Said::Progress("round 1".into()),
            Said::Note("a checkpoint is damaged".into()),
            Said::Ended(None),
            Said::Ended(Some("no memory".into())),
        ];
        let mut bytes = Vec::new();
        said.iter().for_each(|said| write(&mut bytes, &Answer { id: "1".into(), said: said.clone() }).unwrap());
        let mut from = &bytes[..];
        let read: Vec<Said> = std::iter::from_fn(|| super::read::<Answer>(&mut from)).map(|a| a.said).collect();
        assert_eq!(read, said);
        assert_eq!(said.map(|said| said.is_over()), [false, false, false, true, true]);
    }
}
