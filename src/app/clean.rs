//! Text from outside, made harmless once, on its way into the app: nothing that is drawn later has to
//! think of it. A journal may come from anybody: a colleague's run, a model's output, a bad disk.

use crate::run::event::{Event, EventBody, Started};
use crate::run::what_if::WhatIf;
use crate::text::{printable, printable_lines};
use unicode_width::UnicodeWidthChar;

/// Characters of a name or a sentence that are kept.
const SENTENCE: usize = 500;
/// Characters of a document or a summary that are kept.
const TEXT: usize = 8_000;
/// Marks without a width that a character may carry.
const MARKS: usize = 6;
/// More layers than any model has.
const LAYERS: usize = 2_000;

/// One line: control characters made visible, of bounded length.
pub fn line(text: &str) -> String {
    let short = shortened(text, SENTENCE);
    printable(short.trim()).into_owned()
}

/// Text of several lines.
pub fn text(text: &str) -> String {
    let short = shortened(text, TEXT);
    printable_lines(short.trim())
}

/// At most `limit` characters, and no towers of combining marks.
fn shortened(text: &str, limit: usize) -> String {
    let (mut marks, mut kept) = (0, 0);
    let mut out = String::new();
    for c in text.chars() {
        marks = if c.width() == Some(0) { marks + 1 } else { 0 };
        if marks > MARKS {
            continue;
        }
        if kept == limit {
            out.push('…');
            break;
        }
        out.push(c);
        kept += 1;
    }
    out
}

/// What a run is about, with every text in it harmless and every size sane.
pub fn started(started: &mut Started) {
    let tidy = |s: &mut String| *s = line(s);
    started.layers = started.layers.min(LAYERS);
    for s in [&mut started.lopper, &mut started.host, &mut started.device, &mut started.base, &mut started.name] {
        tidy(s);
    }
    for adapter in &mut started.adapters {
        tidy(&mut adapter.name);
        tidy(&mut adapter.role);
    }
    for document in &mut started.documents {
        tidy(&mut document.id);
        document.document = text(&document.document);
        document.reference = text(&document.reference);
    }
}

/// Every text of a what-if harmless. The request is compared, never shown.
pub fn what_if(what_if: &mut WhatIf) {
    what_if.text = line(&what_if.text);
    for rule in &mut what_if.rules {
        (rule.modules, rule.adapter) = (line(&rule.modules), line(&rule.adapter));
    }
    for summary in &mut what_if.summaries {
        (summary.before, summary.after) = (text(&summary.before), text(&summary.after));
    }
}

/// The event with every text in it harmless and every size sane.
pub fn event(mut event: Event) -> Event {
    let tidy = |s: &mut String| *s = line(s);
    match &mut event.body {
        EventBody::Started(started) => self::started(started),
        EventBody::Stage(stage) => tidy(&mut stage.method),
        EventBody::Phase(phase) => tidy(&mut phase.label),
        EventBody::Sample(sample) => sample.text = text(&sample.text),
        EventBody::Checkpoint(checkpoint) => tidy(&mut checkpoint.path),
        EventBody::Control(outcome) => {
            // The id is compared, never shown.
            tidy(&mut outcome.command);
            tidy(&mut outcome.text);
        }
        EventBody::WhatIf(what_if) => self::what_if(what_if),
        EventBody::Report(report) => {
            tidy(&mut report.split);
            tidy(&mut report.tokens);
            report.rows.truncate(100);
            report.rows.iter_mut().for_each(|row| tidy(&mut row.method));
        }
        EventBody::Warning { text }
        | EventBody::Finished { text }
        | EventBody::Stopped { text }
        | EventBody::Failed { text } => {
            tidy(text);
        }
        EventBody::Step(_)
        | EventBody::Modules(_)
        | EventBody::Dev(_)
        | EventBody::Paused { .. }
        | EventBody::Heartbeat {}
        | EventBody::Unknown => {}
    }
    event
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Every string of every event, replaced by something hostile, comes out harmless: strings that a
    /// later version adds to an event are found too.
    #[test]
    fn no_text_of_any_event_keeps_a_control_character() {
        fn poison(value: &mut serde_json::Value, key: &str) {
            match value {
                serde_json::Value::String(s) if !["type", "phase", "state"].contains(&key) => {
                    *s = "a\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\u{e0041}b".into();
                }
                serde_json::Value::Array(all) => all.iter_mut().for_each(|v| poison(v, key)),
                serde_json::Value::Object(map) => map.iter_mut().for_each(|(k, v)| poison(v, &k.clone())),
                _ => {}
            }
        }
        let lines = [
            r#"{"type":"started","lopper":"","pid":1,"host":"","device":"","base":"","base_parameters":1,"layers":2,"adapter_parameters":1,"adapters":[{"name":"","role":"","rank":1,"alpha":1,"weight":1}],"matrices":[],"train_examples":1,"dev_examples":1,"test_examples":1,"truncated":0,"documents":[{"id":"","document":"","reference":""}],"name":""}"#,
            r#"{"type":"stage","index":0,"of":1,"method":"","steps":1,"steps_per_epoch":1,"prunes":true,"adapters":[]}"#,
            r#"{"type":"phase","phase":"eval","label":"","done":0,"total":1}"#,
            r#"{"type":"sample","step":1,"document":0,"text":"","rouge_l":0}"#,
            r#"{"type":"checkpoint","step":1,"path":"","best":false}"#,
            r#"{"type":"control","id":"","command":"","ok":true,"text":""}"#,
            r#"{"type":"warning","text":""}"#,
            r#"{"type":"what_if","request":"","state":"done","step":1,"rules":[{"modules":"","adapter":"","ratio":1}],"summaries":[{"document":0,"before":"","after":"","rouge_l":[0,0]}],"text":""}"#,
            r#"{"type":"report","split":"","rows":[{"method":"","documents":1,"loss":1,"rouge":{"rouge1":1,"rouge2":1,"rouge_l":1},"sparsity":0,"seconds":0}]}"#,
            r#"{"type":"finished","text":""}"#,
            r#"{"type":"stopped","text":""}"#,
            r#"{"type":"failed","text":""}"#,
        ];
        for text in lines {
            let mut value: serde_json::Value = serde_json::from_str(text).unwrap();
            poison(&mut value, "");
            for (key, number) in [("v", 1), ("seq", 0), ("t", 0)] {
                value[key] = number.into();
            }
            let event: Event = serde_json::from_value(value).unwrap();
            let mut clean = super::event(event.clone());
            if let EventBody::WhatIf(what_if) = &mut clean.body {
                what_if.request.clear();
            }
            if let EventBody::Control(outcome) = &mut clean.body {
                outcome.id.clear();
            }
            let debug = format!("{clean:?}");
            assert!(format!("{event:?}").contains("\\u{1b}"), "{text} is not poisoned");
            // Debug writes a raw escape as \u{1b}, a visible one as \\u{1b}.
            assert!(!debug.replace("\\\\u{", "").contains("\\u{"), "{debug}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        assert_eq!(line(&"x".repeat(10_000)).chars().count(), SENTENCE + 1);
        assert_eq!(text(&"x\n".repeat(10_000)).chars().count(), TEXT + 1);
        assert_eq!(line(&format!("e{}", "\u{301}".repeat(1000))).chars().count(), 1 + MARKS);
        assert_eq!(line("  重要度 👩\u{200d}💻 "), "重要度 👩\u{200d}💻");
    }
}
