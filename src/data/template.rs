//! Examples to token sequences: prompt, summary, end.

use super::chat;
use super::dataset::{Dataset, Example};
use super::tokenizer::Tokenizer;
use crate::recipe::Data;
use crate::{Error, Result};

/// One example as the model sees it; the loss is on `tokens[prompt..]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sequence {
    /// Prompt, summary, end.
    pub tokens: Vec<u32>,
    /// Number of prompt tokens.
    pub prompt: usize,
}

/// Puts examples to a model.
#[derive(Debug, Clone)]
pub struct Template<'a> {
    tokenizer: &'a Tokenizer,
    settings: &'a Data,
    /// Longest sequence that the model can take.
    context: usize,
}

/// What became of a data set.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    /// Prompts with summaries, for training and loss.
    pub sequences: Vec<Sequence>,
    /// The documents as the model reads them.
    pub documents: Vec<String>,
    /// How many documents were cut.
    pub truncated: usize,
}

impl Encoded {
    /// The prompts alone, for generation.
    pub fn prompts(&self) -> Vec<Vec<u32>> {
        self.sequences.iter().map(|s| s.tokens[..s.prompt].to_vec()).collect()
    }
}

impl<'a> Template<'a> {
    /// A template for a model that takes `context` tokens.
    ///
    /// # Errors
    /// When the recipe asks for a chat template that the model doesn't have, or its prompt is malformed.
    pub fn new(tokenizer: &'a Tokenizer, settings: &'a Data, context: usize) -> Result<Self> {
        if settings.chat_template && tokenizer.chat_template().is_none() {
            return Err(Error::user(
                "data.chat_template = true, but the base's tokenizer has no chat template; set it to false",
            ));
        }
        let this = Self { tokenizer, settings, context };
        if this.prompt_tokens("probe")?.is_empty() {
            return Err(Error::user("data.prompt gives no tokens; put at least {{ document }} into it"));
        }
        Ok(this)
    }

    fn prompt_tokens(&self, document: &str) -> Result<Vec<u32>> {
        let text = chat::prompt(&self.settings.prompt, document)?;
        match self.tokenizer.chat_template().filter(|_| self.settings.chat_template) {
            // The chat template writes the beginning token itself.
            Some(template) => {
                let chat = chat::render(template, &text, self.tokenizer.bos_text(), self.tokenizer.eos_text())?;
                self.tokenizer.encode(&chat, false)
            }
            None => self.tokenizer.encode(&text, true),
        }
    }

    fn summary_tokens(&self, summary: &str) -> Result<Vec<u32>> {
        let mut tokens = if self.settings.chat_template {
            self.tokenizer.encode(summary, false)?
        } else {
            self.tokenizer.encode(&format!(" {summary}"), false)?
        };
        tokens.push(self.tokenizer.eos());
        Ok(tokens)
    }

    /// All examples of a set; `room` is the number of tokens that an answer may need.
    ///
    /// # Errors
    /// When a summary with the prompt's frame does not fit the model's context, with file and line.
    pub fn encode(&self, data: &Dataset, room: usize) -> Result<Encoded> {
        let mut encoded = Encoded::default();
        for example in &data.examples {
            let (sequence, document) = self.example(example, room).map_err(|e| e.at(data.place(example)))?;
            encoded.truncated += usize::from(document.len() < example.document.len());
            encoded.sequences.push(sequence);
            encoded.documents.push(document);
        }
        Ok(encoded)
    }

    /// One example, its document cut to the budget and to what the context leaves beside the prompt's
    /// frame and the summary. The summary is never cut.
    fn example(&self, example: &Example, room: usize) -> Result<(Sequence, String)> {
        let summary = self.summary_tokens(&example.summary)?;
        let behind = summary.len().max(room);
        let mut document = example.document.as_str();
        let pieces = self.tokenizer.encode_with_ends(document)?;
        if pieces.len() > self.settings.max_document_tokens {
            document = prefix(document, &pieces, self.settings.max_document_tokens);
        }
        let mut prompt = self.prompt_tokens(document)?;
        let mut keep = pieces.len().min(self.settings.max_document_tokens);
        while prompt.len() + behind > self.context {
            // Neighbouring tokens may join differently in the prompt: cut, look, cut again.
            let over = prompt.len() + behind - self.context;
            if keep <= over {
                return Err(Error::user(format!(
                    "the summary ({} tokens) and the prompt's frame don't fit the model's context of {} tokens",
                    summary.len(),
                    self.context
                )));
            }
            keep -= over;
            document = prefix(&example.document, &pieces, keep);
            prompt = self.prompt_tokens(document)?;
        }
        let mut tokens = prompt;
        let prompt = tokens.len();
        tokens.extend(summary);
        Ok((Sequence { tokens, prompt }, document.to_owned()))
    }
}

/// The first `keep` tokens of `text`, on a character boundary.
fn prefix<'t>(text: &'t str, pieces: &[(u32, usize)], keep: usize) -> &'t str {
    let mut end = keep.checked_sub(1).and_then(|i| pieces.get(i)).map_or(0, |p| p.1).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::Path;

    fn tokenizer() -> Tokenizer {
        Tokenizer::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/template/tokenizer")).unwrap()
    }

    fn settings(extra: &str) -> Data {
        toml::from_str(&format!("train = 'a'\ndev = 'b'\nprompt = 'Article: {{{{ document }}}} Summary:'\n{extra}"))
            .unwrap()
    }

    fn data(document: &str, summary: &str) -> Dataset {
        let example = Example { id: "x".into(), document: document.into(), summary: summary.into(), line: 7 };
        Dataset { path: "train.jsonl".into(), examples: vec![example] }
    }

    #[test]
    fn the_loss_is_on_the_summary_and_its_end() {
        let (tokenizer, settings) = (tokenizer(), settings(""));
        let template = Template::new(&tokenizer, &settings, 512).unwrap();
        let encoded = template.encode(&data("A 日本 game 👩\u{200d}💻.", "a game"), 10).unwrap();
        let Sequence { tokens, prompt } = &encoded.sequences[0];
        assert_eq!(tokenizer.decode(&tokens[..*prompt]).unwrap(), "Article: A 日本 game 👩\u{200d}💻. Summary:");
        assert_eq!(tokenizer.decode(&tokens[*prompt..]).unwrap(), " a game");
        assert_eq!((tokens[0], tokens.last()), (1, Some(&tokenizer.eos())));
        assert_eq!(encoded.truncated, 0);
        assert_eq!(encoded.prompts()[0], tokens[..*prompt]);
    }

    #[test]
    fn only_the_document_is_cut() {
        let (tokenizer, short) = (tokenizer(), settings("max_document_tokens = 5"));
        let long = "日本語の長い文書。".repeat(40);
        let template = Template::new(&tokenizer, &short, 512).unwrap();
        let encoded = template.encode(&data(&long, "短い要約"), 10).unwrap();
        assert_eq!(encoded.truncated, 1);
        assert!(long.starts_with(&encoded.documents[0]) && encoded.documents[0].len() < 20);
        let tight = settings("");
        let template = Template::new(&tokenizer, &tight, 64).unwrap();
        let encoded = template.encode(&data(&long, "短い要約"), 10).unwrap();
        let sequence = &encoded.sequences[0];
        assert!(sequence.prompt + 10 <= 64 && sequence.tokens.len() <= 64);
        assert_eq!(tokenizer.decode(&sequence.tokens[sequence.prompt..]).unwrap(), " 短い要約");
    }

    #[test]
    fn a_summary_that_cannot_fit_is_refused_with_its_line() {
        let (tokenizer, settings) = (tokenizer(), settings(""));
        let template = Template::new(&tokenizer, &settings, 32).unwrap();
        let error = template.encode(&data("a", &"much too long a summary ".repeat(20)), 4).unwrap_err().to_string();
        assert!(error.starts_with("train.jsonl:7:") && error.contains("32 tokens"), "{error}");
    }

    #[test]
    fn the_chat_template_is_used_when_asked() {
        let (tokenizer, settings) = (tokenizer(), settings("chat_template = true"));
        let template = Template::new(&tokenizer, &settings, 512).unwrap();
        let encoded = template.encode(&data("a", "b"), 4).unwrap();
        assert_eq!(encoded.sequences[0].tokens.iter().filter(|&&t| t == 1).count(), 1, "one beginning token");
        assert_eq!(tokenizer.decode(&encoded.sequences[0].tokens).unwrap(), "Article: a Summary:\n>b");
    }
}
