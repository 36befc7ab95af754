//! Results of the hub as aligned lines.

use crate::hub::adapters::Candidate;
use crate::hub::outline::Fit;
use crate::hub::search::Hit;
use crate::run::estimate::bytes;
use unicode_width::UnicodeWidthStr;

/// Rows with a head, each column as wide as its widest cell; numbers to the right.
fn aligned(head: &[&str], right: &[bool], rows: &[Vec<String>]) -> String {
    let width = |i: usize| rows.iter().map(|r| r[i].width()).chain([head[i].width()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(i, cell)| {
                let gap = " ".repeat(widths[i] - cell.width());
                if right[i] { gap + cell } else { format!("{cell}{gap}") }
            })
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
    std::iter::once(line(&head)).chain(rows.iter().map(|r| line(r))).collect::<Vec<_>>().join("\n")
}

/// `8.0B`, `135M`, `430k`.
pub fn count(n: u64) -> String {
    match n as f64 {
        n if n >= 9.995e8 => format!("{:.1}B", n / 1e9),
        n if n >= 9.995e5 => format!("{:.0}M", n / 1e6),
        n if n >= 1e3 => format!("{:.0}k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

/// `135M BF16`; empty where it is not known.
pub fn parameters(hit: &Hit) -> String {
    if hit.parameters == 0 { String::new() } else { format!("{} {}", count(hit.parameters), hit.dtype) }
}

fn marks(hit: &Hit, cached: bool) -> String {
    let all = [(cached, "cached"), (hit.gated, "gated"), (hit.private, "private")];
    all.iter().filter(|m| m.0).map(|m| m.1).collect::<Vec<_>>().join(" ")
}

/// Search results.
pub fn hits(hits: &[Hit], cached: impl Fn(&Hit) -> bool) -> String {
    let row = |hit: &Hit| {
        vec![
            hit.id.clone(),
            if hit.is_adapter { "adapter".into() } else { "base".into() },
            parameters(hit),
            count(hit.downloads),
            count(hit.likes),
            hit.updated.clone(),
            hit.license.clone(),
            marks(hit, cached(hit)),
        ]
    };
    let rows: Vec<Vec<String>> = hits.iter().map(row).collect();
    let head = ["repository", "kind", "parameters", "downloads", "likes", "updated", "licence", ""];
    aligned(&head, &[false, false, true, true, true, false, false, false], &rows)
}

/// Adapters of a base; what cannot be merged with the reason.
pub fn adapters(all: &[(Candidate, Fit)], base: &str, cached: impl Fn(&Hit) -> bool) -> String {
    let row = |(candidate, fit): &(Candidate, Fit)| {
        let facts = fit.facts.as_ref();
        let made_for = if candidate.made_for == base { String::new() } else { format!("for {}", candidate.made_for) };
        let remark = [marks(&candidate.hit, cached(&candidate.hit)), made_for, fit.problem.clone().unwrap_or_default()];
        vec![
            if fit.problem.is_none() { "fits".into() } else { "no".into() },
            candidate.hit.id.clone(),
            facts.map(|f| f.rank.to_string()).unwrap_or_default(),
            facts.map(|f| f.modules.to_string()).unwrap_or_default(),
            if fit.bytes == 0 { String::new() } else { bytes(fit.bytes) },
            count(candidate.hit.downloads),
            remark.into_iter().filter(|r| !r.is_empty()).collect::<Vec<_>>().join("; "),
        ]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let head = ["", "adapter", "rank", "modules", "size", "downloads", ""];
    aligned(&head, &[false, false, true, true, true, true, false], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_short() {
        let shown = [0, 999, 1_000, 135_000_000, 999_600_000, 8_030_000_000].map(count);
        assert_eq!(shown, ["0", "999", "1k", "135M", "1.0B", "8.0B"]);
    }

    #[test]
    fn columns_are_aligned_whatever_is_in_them() {
        let hit = |id: &str, downloads| Hit { id: id.into(), downloads, ..Hit::default() };
        let text = hits(&[hit("a/b", 7), hit("long/name", 12_000_000)], |hit| hit.id == "a/b");
        let lines: Vec<&str> = text.lines().collect();
        let end = |line: &str, of: &str| line.find(of).map(|at| at + of.len());
        assert_eq!(end(lines[1], "7"), end(lines[2], "12M"), "{text}");
        assert!(lines[1].ends_with("cached"), "{text}");
    }
}
