//! Tables whose names and numbers are made up.

use super::super::{Against, Figure, Figures, Undone};
use super::*;
use crate::eval::rouge::parts::Parts;

fn evaluation() -> Evaluation {
    let figure = |mean: f64| Figure { mean, spread: Some(0.25) };
    let row = |method: &str, p: Option<f64>| Row {
        method: method.into(),
        seeds: vec![1, 2],
        figures: Some(Figures {
            loss: figure(3.5),
            parts: Parts { rouge1_p: figure(40.0), ..Parts::default() },
            rouge_l: figure(21.0),
            sparsity: figure(0.5),
            ..Figures::default()
        }),
        against: p.map(|p| Against { difference: -1.5, bounds: Some((-3.0, -0.1)), p, p_holm: None }),
        ..Row::default()
    };
    Evaluation {
        name: "games & <more>".into(),
        split: "test".into(),
        documents: 66,
        tokens: ["words".into(), "13a".into()],
        reference: "the 50% one".into(),
        rows: vec![row("a|b, \"c\"\u{1b}[31m", Some(0.004)), row("the 50% one", None), row("同じ", Some(0.03))],
        verdict: None,
        undone: Vec::new(),
        notes: vec!["3 of 4 <x> & \u{1b}".into()],
        encoder: None,
    }
}

#[test]
fn columns_stand_under_their_heads() {
    let text = text(&evaluation());
    let lines: Vec<&str> = text.lines().collect();
    assert!(!text.contains('\u{1b}'), "{text}");
    let end = |line: &str, word: &str| line[..line.find(word).unwrap_or(0) + word.len()].width();
    for (line, loss) in [(1, "3.500±0.250"), (3, "3.500±0.250")] {
        assert_eq!(end(lines[line], loss), end(lines[0], "loss"), "{text}");
    }
    assert!(lines[1].contains("21.00±0.25**") && lines[3].contains("21.00±0.25*") && !lines[2].contains('*'), "{text}");
    assert!(text.contains("66 test documents") && text.contains("2 seeds"), "{text}");
}

#[test]
fn no_format_is_broken_by_a_name() {
    let of = evaluation();
    assert!(html(&of).contains("note: 3 of 4 &lt;x&gt; &amp; "), "{}", html(&of));
    assert!(markdown(&of).contains("| a\\|b, \"c\""), "{}", markdown(&of));
    assert!(markdown(&of).starts_with("# games & \\<more\\>\n"), "{}", markdown(&of));
    assert!(markdown(&of).contains("note: 3 of 4 \\<x> & "), "{}", markdown(&of));
    assert!(markdown(&of).contains("21.00±0.25\\*\\* |"), "{}", markdown(&of));
    let csv = csv(&of);
    let first = csv.lines().next().map_or(0, |l| l.split(',').count());
    assert!(csv.lines().nth(2).is_some_and(|l| l.split(',').count() == first), "{csv}");
    assert!(csv.contains("\"a|b, \"\"c\"\""), "{csv}");
    let difference = "-1.50 (-3.00 to -0.10), p 0.004";
    for text in [markdown(&of), html(&of), latex(&of)] {
        assert!(text.contains(difference) && text.contains("p 0.030"), "{text}");
    }
    assert!(html(&of).contains("<h1>games &amp; &lt;more&gt;</h1>"));
    assert!(latex(&of).contains("the 50\\% one & 3.500$\\pm$0.250 &"), "{}", latex(&of));
    assert!(latex(&of).contains("\na$|$b, \"c\""), "{}", latex(&of));
    for text in [markdown(&of), csv, html(&of), latex(&of)] {
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn seeds_that_one_of_two_lacks_are_told_of_where_there_are_such() {
    let forms = |of: &Evaluation| [text(of), markdown(of), html(of), latex(of)];
    let told = "is compared with that of the 50% one over the seeds that both have";
    let mut of = evaluation();
    // Their order says nothing.
    of.rows[2].seeds.reverse();
    assert!(forms(&of).iter().all(|text| !text.contains("the seeds that both have")), "{}", text(&of));
    of.rows[2].seeds.truncate(1);
    for text in forms(&of) {
        assert!(text.contains(&format!("R-L of 同じ {told}")), "{text}");
    }
    // All others have more than the one that they are compared with.
    of.rows[1].seeds = vec![3];
    for text in forms(&of) {
        assert!(text.contains(", 同じ ") && text.contains(told) && !text.contains('\u{1b}'), "{text}");
    }
    // What is not compared is over no seeds.
    of.rows.iter_mut().for_each(|row| row.against = None);
    assert!(!text(&of).contains("the seeds that both have"), "{}", text(&of));
}

#[test]
fn a_method_that_could_not_be_done_has_a_row_without_figures_and_its_reason() {
    let mut of = evaluation();
    let why = "ranks of 4 & \"8\"\u{1b}";
    of.rows.insert(1, Row { method: "linear merge".into(), failed: Some(why.into()), ..Row::default() });
    let undone = |method: &str, seed, why: &str| Undone { method: method.into(), seed, why: why.into(), run: None };
    of.undone = vec![undone("linear merge", None, why), undone("同じ", Some(2), "diverged")];
    let told = "failed: linear merge: ranks of 4 & \"8\"\\u{1b}";
    let text = text(&of);
    let line = text.lines().nth(2).unwrap_or_default();
    assert!(line.starts_with("linear merge") && line.matches('-').count() == 10, "{text}");
    assert!(text.contains(told) && text.contains("failed: 同じ, seed 2: diverged"), "{text}");
    let markdown = markdown(&of);
    assert!(markdown.contains(&format!("| linear merge |{}", " - |".repeat(11))) && markdown.contains(told));
    assert!(latex(&of).contains("linear merge & - & - &") && latex(&of).contains(&format!("% {told}")));
    assert!(html(&of).contains("<td>linear merge</td><td>-</td>"));
    assert!(html(&of).contains("<p>failed: linear merge: ranks of 4 &amp; &quot;8&quot;"), "{}", html(&of));
    let csv = csv(&of);
    let cells = |line: &str| line.matches(',').count();
    let mut lines = csv.lines();
    let head = lines.next().unwrap_or_default();
    assert!(head.contains(",rouge1_p,rouge1_p_sd,") && head.contains(",perplexity,"), "{head}");
    assert!(head.ends_with(",rougeL_difference_p,rougeL_difference_p_holm,runs,failed"), "{head}");
    let line = lines.nth(1).unwrap_or_default();
    assert!(
        line.starts_with("\"linear merge\",0,66,,,,") && line.ends_with(",\"ranks of 4 & \"\"8\"\"\\u{1b}\""),
        "{line}"
    );
    assert_eq!(cells(line), cells(head));
    // Without the method that the others are compared with there is nothing that the marks say.
    of.reference = "linear merge".into();
    assert!(super::text(&of).contains("compared with that of no method: linear merge has none"));
}

/// Of one seed, each mean with its interval.
fn of_one_seed() -> Evaluation {
    let mut of = evaluation();
    for row in &mut of.rows {
        row.seeds.truncate(1);
        row.rouge_l_bounds = Some((18.25, 23.75));
        row.figures.iter_mut().for_each(|of| of.rouge_l.spread = None);
        row.against.iter_mut().for_each(|against| against.p_holm = Some(2.0 * against.p));
    }
    of
}

#[test]
fn one_seed_has_an_interval_over_documents_beside_its_mean() {
    let mut of = of_one_seed();
    let told = "95 %: interval of R-L, by bootstrap over the documents";
    let lines = text(&of);
    assert!(lines.contains("21.00**  18.2 to 23.8  ") && lines.lines().any(|line| line == told), "{lines}");
    assert!(markdown(&of).contains("| R-L | 95 % | BLEU |") && markdown(&of).contains("| 18.2 to 23.8 |"));
    assert!(html(&of).contains("<td>18.2 to 23.8</td>") && html(&of).contains(told));
    assert!(latex(&of).contains(" & 18.2 to 23.8 & ") && latex(&of).contains(told), "{}", latex(&of));
    let line = |of: &Evaluation, at: usize| csv(of).lines().nth(at).unwrap_or_default().to_owned();
    let head = line(&of, 0);
    let at = |name: &str| head.split(',').position(|head| head == name).unwrap_or_default();
    // No other cell of this row has a comma.
    let row = line(&of, 3);
    let cells: Vec<&str> = row.split(',').collect();
    assert_eq!((cells[at("rougeL_low")], cells[at("rougeL_high")]), ("18.25", "23.75"));
    assert_eq!((cells[at("rougeL_difference_p")], cells[at("rougeL_difference_p_holm")]), ("0.03", "0.06"));
    // Several seeds have a spread there, and a line less in the terminal.
    of.rows[0].seeds = vec![1, 2];
    let lines = text(&of);
    assert!(!lines.contains(" to 23.8") && !lines.contains("no room here"), "{lines}");
    assert!(!lines.contains("bootstrap") && lines.contains("standard deviation of up to 2 seeds"), "{lines}");
    assert!(markdown(&of).contains(&format!("{told}, each with its mean over the seeds")));
}

#[test]
fn a_terminal_has_room_for_all_methods() {
    for (mut of, several) in [(of_one_seed(), false), (evaluation(), true)] {
        of.encoder = Some("an encoder".into());
        for (row, method) in of.rows.iter_mut().zip(crate::recipe::Method::ALL.iter().rev()) {
            row.method = method.label().to_owned();
            let figure = Figure { mean: 21.0, spread: several.then_some(10.25) };
            let all = [figure; 3];
            row.figures = Some(Figures {
                loss: figure,
                rouge1: figure,
                rouge2: figure,
                rouge_l: figure,
                bleu: figure,
                length: figure,
                copied: figure,
                repeated: figure,
                sparsity: figure,
                seconds: Figure { mean: 12_345.0, spread: None },
                bert: Some(all),
                ..Figures::default()
            });
        }
        of.rows[0].method = crate::recipe::Method::RandomPrune.label().to_owned();
        let text = text(&of);
        let table: Vec<&str> = text.lines().take(1 + of.rows.len()).collect();
        assert!(table.iter().all(|line| line.width() <= WIDTH), "{text}");
        assert!(table[0].contains("loss") && table[0].contains("R-L") && table[0].contains("BERT"), "{text}");
        assert!(table[0].contains("95 %") != several && text.contains("in the files, with no room here: "), "{text}");
        // Files have all.
        assert!(markdown(&of).contains("| copied | repeated | sparsity |"), "{}", markdown(&of));
    }
}

#[test]
fn marks_are_by_holms_p_and_the_legend_counts_the_comparisons() {
    let mut of = of_one_seed();
    let lines = text(&of);
    // p 0.03 is 0.06 for two.
    assert!(lines.lines().nth(3).is_some_and(|line| !line.contains('*')), "{lines}");
    assert!(lines.contains("(paired randomisation over documents; marks: Holm's p for 2 comparisons)"), "{lines}");
    for text in [markdown(&of), html(&of), latex(&of)] {
        assert!(text.contains("-1.50 (-3.00 to -0.10), p 0.030, Holm"), "{text}");
    }
    assert!(markdown(&of).contains("p 0.004, Holm's p 0.008"), "{}", markdown(&of));
    // A table of before has no such p.
    of.rows.iter_mut().flat_map(|row| &mut row.against).for_each(|against| against.p_holm = None);
    assert!(text(&of).contains("(paired randomisation over documents)") && !markdown(&of).contains("Holm"));
}

#[test]
fn rows_name_their_runs_and_the_page_leads_to_them() {
    let mut of = evaluation();
    assert!(!html(&of).contains("runs") && csv(&of).lines().nth(1).is_some_and(|line| line.ends_with(",,")));
    of.rows[1].runs = vec!["a-seed-1-20261128".into(), "é\"<b>".into()];
    let page = html(&of);
    let links = "<td><a href=\"./a-seed-1-20261128/\">a-seed-1-20261128</a><br><a href=\"./%C3%A9%22%3Cb%3E/\">é&quot;&lt;b&gt;</a></td>";
    assert!(page.contains(links) && page.contains("<th>runs</th></tr>"), "{page}");
    assert!(csv(&of).contains(",\"a-seed-1-20261128;é\"\"<b>\",\n"), "{}", csv(&of));
}

#[test]
fn what_is_found_is_said_first_and_what_is_unknown_has_a_dash() {
    let mut of = evaluation();
    of.split = "dev".into();
    of.verdict = Some("R-L: 同じ is better than x\u{1b} by 1.50".into());
    of.rows[1].figures.iter_mut().for_each(|of| of.length = Figure { mean: f64::NAN, spread: None });
    let lines = legend(&of);
    assert_eq!(lines[0], "R-L: 同じ is better than x\\u{1b} by 1.50");
    assert!(lines[1].starts_with("66 dev documents"), "{lines:?}");
    for text in [text(&of), markdown(&of), html(&of), latex(&of)] {
        assert!(text.contains("同じ is better than x") && !text.contains("NaN"), "{text}");
    }
    assert!(!csv(&of).contains("NaN") && !csv(&of).contains("dev_loss"), "{}", csv(&of));
    of.rows[1].figures.iter_mut().for_each(|of| of.dev_loss = Some(Figure { mean: 3.25, spread: None }));
    assert!(csv(&of).contains(",train_seconds_sd,dev_loss,dev_loss_sd,") && csv(&of).contains(",3.25,,"));
}
