//! The what-if scene of the README on the demo, pruned to 0.95: lower the target's ratio and see a summary change, what
//! the loss minds, ratios for 0.9. Makes its recording and its pictures anew:
//! `cargo test --test workbench scene:: -- --ignored`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::picture;
use crate::pty::Terminal;
use crate::tiny::{Project, copy_folder, utf8};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Columns and rows of the other recordings too.
const SIZE: (u16, u16) = (120, 36);

fn assets(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(path)
}

fn keeps(screen: &Terminal, name: &str) {
    std::fs::write(assets("pictures").join(name), picture::svg(&screen.screen())).unwrap();
}

fn looks(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}

fn types(screen: &mut Terminal, text: &str) {
    for letter in text.chars() {
        screen.press(&letter.to_string());
        looks(0.15);
    }
}

#[test]
#[ignore = "takes three minutes and writes assets/pictures/what-if*, sensitivity*, curves*, suggest*"]
fn lower_a_ratio_see_the_summary_change_and_have_ratios_suggested() {
    let project = Project::new();
    copy_folder(&assets("demo"), &project.path("demo"));
    let recipe = std::fs::read_to_string(assets("demo/recipe.toml")).unwrap();
    let recipe = recipe.replace("ratio = 0.5\n", "ratio = 0.95\n").replace("name = \"demo\"", "name = \"pruned-95\"");
    let (_, methods) = recipe.split_once("[eval]\n").unwrap();
    let methods = methods.lines().next().unwrap();
    std::fs::write(project.path("demo/recipe.toml"), recipe.replace(methods, "")).unwrap();
    assert_eq!(project.lopper(&["run", "demo/recipe.toml", "--plain"]).code, Some(0));
    let (run, tape) = (project.run(), project.path("what-if.cast"));
    let set = [("COLORTERM", "truecolor")];
    let mut screen = Terminal::start(&project, SIZE, &["attach", utf8(run.path()), "--record", utf8(&tape)], &set);
    screen.shows(&["finished", "1 heatmap"]);
    looks(2.0);
    // The target's ratio back to a half.
    screen.press("a");
    looks(1.0);
    screen.press("\x01");
    looks(1.0);
    screen.press("r");
    screen.shows(&["prune ratio"]);
    types(&mut screen, "0.5");
    looks(1.0);
    screen.press("\r");
    screen.shows(&["draft: sparsity", " ± "]);
    looks(2.0);
    screen.press("b");
    screen.shows(&["what the draft does", "ROUGE-L 25.0", "draft: "]);
    looks(4.0);
    keeps(&screen, "what-if-120x36.svg");
    screen.press("\x1b");
    screen.hides("what the draft does");
    screen.press("K");
    screen.shows(&["kept as A"]);
    looks(1.5);
    for _ in 0..2 {
        screen.press("\x1b");
        looks(0.5);
    }
    screen.hides("draft: ");
    // What the loss minds.
    screen.press("z");
    screen.shows(&["sensitivity at 0.7", "measuring: "]);
    screen.until("every part at 0.7", |text| text.contains(" parts at 0.9") && text.contains("pruned alone to 0.7"));
    looks(3.0);
    keeps(&screen, "sensitivity-120x36.svg");
    // The same over the ratios that are measured so far, of all adapters.
    for _ in 0..4 {
        screen.press("a");
        looks(0.3);
    }
    screen.press("x");
    screen.shows(&["a, f choose"]);
    looks(3.0);
    keeps(&screen, "curves-120x36.svg");
    screen.press("x");
    screen.press("z");
    screen.shows(&["measures on"]);
    looks(1.0);
    // Ratios for a sparsity.
    screen.press("Z");
    screen.shows(&["ratios for"]);
    screen.press("\x15");
    types(&mut screen, "0.9");
    looks(1.0);
    screen.press("\r");
    screen.shows(&["looking for ratios"]);
    screen.shows(&["against one ratio for all", "draft: sparsity"]);
    screen.shows(&["→ 90", " ± "]);
    looks(2.5);
    keeps(&screen, "suggest-120x36.svg");
    screen.press("b");
    screen.shows(&["verified on", "mean ratios"]);
    looks(4.0);
    screen.press("\x1b");
    screen.hides("mean ratios");
    // And a run of it.
    screen.press("\r");
    screen.shows(&["new, not saved"]);
    looks(2.5);
    screen.press("q");
    screen.shows(&["drop the changes"]);
    screen.press("d");
    screen.ends_tidily();
    std::fs::copy(&tape, assets("pictures/what-if.cast")).unwrap();
}
