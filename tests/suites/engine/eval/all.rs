//! All methods side by side: each has its row, and what has to be so between rows whatever the figures are.

use super::evaluated;
use crate::tiny;
use lopper::recipe::Method;
use lopper::run::RunDir;
use serde_json::{Value, json};
use tiny::{Project, utf8};

/// The figures of a row.
const FIGURES: [&str; 18] = [
    "loss",
    "perplexity",
    "rouge1",
    "rouge1_p",
    "rouge1_r",
    "rouge2",
    "rouge2_p",
    "rouge2_r",
    "rouge_l",
    "rouge_l_p",
    "rouge_l_r",
    "rouge_l_sum",
    "bleu",
    "length",
    "copied",
    "repeated",
    "sparsity",
    "seconds",
];

/// Writes recipe.toml: a new target adapter and one that was trained before. Both have the rank of the smaller side of
/// the modules that they adapt, so that one adapter of it can be any sum of others.
fn full_rank(project: &Project) {
    project.recipe("", "epochs = 1");
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    let (head, _) = text.split_once("[[adapters]]").unwrap();
    let new = |name: &str| {
        let shape = "rank = 32\nalpha = 128\ntargets = [\"k_proj\", \"v_proj\"]";
        format!("[[adapters]]\nname = \"{name}\"\nrole = \"target\"\n{shape}\n")
    };
    // What it adds has to show.
    let strong = head.replace("lr = 1e-3", "lr = 1e-2");
    assert_ne!(strong, head);
    project.write("other.toml", &format!("{strong}{}[prune]\nratio = 0.0\n", new("other")));
    let trained = project.lopper(&["run", "other.toml", "--plain"]);
    assert_eq!(trained.code, Some(0), "{trained:?}");
    let written = project.lopper(&["export", utf8(project.run().path()), "--adapter", "other"]);
    assert_eq!(written.code, Some(0), "{written:?}");
    let related = "[[adapters]]\nname = \"other\"\nrole = \"related\"\npath = \"other\"\n";
    let eval = "[eval]\nshots = 1\nhub_steps = 4\n";
    project.write("recipe.toml", &format!("{head}{eval}{}{related}", new("games")));
}

#[test]
fn all_methods_have_figures_and_what_has_to_be_the_same_is() {
    let project = Project::new();
    full_rank(&project);
    let asked = ["--seeds", "3,4", "--methods", "all"];
    let found = evaluated(&project, &asked);
    let file = std::fs::read_to_string(project.path("compared/evaluation.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap(), found);
    assert!(found["undone"].is_null(), "{found}");
    let rows = found["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(names, Method::ALL.map(Method::label));
    let all = RunDir::list(&project.path("compared")).unwrap();
    let run = |seed: u64| all.iter().find(|run| run.recipe().unwrap().seed == seed).unwrap().name();
    let runs = json!([run(3), run(4)]);
    for row in rows {
        assert!(row["seeds"] == json!([3, 4]) && row["runs"] == runs && row["failed"].is_null(), "{row}");
        for key in FIGURES {
            let figure = &row[key];
            assert!(figure["mean"].is_number() && figure["spread"].is_number(), "{key}: {row}");
        }
    }
    let figure = |method: Method, key: &str, part: &str| {
        let row = rows.iter().find(|row| row["method"] == method.label()).unwrap();
        row[key][part].as_f64().unwrap()
    };
    // The base has no seed; what is trained has one.
    for method in [Method::ZeroShot, Method::FewShot] {
        assert_eq!((figure(method, "loss", "spread"), figure(method, "rouge_l", "spread")), (0.0, 0.0), "{found}");
    }
    assert!(figure(Method::MergeTunePrune, "loss", "spread") > 0.0, "{found}");
    // At full rank the best approximation of the sum is the sum, and the sum is more than the target alone.
    let apart = |a: Method, b: Method| (figure(a, "loss", "mean") - figure(b, "loss", "mean")).abs();
    let (same, other) = (apart(Method::Merge, Method::Svd), apart(Method::Merge, Method::Target));
    assert!(same < 0.01 * other, "{same} {other} {found}");
    // The ratio is what is gone, from each matrix; where nothing prunes there are no zeros.
    let sparsity = |method: Method| figure(method, "sparsity", "mean");
    for method in Method::ALL {
        match method {
            _ if method.prunes() => assert!((sparsity(method) - 0.5).abs() < 1e-6, "{method:?}: {found}"),
            Method::Ties | Method::DareTies | Method::DareLinear | Method::MagnitudePrune => {}
            _ => assert!(sparsity(method) < 0.01, "{method:?}: {found}"),
        }
    }
    // Of two that each lose half of their entries those are zero that both have lost: signs and sums do not matter.
    for (method, other) in [(Method::Ties, Method::MagnitudePrune), (Method::DareTies, Method::DareLinear)] {
        assert!((sparsity(method) - sparsity(other)).abs() < 1e-9, "{method:?} {other:?}: {found}");
    }
    for method in [Method::Ties, Method::DareTies] {
        assert!(sparsity(method) > 0.1 && sparsity(method) < 0.4, "{method:?}: {found}");
    }
    // The merge by PEFT's name; what is compared with which is no reason to run anything again.
    let again = evaluated(&project, &[&asked[..], &["--against", "cat"]].concat());
    assert_eq!((&again["reference"], &again["rows"][4]["loss"]), (&"merge, no training".into(), &rows[4]["loss"]));
    assert!(again["rows"][4]["against"].is_null() && again["rows"][6]["against"]["p"].is_number(), "{again}");
    assert_eq!(RunDir::list(&project.path("compared")).unwrap().len(), 2);
}
