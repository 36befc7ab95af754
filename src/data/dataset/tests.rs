use super::*;

const FIELDS: Fields<'static> = Fields { document: "document", summary: "summary", id: "id" };

fn read(bytes: &[u8], limit: usize) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.jsonl");
    std::fs::write(&path, bytes).unwrap();
    Dataset::read(&path, FIELDS, limit)
}

fn refusal(bytes: &[u8]) -> String {
    let error = read(bytes, 0).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn mark_crlf_blank_lines_and_any_language_are_read() {
    let data = read(
        "\u{feff}{\"document\": \"a\", \"summary\": \" s \", \"id\": 7}\r\n\r\n  \n{\"document\":\"日本語 👩\u{200d}💻\",\"summary\":\"要約\"}"
            .as_bytes(),
        0,
    )
    .unwrap();
    let [a, b] = &data.examples[..] else { panic!("two examples") };
    assert_eq!((a.id.as_str(), a.summary.as_str(), a.line), ("7", "s", 1));
    assert_eq!((b.id.as_str(), b.document.as_str(), b.summary.as_str()), ("4", "日本語 👩\u{200d}💻", "要約"));
    assert!(data.place(b).ends_with("train.jsonl:4"));
}

#[test]
fn the_limit_takes_the_first_and_reads_no_further() {
    let text = b"{\"document\":\"a\",\"summary\":\"b\"}\nnot json";
    assert_eq!(read(text, 1).unwrap().examples.len(), 1);
    assert!(read(text, 2).is_err());
}

#[test]
fn field_names_are_the_users() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.jsonl");
    std::fs::write(&path, r#"{"article": "a", "highlights": "b", "key": "k"}"#).unwrap();
    let fields = Fields { document: "article", summary: "highlights", id: "key" };
    assert_eq!(Dataset::read(&path, fields, 0).unwrap().examples[0].id, "k");
    let error = Dataset::read(&path, FIELDS, 0).unwrap_err().to_string();
    assert!(error.contains("d.jsonl:1:") && error.contains("\"document\" is missing"), "{error}");
    assert!(error.contains("\"article\", \"highlights\""), "{error}");
}

#[test]
fn bad_lines_are_refused_with_their_place() {
    let good = "{\"document\":\"a\",\"summary\":\"b\"}\n";
    for (line, what) in [
        ("{\"document\": \"a\" \"summary\"}", "column 18: expected `,` or `}`"),
        ("{\"document\": \"a\", \"summary\": \"b\"", "not valid JSON at column"),
        ("[1]", "a list where a JSON object"),
        ("{\"document\": \"a\"}", "\"summary\" is missing; the line has \"document\""),
        ("{}", "the line has no field"),
        ("{\"document\": 5, \"summary\": \"b\"}", "\"document\" is a number; text is needed"),
        ("{\"document\": \"a\", \"summary\": null}", "\"summary\" is null"),
        ("{\"document\": \" \\n\", \"summary\": \"b\"}", "\"document\" is empty"),
        ("{\"document\": \"a\", \"summary\": \"\"}", "\"summary\" is empty"),
        ("{\"document\": \"a\", \"summary\": \"b\", \"id\": [1]}", "\"id\" is a list"),
        ("{\"document\": \"\\ud800\", \"summary\": \"b\"}", "not valid JSON"),
    ] {
        let error = refusal(format!("{good}{line}\n{good}").as_bytes());
        assert!(error.contains("train.jsonl:2: ") && error.contains(what), "{error}");
    }
    let error = refusal(b"{\"document\":\"a\xff\",\"summary\":\"b\"}");
    assert!(error.contains("train.jsonl:1: byte 15 of the line is not valid UTF-8"), "{error}");
    assert!(refusal(b"\xff\xfe{\0").contains("UTF-16"));
}

#[test]
fn another_format_is_named_with_what_makes_jsonl_of_it() {
    let cases: [(&[u8], &str); 12] = [
        (b"\x1f\x8b\x08\0\0\xff", "the file is compressed with gzip, JSONL is needed; `gunzip -k FILE`"),
        (b"\x28\xb5\x2f\xfd\x04", "Zstandard"),
        (b"PK\x03\x04\x14\0", "a ZIP archive or a spreadsheet"),
        (b"PAR1\x15\x04\xff", "the file is Parquet, JSONL is needed; in Python, pandas.read_parquet(FILE).to_json("),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS, not the data"),
        (b"document,summary\na,b\n", "in Python, pandas.read_csv(FILE).to_json(NEW, orient=\"records\", lines=True)"),
        (b"\"id\";\"document\";\"summary\"\n", "pandas.read_csv(FILE, sep=\";\")"),
        (b"id\tsummary\ttext\n", "pandas.read_csv(FILE, sep=\"\\t\")"),
        (b"<!DOCTYPE html>\n", "it looks like a web page"),
        (b"[\n  {\"document\": \"a\", \"summary\": \"b\"}\n]\n", "`jq -c '.[]' FILE > NEW.jsonl`"),
        (b"{\n  \"document\": \"a\"\n}\n", "`jq -c . FILE > NEW.jsonl`"),
        (b"[{\"document\": \"a\", \"summary\": \"b\"}]", "a list where a JSON object (one a line) is needed; `jq -c"),
    ];
    for (bytes, what) in cases {
        let error = refusal(bytes);
        assert!(error.contains("train.jsonl:1: ") && error.contains(what), "{error}");
    }
    // Nothing is guessed of a line further down, nor of one that is only damaged.
    for text in ["{\"document\": \"a\", \"summary\": \"b\"}\n[\n", "{\"document\": \"a\" \"summary\"}\n"] {
        assert!(refusal(text.as_bytes()).ends_with("JSONL has one JSON object a line"), "{text}");
    }
}

#[test]
fn an_escape_sequence_in_a_field_name_is_not_repeated_raw() {
    let error = refusal("{\"\\u001b[2J\": 1}".as_bytes());
    assert!(!error.contains('\x1b'), "{error:?}");
}

#[test]
fn a_line_without_end_is_refused() {
    let mut text = b"{\"document\":\"".to_vec();
    text.resize(LINE_LIMIT + 100, b'a');
    assert!(refusal(&text).contains(":1: the line is longer than 16 MiB"));
}

#[test]
fn empty_missing_and_folder_are_sentences() {
    assert!(refusal(b"").contains("holds no example"));
    assert!(refusal(b"\n \r\n").contains("holds no example"));
    let folder = tempfile::tempdir().unwrap();
    assert!(Dataset::read(folder.path(), FIELDS, 0).unwrap_err().to_string().contains("is a folder"));
    let error = Dataset::read(&folder.path().join("no"), FIELDS, 0).unwrap_err();
    assert!(error.to_string().contains("no such file"), "{error}");
}

#[test]
fn shared_documents_are_warned_of() {
    let example =
        |document: &str, line| Example { id: String::new(), document: document.into(), summary: "s".into(), line };
    let train = [example("a", 1), example("b", 2)];
    let dev = [example("c", 1)];
    let test = [example("x", 1), example(" b\n", 2), example("a", 3)];
    let warnings = leaks(&[("train", &train), ("dev", &dev), ("test", &test)]);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("2 documents of test also in train (first: line 2 of test, line 2 of train)"),
        "{warnings:?}"
    );
}
