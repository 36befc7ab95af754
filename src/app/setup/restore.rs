//! Changes that are not saved: what of this form is kept in a copy, and what an earlier form has left in one.

use super::{Effect, Overlay, Question, Setup, over};
use crate::app::clean;
use crate::recipe::draft::Draft;
use std::path::PathBuf;

/// What is kept of a form while it is not saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The recipe's file.
    pub file: PathBuf,
    /// What that holds, as far as the form knows; nothing if there is none.
    pub saved: Option<String>,
    /// The recipe as it stands in the form.
    pub text: String,
}

/// Changes of a form that has ended without saving or dropping them.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// The copy that holds them.
    pub copy: PathBuf,
    /// The recipe with the changes; it is TOML.
    pub text: String,
    /// Seconds since the last of them.
    pub age: f64,
    /// Whether the file holds something else now than when they were made.
    pub older: bool,
}

/// What was found beside a recipe.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The newest changes that were left.
    pub left: Option<Left>,
    /// How many more copies there are.
    pub more: usize,
    /// Who else has changes in a form of its own right now: `process 12 on host`.
    pub open: Option<String>,
    /// Sentences about copies that are of no use.
    pub said: Vec<String>,
}

impl Setup {
    /// What there is to keep: nothing where the file has it all, or of a new recipe that nobody has touched.
    pub fn kept(&self) -> Option<Kept> {
        let touched = !(self.done.is_empty() && self.undone.is_empty());
        let worth = self.saved.is_some() || self.draft != self.opened;
        (touched && worth && self.is_changed()).then(|| Kept {
            file: self.file.clone(),
            saved: self.saved.clone(),
            text: self.draft.text(),
        })
    }
}

/// Says what was found, and asks about what was left.
pub(super) fn found(setup: &mut Setup, found: Found) {
    let name = setup.name();
    let open = found.open.map(|who| format!("another form has changes of {name} that are not saved: {who}"));
    let said: Vec<String> = found.said.into_iter().chain(open).collect();
    if !said.is_empty() {
        setup.say(said.join("; "));
    }
    if let Some(left) = found.left {
        over::end_choice(setup);
        let question = Question::Restore { left, more: found.more, there: setup.saved.is_some() };
        setup.overlay = Some(Overlay::Ask { question, at: 0 });
    }
}

/// The changes back into the form: one change more, which undo takes back.
pub(super) fn restore(setup: &mut Setup, left: &Left) -> Vec<Effect> {
    let mut effects = setup.change(|draft| {
        *draft = Draft::parse(&left.text)?;
        Ok(())
    });
    if !effects.is_empty() {
        setup.say("restored, not saved yet; u takes that back");
        effects.insert(0, Effect::Adopt(left.copy.clone()));
    }
    effects
}

/// The copy stays for another time.
pub(super) fn put_off(setup: &mut Setup, left: &Left) {
    let name = left.copy.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    setup.say(format!("the changes stay in {} and are offered again", clean::line(&name)));
}
