//! A line that the user fills in: what it is for, the text, and what is wrong with it so far.

use super::ratios::{ask as ratio, suggest};
use super::watch::reading;
use super::{App, Effect, Overlay};
use tui_input::{Input, InputRequest};

/// Characters that a line takes at most.
const LONGEST: usize = 4096;

/// What the line is for; `submit` and `check` have an arm for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Words to find in the samples.
    SearchSamples,
    /// A ratio, or a change of ratios.
    Ratio,
    /// A rule for ratios.
    RatioRule,
    /// A name for the present ratios.
    RatioSet,
    /// What ratios are looked for.
    Suggest,
}

/// A line being edited.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// What it is for.
    pub purpose: Purpose,
    /// The question.
    pub label: String,
    /// What can be typed, in a few words.
    pub hint: String,
    /// The text and the cursor.
    pub input: Line,
    /// What is wrong with the text as it stands.
    pub error: Option<String>,
}

/// Text with a cursor.
#[derive(Debug, Clone, Default)]
pub struct Line(Input);

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() && self.cursor() == other.cursor()
    }
}

impl Line {
    /// A line with a text, the cursor behind it.
    pub fn new(text: &str) -> Self {
        Self(Input::new(text.to_owned()))
    }

    /// What it holds.
    pub fn text(&self) -> &str {
        self.0.value()
    }

    /// The cursor, in characters from the start.
    pub fn cursor(&self) -> usize {
        self.0.cursor()
    }

    /// Puts a text at the cursor, its control characters made visible; not beyond `LONGEST`.
    pub fn insert(&mut self, text: &str) {
        let room = LONGEST.saturating_sub(self.text().chars().count());
        for c in crate::text::printable(text).chars().take(room) {
            self.0.handle(InputRequest::InsertChar(c));
        }
    }

    /// A key, by its name; false if it is none of editing.
    pub fn key(&mut self, key: &str) -> bool {
        // Lists have a word for it.
        let key = if key == "space" { " " } else { key };
        let request = match key {
            "left" => InputRequest::GoToPrevChar,
            "right" => InputRequest::GoToNextChar,
            "home" | "ctrl-a" => InputRequest::GoToStart,
            "end" | "ctrl-e" => InputRequest::GoToEnd,
            "backspace" | "ctrl-h" => InputRequest::DeletePrevChar,
            "delete" | "ctrl-d" => InputRequest::DeleteNextChar,
            "ctrl-w" => InputRequest::DeletePrevWord,
            "ctrl-u" => InputRequest::DeleteLine,
            "ctrl-k" => InputRequest::DeleteTillEnd,
            "ctrl-b" => InputRequest::GoToPrevWord,
            "ctrl-f" => InputRequest::GoToNextWord,
            one if one.chars().count() == 1 => {
                self.insert(one);
                return true;
            }
            _ => return false,
        };
        self.0.handle(request);
        true
    }
}

/// Asks for a line.
pub fn ask(app: &mut App, purpose: Purpose, label: &str, hint: &str, text: &str) {
    let mut prompt = Prompt { purpose, label: label.into(), hint: hint.into(), input: Line::new(text), error: None };
    examine(app, &mut prompt);
    app.overlay = Some(Overlay::Prompt(prompt));
}

/// A key while the prompt is open: Enter submits what has no error, Esc leaves.
pub fn press(app: &mut App, mut prompt: Prompt, key: &str) -> Vec<Effect> {
    match key {
        "esc" => return Vec::new(),
        "enter" => {
            examine(app, &mut prompt);
            if prompt.error.is_none() {
                return submit(app, &prompt);
            }
        }
        _ => {
            prompt.input.key(key);
            examine(app, &mut prompt);
        }
    }
    app.overlay = Some(Overlay::Prompt(prompt));
    Vec::new()
}

/// A paste into the prompt.
pub fn paste(app: &mut App, mut prompt: Prompt, text: &str) {
    prompt.input.insert(text.trim_end_matches(['\r', '\n']));
    examine(app, &mut prompt);
    app.overlay = Some(Overlay::Prompt(prompt));
}

/// Looks at the text as it stands: what is wrong with it, or what it would do.
fn examine(app: &App, prompt: &mut Prompt) {
    match check(app, prompt) {
        Ok(hint) => {
            prompt.error = None;
            prompt.hint = hint.unwrap_or_else(|| std::mem::take(&mut prompt.hint));
        }
        Err(sentence) => prompt.error = Some(sentence),
    }
}

/// What is wrong with the text; or what there is to say of it, if anything.
fn check(app: &App, prompt: &Prompt) -> Result<Option<String>, String> {
    let text = prompt.input.text();
    match prompt.purpose {
        Purpose::SearchSamples => reading::check(app, text).map_or(Ok(None), Err),
        Purpose::Ratio => ratio::check_change(app, text).map(Some),
        Purpose::RatioRule => ratio::check_rule(app, text).map(Some),
        Purpose::RatioSet => ratio::check_name(app, text).map(Some),
        Purpose::Suggest => suggest::check(text).map(Some),
    }
}

/// Does what the line was for.
fn submit(app: &mut App, prompt: &Prompt) -> Vec<Effect> {
    let text = prompt.input.text();
    match prompt.purpose {
        Purpose::SearchSamples => reading::search_for(app, text),
        Purpose::Ratio => ratio::change(app, text),
        Purpose::RatioRule => ratio::rule(app, text),
        Purpose::RatioSet => return ratio::save(app, text),
        Purpose::Suggest => return suggest::begin(app, text),
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_by_keys_and_takes_no_control_characters() {
        let mut line = Line::new("0.5");
        for key in ["backspace", "7", "home", "-", "end", "x", "backspace", "ctrl-z"] {
            line.key(key);
        }
        assert_eq!((line.text(), line.cursor()), ("-0.7", 4));
        line.insert("a\u{1b}[2Jb");
        assert!(!line.text().contains('\u{1b}'), "{:?}", line.text());
        line.key("ctrl-u");
        line.insert(&"x".repeat(1_000_000));
        assert_eq!(line.text().len(), LONGEST);
    }
}
