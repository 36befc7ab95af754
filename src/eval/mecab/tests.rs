#![allow(clippy::unwrap_used)]

use super::*;
use crate::eval::bleu::{self, Tokens};
use crate::eval::rouge;
use crate::eval::segment::Segmentation;
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mecab").join(name)
}

fn lines(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(fixture(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The dictionary of tests/fixtures/mecab/small, with its table of characters.
fn small() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["sys.dic", "unk.dic", "matrix.bin"] {
        std::fs::copy(fixture("small").join(name), folder.path().join(name)).unwrap();
    }
    let of: Value = serde_json::from_slice(&std::fs::read(fixture("small/characters.json")).unwrap()).unwrap();
    let names = of["names"].as_array().unwrap();
    let mut bytes = (names.len() as u32).to_le_bytes().to_vec();
    for name in names {
        let mut field = name.as_str().unwrap().as_bytes().to_vec();
        field.resize(32, 0);
        bytes.extend(field);
    }
    for run in of["runs"].as_array().unwrap() {
        let value = (run[1].as_u64().unwrap() as u32).to_le_bytes();
        (0..run[0].as_u64().unwrap()).for_each(|_| bytes.extend(value));
    }
    std::fs::write(folder.path().join("char.bin"), bytes).unwrap();
    folder
}

fn words(of: &Value) -> Vec<&str> {
    of.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

#[test]
fn words_of_a_small_dictionary_are_mecabs() {
    let folder = small();
    let dictionary = Dictionary::read(folder.path()).unwrap();
    assert_eq!(dictionary.entries(), 30);
    let texts = lines("small.jsonl");
    assert!(texts.len() > 400);
    for text in &texts {
        assert_eq!(dictionary.words(text["t"].as_str().unwrap()), words(&text["w"]), "{text}");
    }
}

#[test]
fn a_dictionary_is_told_by_its_form_and_its_size() {
    for (fields, entries, name) in [
        (9, 392_126, "IPADIC of 392126 entries"),
        (9, 3_224_584, "a dictionary in IPADIC's form of 3224584 entries"),
        (17, 756_463, "UniDic of 756463 entries"),
        (29, 879_222, "UniDic of 879222 entries"),
        (7, 500_000, "a dictionary of 500000 entries"),
    ] {
        assert_eq!(named(fields, entries), name);
    }
    let folder = small();
    // Its words have one field; here the first has those of UniDic, behind all others.
    let file = folder.path().join("sys.dic");
    let mut bytes = std::fs::read(&file).unwrap();
    assert_eq!(Dictionary::read(folder.path()).unwrap().name(), "a dictionary of 30 entries");
    let number = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[4 * at..4 * at + 4].try_into().unwrap());
    let (units, features) = (number(&bytes, 6), number(&bytes, 8));
    let feature = format!("名詞{}\0", ",*".repeat(16));
    bytes.extend(feature.as_bytes());
    let place = 72 + units as usize + 8;
    bytes[place..place + 4].copy_from_slice(&features.to_le_bytes());
    bytes[32..36].copy_from_slice(&(features + feature.len() as u32).to_le_bytes());
    let magic = 0xef71_8f77 ^ bytes.len() as u32;
    bytes[..4].copy_from_slice(&magic.to_le_bytes());
    std::fs::write(&file, &bytes).unwrap();
    let dictionary = Dictionary::read(folder.path()).unwrap();
    assert_eq!((dictionary.name().as_str(), dictionary.is_sacrebleus()), ("UniDic of 30 entries", false));
}

#[test]
fn a_long_document_takes_no_quadratic_time() {
    let folder = small();
    let dictionary = Dictionary::read(folder.path()).unwrap();
    for piece in ["漢字の要約です。", "アアアアアアアア", "        "] {
        let clock = std::time::Instant::now();
        let text = piece.repeat(12_500);
        let words: usize = dictionary.words(&text).iter().map(|word| word.len()).sum();
        assert!(words == text.trim().len() && clock.elapsed().as_secs() < 30, "{words}, {:?}", clock.elapsed());
    }
}

#[test]
fn what_is_no_dictionary_is_refused_in_a_sentence() {
    let why = |folder: &Path| Dictionary::read(folder).unwrap_err().to_string();
    let folder = tempfile::tempdir().unwrap();
    assert!(why(folder.path()).contains("sys.dic"), "{}", why(folder.path()));
    for (name, bytes, sentence) in [
        ("sys.dic", &b"x"[..], "sys.dic: it is no dictionary that MeCab compiled"),
        ("unk.dic", &[0; 72], "unk.dic: it is no dictionary that MeCab compiled"),
        ("char.bin", &[9, 0, 0, 0], "char.bin: it is no table of characters of MeCab"),
        ("matrix.bin", &[2, 0, 2, 0, 1], "matrix.bin: 2 x 2 costs are announced, and 1 bytes are there"),
    ] {
        let folder = small();
        std::fs::write(folder.path().join(name), bytes).unwrap();
        assert!(why(folder.path()).contains(sentence), "{}", why(folder.path()));
    }
    let folder = small();
    let file = folder.path().join("sys.dic");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[40..48].copy_from_slice(b"EUC-JP\0\0");
    std::fs::write(&file, &bytes).unwrap();
    assert!(
        why(folder.path()).contains("its texts are in \"euc-jp\"; one in UTF-8 is needed"),
        "{}",
        why(folder.path())
    );
}

#[test]
fn a_damaged_dictionary_makes_other_words_but_no_panic() {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let folder = small();
    let texts = lines("small.jsonl");
    for name in ["sys.dic", "unk.dic", "matrix.bin", "char.bin"] {
        let whole = std::fs::read(folder.path().join(name)).unwrap();
        for _ in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..8 {
                let at = rng.random_range(4..bytes.len());
                bytes[at] = rng.random();
            }
            std::fs::write(folder.path().join(name), bytes).unwrap();
            if let Ok(dictionary) = Dictionary::read(folder.path()) {
                texts.iter().step_by(20).for_each(|t| drop(dictionary.words(t["t"].as_str().unwrap())));
            }
        }
        std::fs::write(folder.path().join(name), whole).unwrap();
    }
}

/// `LOPPER_MECAB_DICT=$(python -c 'import ipadic; print(ipadic.DICDIR)') cargo test --lib mecab -- --ignored`
#[test]
#[ignore = "needs IPADIC in LOPPER_MECAB_DICT"]
fn words_and_scores_on_real_pairs_are_those_of_python() {
    let dictionary = installed().unwrap().unwrap();
    assert!(dictionary.is_sacrebleus(), "{}", dictionary.name());
    assert_eq!(Tokens::JaMecab.told(), "ja-mecab");
    let mut pairs = lines("pairs.jsonl").into_iter();
    let corpora = pairs.next().unwrap();
    let pairs: Vec<Value> = pairs.collect();
    assert!(pairs.len() >= 500, "{} pairs", pairs.len());
    let text = |pair: &Value, key: &str| pair[key].as_str().unwrap().to_owned();
    let near = |got: f64, want: &Value| (got - want.as_f64().unwrap()).abs() < 1e-6;
    for pair in &pairs {
        let (r, c) = (text(pair, "r"), text(pair, "c"));
        assert_eq!(dictionary.words(&r), words(&pair["words"]), "{pair}");
        let got = rouge::score(&r, &c, Segmentation::Japanese);
        let got = [got.rouge1, got.rouge2, got.rouge_l, got.rouge_l_sum];
        let got = got.iter().flat_map(|s| [s.precision, s.recall, s.f]);
        for (i, (got, want)) in got.zip(pair["rouge"].as_array().unwrap()).enumerate() {
            assert!(near(got, want), "[{i}] is {got}, rouge_score has {want}: {pair}");
        }
        let got = bleu::sentence(&r, &c, Tokens::JaMecab);
        assert!(near(got, &pair["bleu"]), "{got}: {pair}");
    }
    for (range, want) in corpora.as_object().unwrap() {
        let (from, to) = range.split_once('-').unwrap();
        let part = &pairs[from.parse().unwrap()..to.parse().unwrap()];
        let texts: Vec<(String, String)> = part.iter().map(|pair| (text(pair, "r"), text(pair, "c"))).collect();
        let got = bleu::corpus(texts.iter().map(|(r, c)| (&r[..], &c[..])), Tokens::JaMecab);
        assert!(near(got, want), "{range}: {got}, sacrebleu has {want}");
    }
}
