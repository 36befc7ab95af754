//! Examples to token sequences: prompt, summary, end.

use super::dataset::{Dataset, Example};
use super::render::{Chat, Renderer};
use super::tokenizer::Tokenizer;
use crate::recipe::Data;
use crate::{Error, Result};
use std::sync::Arc;
use unicode_segmentation::UnicodeSegmentation;

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
    /// Examples before the prompt, each with a line between it and the next.
    shots: String,
    renderer: Arc<Renderer>,
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
        let chat = if settings.chat_template {
            let template = tokenizer.chat_template().ok_or_else(|| {
                Error::user("data.chat_template = true, but the base's tokenizer has no chat template; set it to false")
            })?;
            let (bos, eos) = (tokenizer.bos_text().to_owned(), tokenizer.eos_text().to_owned());
            Some(Chat { template: template.to_owned(), bos, eos })
        } else {
            None
        };
        let renderer = Arc::new(Renderer::new(&settings.prompt, chat));
        let this = Self { tokenizer, settings, context, shots: String::new(), renderer };
        if this.prompt_tokens("probe")?.is_empty() {
            return Err(Error::user("data.prompt gives no tokens; put at least {{ document }} into it"));
        }
        Ok(this)
    }

    /// The prompt around `document` as text, in the chat template if it is used.
    ///
    /// # Errors
    /// When a template is malformed.
    pub fn rendered(&self, document: &str) -> Result<String> {
        self.renderer.whole(&self.shots, document)
    }

    /// It, with the first `count` of these examples before every prompt, as text with their summaries; and how many
    /// that are: fewer where they would leave less than half of the context.
    ///
    /// # Errors
    /// When a template is malformed.
    pub fn with_shots(&self, examples: &[Example], count: usize, room: usize) -> Result<(Self, usize)> {
        let (mut shots, mut used) = (String::new(), 0);
        for example in examples.iter().take(count) {
            let (_, document) = self.example(example, room)?;
            let shot = format!("{} {}\n\n", self.renderer.prompt("", &document)?, example.summary);
            let longer = shots.clone() + &shot;
            if 2 * (self.tokenizer.encode(&longer, false)?.len() + room) > self.context {
                break;
            }
            (shots, used) = (longer, used + 1);
        }
        Ok((Self { shots, ..self.clone() }, used))
    }

    fn prompt_tokens(&self, document: &str) -> Result<Vec<u32>> {
        // The chat template writes the beginning token itself.
        self.tokenizer.encode(&self.rendered(document)?, !self.settings.chat_template)
    }

    /// Tokens of a document alone.
    ///
    /// # Errors
    /// When the tokenizer refuses it.
    pub fn document_tokens(&self, document: &str) -> Result<usize> {
        Ok(self.tokenizer.encode(document, false)?.len())
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
        let (document, prompt) = self.longest(&example.document, behind, |frame| {
            let needed = if room > summary.len() {
                format!("the room for an answer (samples.max_new_tokens = {room})")
            } else {
                format!("the summary ({} tokens)", summary.len())
            };
            let remedy = if room > summary.len() { "lower samples.max_new_tokens" } else { "shorten the summary" };
            format!(
                "the prompt's frame ({frame} tokens) and {needed} leave no room for the document in the model's context of {} tokens; {remedy} or data.prompt",
                self.context
            )
        })?;
        if prompt.is_empty() {
            let why = "its prompt has no tokens: the tokenizer drops all of its document, and data.prompt has nothing beside it";
            return Err(Error::user(why));
        }
        let mut tokens = prompt;
        let prompt = tokens.len();
        tokens.extend(summary);
        Ok((Sequence { tokens, prompt }, document))
    }

    /// The longest beginning of `document` that keeps within its budget of tokens and, in its prompt and
    /// with `behind` tokens after it, within the context; and that prompt's tokens. It ends where a token
    /// and a character (with its accents and joiners) end. `no_room` is told the frame's tokens and says
    /// why the context holds no document at all.
    fn longest(
        &self,
        document: &str,
        behind: usize,
        no_room: impl FnOnce(usize) -> String,
    ) -> Result<(String, Vec<u32>)> {
        let budget = self.settings.max_document_tokens;
        let pieces = self.tokenizer.encode_with_ends(document)?;
        if pieces.len() <= budget {
            let prompt = self.prompt_tokens(document)?;
            if prompt.len() + behind <= self.context {
                return Ok((document.to_owned(), prompt));
            }
        }
        let cuts = cuts(document, &pieces);
        // Tokens at a cut may join differently than in the whole text: what counts is what comes out.
        let measure = |text: &str| -> Result<(usize, Vec<u32>)> {
            let over = self.tokenizer.encode(text, false)?.len().saturating_sub(budget);
            let prompt = self.prompt_tokens(text)?;
            Ok((over.max((prompt.len() + behind).saturating_sub(self.context)), prompt))
        };
        let within = |tokens: usize| cuts.partition_point(|cut| cut.tokens <= tokens);
        let mut kept = within(budget);
        let mut best = None;
        while kept > 0 {
            let (over, prompt) = measure(&document[..cuts[kept - 1].end])?;
            if over == 0 {
                best = Some(prompt);
                break;
            }
            // The shortest beginning is tried before there is none.
            kept = within(cuts[kept - 1].tokens.saturating_sub(over)).max(usize::from(kept > 1));
        }
        // The way down may have gone past the best cut.
        while best.is_some() && kept < cuts.len() {
            let (over, prompt) = measure(&document[..cuts[kept].end])?;
            if over > 0 {
                break;
            }
            best = Some(prompt);
            kept += 1;
        }
        if let Some(prompt) = best {
            return Ok((document[..cuts[kept - 1].end].to_owned(), prompt));
        }
        let frame = self.prompt_tokens("")?;
        if frame.len() + behind < self.context {
            let text = format!("data.max_document_tokens = {budget} leaves nothing of the document; raise it");
            return Err(Error::user(text));
        }
        Err(Error::user(no_room(frame.len())))
    }
}

/// A place where a text may be cut.
struct Cut {
    /// The byte after the last one that is kept.
    end: usize,
    /// Tokens of the whole text up to there.
    tokens: usize,
}

/// The cuts of `text`: the ends of its tokens, moved back to where a character ends that a reader sees as
/// one. Each is longer than the one before, the first is not empty.
fn cuts(text: &str, pieces: &[(u32, usize)]) -> Vec<Cut> {
    let mut boundaries = text.grapheme_indices(true).map(|(at, character)| at + character.len()).peekable();
    let mut cuts: Vec<Cut> = Vec::new();
    let mut last = 0;
    for (token, (_, end)) in pieces.iter().enumerate() {
        while let Some(boundary) = boundaries.next_if(|boundary| boundary <= end) {
            last = boundary;
        }
        if last > cuts.last().map_or(0, |cut| cut.end) {
            cuts.push(Cut { end: last, tokens: token + 1 });
        }
    }
    cuts
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

    /// Every cut of every text, tried one after another: the longest that keeps within both limits.
    #[test]
    fn a_cut_document_is_the_longest_that_fits() {
        let tokenizer = tokenizer();
        let texts = [
            "An engine for  games,   written in 2024/12/31; it's \u{e9}tude-like.\n\n  \tYes.".repeat(2),
            "日本語の長い文書です。重要度のヒートマップ、ｶﾞｷﾞｸﾞ。".to_owned(),
            "family 👨\u{200d}👩\u{200d}👧\u{200d}👦, flags 🇯🇵🇫🇷, e\u{301}e\u{301}\u{302} and 👩\u{200d}💻👍🏽!"
                .to_owned(),
        ];
        let mut cut = 0;
        for text in &texts {
            let characters: Vec<usize> = text.grapheme_indices(true).map(|(at, c)| at + c.len()).collect();
            let places = cuts(text, &tokenizer.encode_with_ends(text).unwrap());
            for (budget, context) in (1..40).map(|n| (n, 512)).chain((24..70).map(|n| (1000, n))) {
                let settings = settings(&format!("max_document_tokens = {budget}"));
                let template = Template::new(&tokenizer, &settings, context).unwrap();
                let fits = |end: usize| {
                    let text = &text[..end];
                    tokenizer.encode(text, false).unwrap().len() <= budget
                        && template.prompt_tokens(text).unwrap().len() + 8 <= context
                };
                let want = if fits(text.len()) {
                    Some(text.len())
                } else {
                    places.iter().rev().map(|p| p.end).find(|end| fits(*end))
                };
                let got = template.encode(&data(text, "s"), 8).ok().map(|e| e.documents[0].clone());
                assert_eq!(got.as_ref().map(String::len), want, "{text:?}, budget {budget}, context {context}");
                if let Some(got) = got.filter(|got| got.len() < text.len()) {
                    assert!(text.starts_with(&got) && characters.contains(&got.len()), "{got:?}");
                    cut += 1;
                }
            }
        }
        assert!(cut > 150, "{cut}");
    }

    #[test]
    fn what_cannot_fit_is_refused_with_its_line_and_the_reason() {
        let (tokenizer, plain) = (tokenizer(), settings(""));
        let refused = |context, document: &str, summary: &str, room, settings: &Data| {
            let template = Template::new(&tokenizer, settings, context).unwrap();
            let error = template.encode(&data(document, summary), room).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        let error = refused(32, "a", &"much too long a summary ".repeat(20), 4, &plain);
        assert!(error.starts_with("train.jsonl:7: the prompt's frame ("), "{error}");
        assert!(error.contains("and the summary (") && error.contains("of 32 tokens; shorten the summary"), "{error}");
        let error = refused(32, "a", "short", 30, &plain);
        assert!(error.contains("the room for an answer (samples.max_new_tokens = 30)"), "{error}");
        assert!(error.ends_with("lower samples.max_new_tokens or data.prompt"), "{error}");
        let error = refused(512, "👩\u{200d}💻", "short", 30, &settings("max_document_tokens = 1"));
        assert!(error.contains("max_document_tokens = 1 leaves nothing of the document"), "{error}");
    }

    /// A BPE without a token for the unknown drops what it doesn't know.
    #[test]
    fn a_document_of_which_nothing_is_left_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let vocabulary: serde_json::Map<_, _> =
            "probe short".chars().zip(0..).map(|(c, id)| (c.to_string(), serde_json::json!(id))).collect();
        let text = serde_json::json!({
            "version": "1.0",
            "added_tokens": [{"id": 11, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true}],
            "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
        });
        std::fs::write(folder.path().join("tokenizer.json"), text.to_string()).unwrap();
        std::fs::write(folder.path().join("tokenizer_config.json"), r#"{"eos_token": "</s>"}"#).unwrap();
        let tokenizer = Tokenizer::read(folder.path()).unwrap();
        let bare = toml::from_str("train = 'a'\ndev = 'b'\nprompt = '{{ document }}'").unwrap();
        let template = Template::new(&tokenizer, &bare, 64).unwrap();
        assert_eq!(template.encode(&data("robot", "short"), 4).unwrap().sequences[0].prompt, 5);
        let error = template.encode(&data("日本語", "short"), 4).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().starts_with("train.jsonl:7: its prompt has no tokens: "), "{error}");
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
