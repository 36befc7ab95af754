//! Whether the summaries of a run are better than those of another: document by document, as an evaluation compares methods.

use super::Compared;
use crate::Result;
use crate::eval::evaluation::Against;
use crate::eval::rouge;
use crate::eval::segment::Segmentation;
use crate::run::RunDir;
use crate::train::result;

/// How a run's summaries compare with those of the first run.
#[derive(Debug, Clone, PartialEq)]
pub enum Paired {
    /// By ROUGE-L of the same documents.
    Told(Against),
    /// Not, in a few words.
    Not(String),
}

/// Id, reference and summary of a document.
type Line = (String, String, String);

/// What a method of a run wrote, in the order of ids and references, whatever that of the data was.
type Written = Vec<Line>;

/// What the last method of a run's report wrote; `None` where there is no report, or no such file.
pub(super) fn written(run: &RunDir, compared: &Compared) -> Option<Written> {
    let mut all = result::read_summaries(run, &compared.row.as_ref()?.method).ok()?;
    all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    Some(all)
}

/// The summaries of a run beside those of the first; `None` where neither has any.
pub(super) fn compare(first: Option<&Written>, other: Option<&Written>) -> Option<Paired> {
    let (first, other) = match (first, other) {
        (None, None) => return None,
        (Some(first), Some(other)) => (first, other),
        _ => return Some(Paired::Not("no summaries".to_owned())),
    };
    let same = |of: fn(&Line) -> &String| first.iter().map(of).eq(other.iter().map(of));
    if !same(|line| &line.0) {
        return Some(Paired::Not("other documents".to_owned()));
    }
    if !same(|line| &line.1) {
        return Some(Paired::Not("other references".to_owned()));
    }
    Some(against(first, other).map_or_else(|error| Paired::Not(error.to_string()), Paired::Told))
}

fn against(first: &Written, other: &Written) -> Result<Against> {
    let cut = Segmentation::of(first.iter().map(|line| line.1.as_str()))?;
    let scores = |of: &Written| {
        let score = |(_, reference, summary): &Line| rouge::score(reference, summary, cut);
        of.iter().map(|line| 100.0 * score(line).rouge_l.f).collect::<Vec<f64>>()
    };
    Against::of(&scores(other), &scores(first))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::event::ReportRow;

    fn lines(summary: &str, documents: usize) -> Written {
        let line = |i: usize| (format!("d{i}"), "a small game engine".to_owned(), summary.to_owned());
        (0..documents).map(line).collect()
    }

    #[test]
    fn the_same_documents_are_compared_and_others_are_not() {
        let (good, bad) = (lines("a small game engine", 8), lines("a web page", 8));
        let Some(Paired::Told(found)) = compare(Some(&bad), Some(&good)) else { panic!("nothing was told") };
        // One word of each of them is that of the reference.
        assert!(found.difference > 50.0 && found.bounds.is_some_and(|(low, _)| low > 0.0), "{found:?}");
        assert!((found.p - 2.0 / 256.0).abs() < 1e-9, "{found:?}");
        let Some(Paired::Told(same)) = compare(Some(&good), Some(&good)) else { panic!("nothing was told") };
        assert_eq!((same.difference, same.p), (0.0, 1.0));
        let why = |first: Option<&Written>, other: Option<&Written>| match compare(first, other) {
            Some(Paired::Not(why)) => why,
            other => format!("{other:?}"),
        };
        assert_eq!(why(Some(&good), Some(&lines("x", 7))), "other documents");
        let mut mended = good.clone();
        mended[3].1 = "a large game engine".into();
        assert_eq!(why(Some(&good), Some(&mended)), "other references");
        assert_eq!((why(Some(&good), None), why(None, Some(&good))), ("no summaries".into(), "no summaries".into()));
        assert_eq!(compare(None, None), None);
    }

    #[test]
    fn summaries_are_those_of_the_last_method_in_whatever_order() {
        let folder = tempfile::tempdir().unwrap();
        let run = |name: &str, order: [usize; 6], summary: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.join("result/summaries")).unwrap();
            std::fs::write(path.join("recipe.toml"), "base = \"b\"\n").unwrap();
            let line = |i: usize| {
                serde_json::json!({ "id": format!("d{i}"), "reference": format!("engine {i}"), "summary": summary })
                    .to_string()
            };
            let text: Vec<String> = order.into_iter().map(line).collect();
            std::fs::write(path.join("result/summaries/merge-fine-tune.jsonl"), text.join("\n")).unwrap();
            let row = ReportRow { method: "merge + fine-tune".into(), ..ReportRow::default() };
            let report = crate::run::event::Report { split: "test".into(), rows: vec![row], ..Default::default() };
            let run = RunDir::open(&path).unwrap();
            let mut journal = crate::run::journal::Journal::open(&run.journal_file()).unwrap();
            journal.append(crate::run::event::EventBody::Report(report)).unwrap();
            run
        };
        let runs = [run("a", [0, 1, 2, 3, 4, 5], "an engine"), run("b", [5, 3, 1, 0, 2, 4], "engine")];
        let all = super::super::all(&runs).unwrap();
        assert_eq!(all[0].paired, None);
        let Some(Paired::Told(found)) = &all[1].paired else { panic!("{:?}", all[1].paired) };
        assert!(found.difference > 0.0 && found.p < 0.05, "{found:?}");
        std::fs::remove_dir_all(runs[1].result()).unwrap();
        assert_eq!(super::super::all(&runs).unwrap()[1].paired, Some(Paired::Not("no summaries".into())));
    }
}
