//! A document in the recipe's prompt and, if it is used, the model's chat template. Templates come from outside, and no
//! limit within their engine holds against all of them: a list that is put into itself over and over takes a comparison
//! time without end, a text of it memory. So they are rendered by a process of its own, under the kernel's limits.

mod limits;
mod process;

use super::chat;
use crate::contained::deep;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

/// The chat template of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The template.
    pub template: String,
    /// Text of the beginning token.
    pub bos: String,
    /// Text of the end token.
    pub eos: String,
}

/// The templates that a document goes through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Templates {
    prompt: String,
    chat: Option<Chat>,
}

/// What is to be rendered.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    document: String,
    /// Text before the prompt.
    before: String,
    /// Whether the chat template is put around, where there is one.
    whole: bool,
}

impl Templates {
    fn text(&self, asked: &Asked) -> Result<String> {
        let text = chat::prompt(&self.prompt, &asked.document)?;
        let text = if asked.before.is_empty() { text } else { asked.before.clone() + &text };
        match self.chat.as_ref().filter(|_| asked.whole) {
            Some(chat) => chat::render(&chat.template, &text, &chat.bos, &chat.eos),
            None => Ok(text),
        }
    }

    /// The sentence for what the kernel has ended.
    fn too_much(&self, whole: bool) -> Error {
        let whose = match (&self.chat, is_plain(&self.prompt)) {
            (Some(_), true) if whole => "the model's chat template",
            (Some(_), false) if whole => "data.prompt or the model's chat template",
            _ => "data.prompt",
        };
        Error::user(format!("{whose} cannot be used: {}", chat::TOO_MUCH))
    }

    /// Whether they only put the document into a text, which takes as long as the text is.
    fn are_plain(&self, whole: bool) -> bool {
        (self.chat.is_none() || !whole) && is_plain(&self.prompt)
    }
}

/// Whether a template has no tag but `{{ document }}`.
fn is_plain(template: &str) -> bool {
    let mut rest = template;
    while let Some(at) = ["{{", "{%", "{#"].iter().filter_map(|tag| rest.find(tag)).min() {
        let inner = rest[at..].strip_prefix("{{").and_then(|inner| inner.split_once("}}"));
        let Some((_, behind)) = inner.filter(|(inner, _)| inner.trim() == "document") else { return false };
        rest = behind;
    }
    true
}

/// This program's own file, where it is one that [`serve`]s.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Says which program renders templates when it is called with `render`: lopper's own, from its first line on. Without
/// this (a library's test, a benchmark) they are rendered in the process itself, with no more limit than their engine's.
pub fn serve_by(program: PathBuf) {
    PROGRAM.set(program).ok();
}

/// Renders documents.
#[derive(Debug)]
pub struct Renderer {
    templates: Templates,
    /// Started with the first document that needs it.
    process: Mutex<Option<process::Process>>,
}

impl Renderer {
    /// For documents in `prompt`, and that as the user's turn of a chat.
    pub fn new(prompt: &str, chat: Option<Chat>) -> Self {
        Self { templates: Templates { prompt: prompt.to_owned(), chat }, process: Mutex::new(None) }
    }

    /// `before` and the prompt around `document`, without the chat template.
    ///
    /// # Errors
    /// When the prompt is malformed or does more than any real one.
    pub fn prompt(&self, before: &str, document: &str) -> Result<String> {
        self.text(before, document, false)
    }

    /// The same, in the chat template if there is one.
    ///
    /// # Errors
    /// When a template is malformed or does more than any real one.
    pub fn whole(&self, before: &str, document: &str) -> Result<String> {
        self.text(before, document, true)
    }

    fn text(&self, before: &str, document: &str, whole: bool) -> Result<String> {
        let asked = Asked { document: document.to_owned(), before: before.to_owned(), whole };
        let Some(program) = PROGRAM.get().filter(|_| !self.templates.are_plain(whole)) else {
            return self.templates.text(&asked);
        };
        let mut slot = self.process.lock().map_err(|_| Error::fault("templates are rendered no more"))?;
        let mut process = match slot.take() {
            Some(process) => process,
            None => process::Process::start(program, &self.templates)?,
        };
        // One that has ended is not kept.
        match process.ask(&asked) {
            Ok(answer) => {
                *slot = Some(process);
                answer.map_err(Error::user)
            }
            Err(process::Ended::TooMuch) => Err(self.templates.too_much(whole)),
            Err(process::Ended::Otherwise(why)) => {
                Err(Error::fault(format!("the process that renders the templates {why}")))
            }
        }
    }
}

/// Renders what comes on `input`, a line each, to `output`: the work of `lopper render`.
///
/// # Errors
/// When the pipes fail or hold something else.
pub fn serve(input: &mut (impl BufRead + Send), output: &mut (impl Write + Send)) -> Result<()> {
    // One stack for all documents.
    deep(|| serve_all(input, output))?.unwrap_or_else(|| Err(Error::fault("the templates cannot be rendered")))
}

fn serve_all(input: &mut impl BufRead, output: &mut impl Write) -> Result<()> {
    let failed = |e: std::io::Error| Error::fault(format!("the templates cannot be rendered: {e}"));
    let limits = limits::Limits::take();
    let mut line = Vec::new();
    let mut templates: Option<Templates> = None;
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(());
        }
        limits.renew(line.len());
        let Some(templates) = &templates else {
            templates = Some(serde_json::from_slice(&line).map_err(|e| failed(e.into()))?);
            continue;
        };
        let asked: Asked = serde_json::from_slice(&line).map_err(|e| failed(e.into()))?;
        let answer: process::Answer = templates.text(&asked).map_err(|e| e.to_string());
        let mut bytes = serde_json::to_vec(&answer).map_err(|e| failed(e.into()))?;
        bytes.push(b'\n');
        output.write_all(&bytes).and_then(|()| output.flush()).map_err(failed)?;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_plain_where_it_has_nothing_but_the_document() {
        for plain in ["", "x", "{{ document }}", "{{document}}{{ document}} { % } {", "a\n{{\ndocument }}\n}}"] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "{{ document | upper }}",
            "{{ document ~ document }}",
            "{% if 1 %}{{ document }}{% endif %}",
            "{{ document }}{{ x }}",
            "{# document #}",
            "{{ document",
            "{{{{ document }}}}",
            "{{-document-}}",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }

    #[test]
    fn a_document_goes_through_both_templates() {
        let chat = Chat {
            template: "{{ bos_token }}{{ messages[0].content }}>".into(),
            bos: "<s>".into(),
            eos: "</s>".into(),
        };
        let here = Renderer::new("A {{ document | upper }}", Some(chat));
        assert_eq!(here.whole("b\n", "x\u{2028}").unwrap(), "<s>b\nA X\u{2028}>");
        assert_eq!(here.prompt("", "x").unwrap(), "A X");
    }
}
