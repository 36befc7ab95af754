#![allow(clippy::unwrap_used)]

use super::*;
use crate::module::{Factor, ModuleId};
use crate::run::event::{AdapterInfo, MatrixInfo, ReportRow, Rouge};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn facts(base: &str) -> Facts {
    let recipe = Recipe::parse(&format!(
        "base = \"{base}\"\n[data]\ntrain = \"/home/me/secret/train.jsonl\"\ndev = \"d.jsonl\"\n\
         [[adapters]]\nname = \"games\"\nrole = \"target\"\n\
         [[adapters]]\nname = \"net_1\"\nrole = \"related\"\npath = \"/c/models--org--net/snapshots/{COMMIT}\"\nweight = 0.5\n"
    ))
    .unwrap();
    let adapter = |name: &str, role: &str| AdapterInfo {
        name: name.into(),
        role: role.into(),
        rank: 8,
        alpha: 16.0,
        weight: 1.0,
    };
    let matrix = |projection, rows| MatrixInfo {
        module: ModuleId::new(0, projection),
        adapter: 0,
        factor: Factor::A,
        rows,
        cols: 2,
    };
    let started = Started {
        lopper: "0.1.0".into(),
        device: "cpu, 2 threads".into(),
        adapters: vec![adapter("games", "target"), adapter("net_1", "related")],
        matrices: vec![matrix(Projection::QProj, 1), matrix(Projection::QProj, 3), matrix(Projection::UpProj, 1)],
        train_examples: 50,
        ..Started::default()
    };
    let modules = Modules {
        ratio: vec![Some(0.5), Some(0.25), None],
        sparsity: vec![Some(0.5), Some(0.25), None],
        retained: vec![Some(1.0), Some(0.5), None],
        ..Modules::default()
    };
    let rouge = Rouge { rouge1: 22.5, rouge2: 7.25, rouge_l: 21.0, parts: None };
    let row = ReportRow {
        method: "merge + fine-tune + prune".into(),
        documents: 66,
        loss: 3.5,
        rouge,
        sparsity: 0.5,
        seconds: 40.0,
        bert: None,
    };
    let report = Report { split: "test".into(), rows: vec![row], ..Report::default() };
    Facts { name: "games-1".into(), recipe, started, report: Some(report), modules: Some(modules) }
}

#[test]
fn a_card_names_base_adapters_data_ratios_and_scores_but_no_path() {
    let card = card(
        &facts(&format!("/home/me/hub/models--HuggingFaceTB--SmolLM2-135M/snapshots/{COMMIT}")),
        "me/games",
        Some("heatmap.svg"),
    );
    assert!(
        card.starts_with(
            "---\nlibrary_name: peft\nbase_model: \"HuggingFaceTB/SmolLM2-135M\"\nbase_model_relation: adapter\n"
        ),
        "{card}"
    );
    for part in [
        "- lora\n",
        "- pruned\n",
        "value: 22.50\n",
        "![Heatmap of every module](heatmap.svg)",
        &format!("from_pretrained(\"HuggingFaceTB/SmolLM2-135M\", revision=\"{COMMIT}\")"),
        "from_pretrained(base, \"me/games\")",
        "| merge + fine-tune + prune | 66 | 3.500 | 22.50 |",
        "| games | target | new | 8 | 16 | 1 |",
        "| net\\_1 | related | org/net at 0123456789ab | 8 | 16 | 1 |",
        "| train | train.jsonl | 50 |",
        // 2 entries at 0.5 and 6 at 0.25.
        "| q_proj | 8 | 0.31 | 31.2 % | 62.5 % |",
        "importance direct, norms over batch, schedule constant",
    ] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    assert!(!card.contains("/home") && !card.contains("secret") && !card.contains("up_proj"), "{card}");
}

#[test]
fn a_local_base_is_named_but_not_linked() {
    let card = card(&facts("/home/me/my[base]"), "me/games", None);
    assert!(
        !card.contains("base_model:") && !card.contains("heatmap") && card.contains("A LoRA adapter of my\\[base\\] "),
        "{card}"
    );
}

#[test]
fn a_source_is_a_snapshot_of_a_commit() {
    let of = |path: &str| Source::of(Path::new(path)).map(|s| s.id);
    assert_eq!(of(&format!("/x/models--a--b/snapshots/{COMMIT}")).as_deref(), Some("a/b"));
    assert_eq!(of(&format!("/x/models--gpt2/snapshots/{COMMIT}")).as_deref(), Some("gpt2"));
    for other in [
        "/x/models--a--b--c/snapshots/0123456789abcdef0123456789abcdef01234567",
        "/x/models--a--b/snapshots/main",
        "/x/a/snapshots/0123456789abcdef0123456789abcdef01234567",
        "/",
        "x",
    ] {
        assert_eq!(of(other), None, "{other}");
    }
}
