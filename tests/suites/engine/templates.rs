//! Templates from outside that no limit of their engine holds: the process that renders them ends, with one sentence, and
//! nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use crate::tiny;
use lopper::data::render::{Chat, Renderer, serve_by};
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tiny::{Project, edit_json, fixture, promptly, until};

/// No document may take longer on a machine however busy: alone it is a second or two.
const LONGEST: Duration = Duration::from_secs(60);

/// Puts a list into itself, twice, thirty-two times over: two of them, each of four thousand million entries.
const NEST: &str = "{% set ns = namespace(a=['x'], b=['x']) %}{% for i in range(32) %}\
                    {% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}";

fn chat(template: String) -> Renderer {
    serve_by(env!("CARGO_BIN_EXE_lopper").into());
    Renderer::new("{{ document }}", Some(Chat { template, bos: "<s>".into(), eos: "</s>".into() }))
}

#[test]
fn whatever_looks_through_values_that_nest_is_stopped() {
    let text = std::fs::read_to_string(fixture("template/nested.txt")).unwrap();
    let waiting = Mutex::new(text.lines());
    let slowest = Mutex::new(Duration::ZERO);
    let one = |line: &str| {
        let renderer = chat(format!("{NEST}{line}"));
        let clock = Instant::now();
        let said = renderer.whole("", "a document").map(|text| text.len()).map_err(|e| (e.exit_code(), e.to_string()));
        let took = clock.elapsed();
        let (code, text) = said.expect_err(line);
        let known = ["than any real one", "is not supported", "not hashable", "cannot use value"];
        assert!(code == 2 && text.contains("chat template cannot be used"), "{line}: {text}");
        assert!(known.iter().any(|part| text.contains(part)), "{line}: {text}");
        assert!(took < LONGEST, "{line}: {took:?}");
        let mut slowest = slowest.lock().unwrap();
        *slowest = took.max(*slowest);
        // The next document has a process again.
        drop(renderer);
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(line) = { waiting.lock().unwrap().next() } {
                    one(line);
                }
            });
        }
    });
    println!("nested: {} templates, slowest {:?}", text.lines().count(), slowest.into_inner().unwrap());
}

#[test]
fn one_document_that_is_too_much_ends_no_other() {
    let picky = "{% if 'bad' in messages[0].content %}".to_owned() + NEST + "{{ ns.a == ns.b }}{% endif %}";
    let renderer = chat(picky + "{{ bos_token }}{{ messages[0].content }}");
    assert_eq!(renderer.whole("", "good").unwrap(), "<s>good");
    assert!(renderer.whole("", "bad").unwrap_err().to_string().contains("than any real one"));
    assert_eq!(renderer.whole("before\n", "good\u{2028}\n日本").unwrap(), "<s>before\ngood\u{2028}\n日本");
}

#[test]
fn real_templates_give_transformers_text_in_their_process() {
    let text = std::fs::read_to_string(fixture("template/chat.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    serve_by(env!("CARGO_BIN_EXE_lopper").into());
    for one in all["chats"].as_array().unwrap() {
        let text = |key: &str, other: &str| one[key].as_str().unwrap_or(other).to_owned();
        let (bos, eos) = (text("bos", "<|begin|>"), text("eos", "<|end|>"));
        let renderer = Renderer::new("{{ document }}", Some(Chat { template: text("template", ""), bos, eos }));
        for _ in 0..2 {
            assert_eq!(renderer.whole("", &text("prompt", "")).unwrap(), text("rendered", "?"), "{}", one["name"]);
        }
    }
}

/// `lopper render`, with what it is asked and where it answers.
fn process(chat: &str) -> (Child, impl FnMut(&str) -> String + use<>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lopper"));
    let mut child = command.arg("render").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let chat = serde_json::json!({ "template": chat, "bos": "", "eos": "" });
    writeln!(input, "{}", serde_json::json!({ "prompt": "{{ document | upper }}", "chat": chat })).unwrap();
    let ask = move |document: &str| {
        let asked = serde_json::json!({ "document": document, "before": "", "whole": true });
        writeln!(input, "{asked}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line
    };
    (child, ask)
}

#[test]
fn the_process_has_limits_and_keeps_them() {
    let grows = "{% if messages[0].content == 'BAD' %}".to_owned() + NEST + "{{ (ns.a ~ '') | length }}{% endif %}x";
    let (mut child, mut ask) = process(&grows);
    assert_eq!(ask("good"), "{\"Ok\":\"x\"}\n");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let of = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    for (name, most) in [("Max core file size", 0), ("Max file size", 0), ("Max open files", 3), ("Max cpu time", 3)] {
        assert!(of(name) <= most, "{name}: {limits}");
    }
    let space = of("Max address space");
    assert!((512 << 20..4 << 30).contains(&space), "{space}");
    // A text that grows without end, and the memory that it is given.
    let path = format!("/proc/{}/status", child.id());
    let (mut most, begun) = (0, Instant::now());
    let asks = std::thread::spawn(move || ask("bad"));
    while !asks.is_finished() {
        assert!(begun.elapsed() < LONGEST);
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        most = most.max(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(asks.join().unwrap(), "");
    let status = child.wait().unwrap();
    let ended = [Signal::XCPU, Signal::ABORT].map(Signal::as_raw);
    assert!(status.signal().is_some_and(|signal| ended.contains(&signal)), "{status}");
    assert!((1..800 << 10).contains(&most), "{most} kB");
}

#[test]
fn the_process_ends_with_whoever_started_it() {
    let (mut child, mut ask) = process("{{ messages[0].content }}");
    assert_eq!(ask("a\nb"), "{\"Ok\":\"A\\nB\"}\n");
    drop(ask);
    let status = until("its end", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

#[test]
fn a_check_of_a_base_with_such_a_template_says_one_sentence() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let recipe = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.write("recipe.toml", &recipe.replace("[data]\n", "[data]\nchat_template = true\n"));
    let set = |template: String| {
        edit_json(&project.path("base/tokenizer_config.json"), |config| config["chat_template"] = template.into());
    };
    set(NEST.to_owned() + "{{ ns.a == ns.b }}");
    for args in [&["check", "recipe.toml"][..], &["run", "recipe.toml", "--plain"]] {
        let said = promptly(&mut project.command(args), 3 * LONGEST, &format!("{args:?}"));
        assert_eq!((said.code, said.err.lines().count()), (Some(2), 1), "{said:?}");
        assert!(
            said.err.contains("chat template cannot be used") && said.err.contains("than any real one"),
            "{said:?}"
        );
    }
    // Its prompt is the recipe's own.
    set("{{ messages[0].content }}".into());
    let hostile = format!("[data]\nprompt = \"{NEST}{{{{ ns.a < ns.b }}}}{{{{ document }}}}\"\n");
    project.write("prompt.toml", &recipe.replace("[data]\n", &hostile));
    let said = promptly(&mut project.command(&["check", "prompt.toml"]), 3 * LONGEST, "a hostile prompt");
    assert_eq!((said.code, said.err.lines().count()), (Some(2), 1), "{said:?}");
    assert!(said.err.contains("data.prompt") && said.err.contains("than any real one"), "{said:?}");
    // And a real one trains.
    let said = project.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
#[ignore = "measures what the process costs: 10,000 documents, with and without it"]
fn ten_thousand_documents_take_as_long_as_before() {
    let text = std::fs::read_to_string(fixture("template/chat.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let template = all["chats"][0]["template"].as_str().unwrap();
    let documents: Vec<String> =
        (0..10_000).map(|i| format!("Package {i} is a small game engine. ").repeat(40)).collect();
    let tokenizer = lopper::data::Tokenizer::read(&fixture("template/tokenizer")).unwrap();
    let (mut tokens, mut seconds) = ([0; 2], [0.0; 2]);
    let renderer = chat(template.to_owned());
    for part in documents.chunks(500) {
        // In turns, as other work on the machine comes and goes.
        for way in [0, 1] {
            let clock = Instant::now();
            for document in part {
                let text = if way == 0 {
                    let text = lopper::data::chat::prompt("{{ document }}", document).unwrap();
                    lopper::data::chat::render(template, &text, "<s>", "</s>").unwrap()
                } else {
                    renderer.whole("", document).unwrap()
                };
                tokens[way] += tokenizer.encode(&text, false).unwrap().len();
            }
            seconds[way] += clock.elapsed().as_secs_f64();
        }
    }
    assert_eq!(tokens[0], tokens[1]);
    let [here, there] = seconds;
    println!("{} tokens: {here:.2} s here, {there:.2} s by the process, {:.3} of it", tokens[0], there / here);
    assert!(there < 2.0 * here + 2.0);
}
