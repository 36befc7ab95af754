//! Files that are no JSONL, told by how they begin: what they are, and what makes JSONL of them.

use super::Fields;
use serde_json::Value;

/// Python that makes JSONL of a table.
macro_rules! pandas {
    ($read:literal) => {
        concat!("in Python, pandas.", $read, ".to_json(NEW, orient=\"records\", lines=True) makes JSONL of it")
    };
}

/// First bytes, what such a file is, and what to do.
const KINDS: [(&[u8], &str, &str); 8] = [
    (b"\x1f\x8b", "compressed with gzip", "`gunzip -k FILE` unpacks it"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", "`zstd -d FILE` unpacks it"),
    (b"\xfd7zXZ\0", "compressed with xz", "`xz -dk FILE` unpacks it"),
    (b"BZh91AY&SY", "compressed with bzip2", "`bzip2 -dk FILE` unpacks it"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet", "unpack it, or save the sheet as CSV and that as JSONL"),
    (b"PAR1", "Parquet", pandas!("read_parquet(FILE)")),
    (b"ARROW1", "Arrow", pandas!("read_feather(FILE)")),
    (b"version https://git-lfs", "a pointer of Git LFS, not the data", "`git lfs pull` fetches what it stands for"),
];

/// What to do with a list of all examples, ...
const ALL_IN_ONE: &str = "`jq -c '.[]' FILE > NEW.jsonl` makes JSONL of a list of objects";
/// ... and with objects that go over several lines.
const SPREAD: &str = "`jq -c . FILE > NEW.jsonl` puts each object on one line";

/// What a file is whose first line this is, where its bytes alone say that it is no JSONL.
pub(super) fn by_bytes(line: &[u8]) -> Option<String> {
    let (_, what, remedy) = KINDS.iter().find(|(magic, ..)| line.starts_with(magic))?;
    Some(format!("the file is {what}, JSONL is needed; {remedy}"))
}

/// What to do with a file whose first line is no JSON of its own; nothing where that cannot be guessed.
pub(super) fn by_text(line: &str, fields: Fields<'_>) -> Option<&'static str> {
    let line = line.trim();
    if line.starts_with('[') {
        return Some(ALL_IN_ONE);
    }
    if line.starts_with('{') {
        return (line == "{").then_some(SPREAD);
    }
    if line.starts_with('<') {
        return Some("it looks like a web page");
    }
    let heads = |parts: char| line.split(parts).any(|cell| is_name(cell, fields));
    if heads('\t') {
        return Some(pandas!("read_csv(FILE, sep=\"\\t\")"));
    }
    if heads(',') {
        return Some(pandas!("read_csv(FILE)"));
    }
    heads(';').then_some(pandas!("read_csv(FILE, sep=\";\")"))
}

/// Whether the head of a column names a field.
fn is_name(cell: &str, fields: Fields<'_>) -> bool {
    let cell = cell.trim().trim_matches('"');
    cell == fields.document || cell == fields.summary
}

/// What to do with a first line that is JSON but no object.
pub(super) fn by_value(value: &Value) -> Option<&'static str> {
    let all = value.as_array()?;
    all.first().is_some_and(Value::is_object).then_some(ALL_IN_ONE)
}
