//! Chat templates of models, in a sandbox with a limit on their work and on what they make. The limit does not hold against
//! values that nest: `render` runs them where the kernel has one.

mod work;

use crate::contained::deep;
use crate::{Error, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value, context};

/// Instructions a template may execute, hundreds of times what a real one needs; one pays for 64 bytes as well, so that
/// no more than 13 MB can be made in all, ...
const FUEL: u64 = 200_000;
/// ... and so many bytes beside for each byte of the document.
const COPIES: u64 = 16;

/// No template is longer: those of models have 30 kB at most.
const LONGEST: usize = 64 << 10;
/// Nor has a tag of one so much beside its texts: the engine takes the square of an expression's depth in time.
const LONGEST_TAG: usize = 2 << 10;

/// Why a template is given up that reaches a limit.
pub(super) const TOO_MUCH: &str = "it does more work, or makes more text of a document, than any real one";

fn environment(document: &str) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_fuel(Some(FUEL + document.len() as u64 * COPIES / 64));
    // Both write a value out before they pay for it.
    env.remove_filter("pprint");
    env.remove_global("debug");
    env.set_formatter(work::write_value);
    env.add_filter("join", work::join_filter);
    env.add_filter("string", work::string_filter);
    env.add_filter("format", work::format_filter);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env
}

/// As transformers sets it up with `chat`: tags on lines of their own leave nothing, one final line break goes.
fn syntax(env: &mut Environment<'_>, chat: bool) -> Result<()> {
    let syntax = SyntaxConfig::builder()
        .keep_trailing_newline(!chat)
        .trim_blocks(chat)
        .lstrip_blocks(chat)
        .build()
        .map_err(|e| Error::fault(e.to_string()))?;
    env.set_syntax(syntax);
    Ok(())
}

/// `text` as the user's turn of the chat template, ready for the assistant's answer: what transformers'
/// `apply_chat_template(add_generation_prompt=True)` gives.
///
/// # Errors
/// When the template is malformed, refuses the chat, or works too long.
pub fn render(template: &str, text: &str, bos: &str, eos: &str) -> Result<String> {
    let mut env = environment(text);
    syntax(&mut env, true)?;
    env.set_unknown_method_callback(work::method);
    env.add_function("raise_exception", work::raise);
    // A fixed day: a template that writes the date must not make runs differ from day to day.
    env.add_function("strftime_now", |format: String| {
        format.replace("%d", "26").replace("%b", "Jul").replace("%B", "July").replace("%m", "07").replace("%Y", "2024")
    });
    env.add_filter("tojson", work::json);
    let template = without_generation_marks(template);
    let said = |e: minijinja::Error| {
        Error::user(format!("the model's chat template cannot be used: {}", crate::text::printable(&e.to_string())))
    };
    let values = context! {
        messages => [context! { role => "user", content => text }],
        add_generation_prompt => true,
        bos_token => bos,
        eos_token => eos,
    };
    rendered(&env, &template, &values).map_err(said)
}

/// What `template` writes. Its parser and its interpreter go as deep as its expressions do.
fn rendered(env: &Environment<'_>, template: &str, values: &Value) -> std::result::Result<String, minijinja::Error> {
    let refused = |why: &'static str| Err(minijinja::Error::new(ErrorKind::InvalidOperation, why));
    if template.len() > LONGEST {
        return refused("it is longer than any real one (64 kB)");
    }
    if longest_tag(template) > LONGEST_TAG {
        return refused("a tag of it is longer than any real one (2 kB without its texts)");
    }
    let work = || {
        env.render_str(template, values).map_err(|e| match e.kind() {
            ErrorKind::OutOfFuel => minijinja::Error::new(ErrorKind::InvalidOperation, TOO_MUCH),
            _ => e,
        })
    };
    match deep(work) {
        Ok(done) => done.unwrap_or_else(|| refused("the template engine gave up on it")),
        Err(e) => Err(minijinja::Error::new(ErrorKind::InvalidOperation, e.to_string())),
    }
}

/// Bytes of the longest tag of a template, without the texts in quotes.
fn longest_tag(template: &str) -> usize {
    let bytes = template.as_bytes();
    let (mut at, mut longest) = (0, 0);
    while at + 1 < bytes.len() {
        let end: &[u8] = match &bytes[at..at + 2] {
            b"{{" => b"}}",
            b"{%" => b"%}",
            _ => {
                at += 1;
                continue;
            }
        };
        at += 2;
        let (mut length, mut quote) = (0, None);
        while at < bytes.len() {
            match (quote, bytes[at]) {
                (None, _) if bytes[at..].starts_with(end) => break,
                (None, b @ (b'"' | b'\'')) => quote = Some(b),
                (None, _) => length += 1,
                (Some(_), b'\\') => at += 1,
                (Some(q), b) if q == b => quote = None,
                (Some(_), _) => {}
            }
            at += 1;
        }
        longest = longest.max(length);
    }
    longest
}

/// `{% generation %}` marks the answer for transformers' loss masks and changes nothing in the text.
fn without_generation_marks(template: &str) -> String {
    let parts = template.split("{%").enumerate().map(|(i, part)| {
        let tag = part.trim_start_matches('-').trim_start();
        for (mark, same) in [("generation", "if true"), ("endgeneration", "endif")] {
            let rest =
                tag.strip_prefix(mark).filter(|rest| rest.trim_start().trim_start_matches('-').starts_with("%}"));
            if let Some(rest) = rest.filter(|_| i > 0) {
                let head = &part[..part.len() - tag.len()];
                return format!("{head}{same}{rest}");
            }
        }
        part.to_owned()
    });
    parts.collect::<Vec<_>>().join("{%")
}

/// The recipe's prompt around a document.
///
/// # Errors
/// When the prompt is no template, or uses anything but `document`.
pub fn prompt(template: &str, document: &str) -> Result<String> {
    let mut env = environment(document);
    syntax(&mut env, false)?;
    env.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    rendered(&env, template, &context! { document }).map_err(|e| {
        Error::user(format!("data.prompt: {e}; it is a Jinja template in which only {{{{ document }}}} is known"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn chats_equal_transformers() {
        let fixture: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/template/chat.json")).unwrap();
        let chats = fixture["chats"].as_array().unwrap();
        for chat in chats {
            let text = |key: &str| chat[key].as_str().unwrap();
            let bos = chat["bos"].as_str().unwrap_or("<|begin|>");
            let eos = chat["eos"].as_str().unwrap_or("<|end|>");
            assert_eq!(
                render(text("template"), text("prompt"), bos, eos).unwrap(),
                text("rendered"),
                "{}",
                text("name")
            );
        }
        assert!(chats.len() >= 6);
    }

    #[test]
    fn a_template_that_never_ends_is_stopped() {
        let endless = "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}";
        assert!(render(endless, "", "", "").unwrap_err().to_string().contains("cannot be used"));
        assert!(render("{{ raise_exception('no') }}", "", "", "").unwrap_err().to_string().contains("no"));
    }

    #[test]
    fn the_deepest_templates_end_in_a_sentence_or_a_text() {
        let pieces = [
            "-",
            "not ",
            "a.",
            "a|b",
            "(",
            "[",
            "{\"a\":",
            "~a",
            "+1",
            "+a",
            "a[",
            "1 if 1 else ",
            "a is b ",
            "\"b\"~",
        ];
        for piece in pieces {
            let deep = format!("{{{{ a{}a }}}}", piece.repeat((LONGEST_TAG - 16) / piece.len()));
            // Whatever comes of it.
            render(&deep.repeat(LONGEST / deep.len()), "x", "", "").ok();
            let deeper = format!("{{{{ {}a }}}}", piece.repeat((LONGEST - 16) / piece.len()));
            assert!(render(&deeper, "x", "", "").is_err(), "{piece}");
        }
        // Texts may be long, whatever they hold.
        let text = "a '}} \\\" %} b ".repeat(1000);
        assert_eq!(longest_tag(&format!("{{{{ \"{text}\" }}}}{{% if a %}}")), 6);
        for piece in ["{%if 1%}", "{%for a in b%}", "{%else%}", "{%set a%}", "{%filter upper%}", "{%if 1%}{%elif 1%}"] {
            render(&piece.repeat((LONGEST - 16) / piece.len()), "x", "", "").ok();
        }
        let elifs = format!("{{%if 0%}}{}{{%endif%}}", "{%elif 0%}a".repeat(5000));
        assert_eq!(render(&elifs, "x", "", "").unwrap(), "");
        assert!(render(&"x".repeat(LONGEST + 1), "x", "", "").unwrap_err().to_string().contains("64 kB"));
        let long = "{%for a in range(900)%}{%for b in range(100)%}{{ bos_token * 1000 }}{%endfor%}{%endfor%}";
        assert!(render(long, "x", "a", "").unwrap_err().to_string().contains("than any real one"));
    }

    #[test]
    fn prompts_know_the_document_only() {
        assert_eq!(prompt("Article: {{ document }}\n", "a <b>").unwrap(), "Article: a <b>\n");
        assert!(prompt("{{ dokument }}", "x").unwrap_err().to_string().contains("document"));
        assert!(prompt("{{ document", "x").is_err());
    }
}
