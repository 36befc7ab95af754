//! Summaries under other ratios, beside those as things stand. They are told as they come: the first is written alone,
//! the others together, which takes hardly longer than one of them.

use super::reading::{Early, texts};
use super::{Answers, Asker, Subject};
use crate::eval::rouge;
use crate::lora::MergedSet;
use crate::model::generate::together;
use crate::run::what_if::{Change, Summary, WhatIf};
use std::ops::Range;
use std::time::Instant;

impl Answers {
    /// Writes summaries of the first `samples` dev documents into `found`; `asker` hears of all but the last.
    pub(super) fn write(
        &mut self,
        subject: &Subject<'_>,
        other: &MergedSet,
        samples: usize,
        found: &mut WhatIf,
        clock: Instant,
        asker: &mut dyn Asker,
    ) -> Early<()> {
        let lengths: Vec<usize> = subject.task.dev.encoded.sequences.iter().take(samples).map(|s| s.prompt).collect();
        for documents in groups(&lengths) {
            let before = match self.texts.get(&documents) {
                Some(known) => known.clone(),
                None => match texts(subject, subject.set, &documents, asker)? {
                    Err(why) => return Ok(Err(why)),
                    Ok(texts) => self.texts.entry(documents.clone()).or_insert(texts).clone(),
                },
            };
            let after = match texts(subject, other, &documents, asker)? {
                Err(why) => return Ok(Err(why)),
                Ok(after) => after,
            };
            let is_last = documents.end == lengths.len();
            let pairs = documents.zip(before.into_iter().zip(after));
            found.summaries.extend(pairs.map(|(document, (before, after))| pair(subject, document, before, after)));
            let differences: Vec<f64> = found.summaries.iter().map(|s| s.rouge_l[1] - s.rouge_l[0]).collect();
            found.rouge = Change::of(&differences);
            if !is_last {
                found.seconds = clock.elapsed().as_secs_f64();
                asker.news(found)?;
            }
        }
        Ok(Ok(()))
    }
}

/// Documents that are written together, by the lengths of their prompts: the first alone, of the others as many as are
/// read in one pass.
fn groups(lengths: &[usize]) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut from = 0;
    while from < lengths.len() {
        let count = if from == 0 { 1 } else { together(lengths[from..].iter().copied()) };
        groups.push(from..from + count);
        from += count;
    }
    groups
}

fn pair(subject: &Subject<'_>, document: usize, before: String, after: String) -> Summary {
    let task = subject.task;
    let score = |text: &str| 100.0 * rouge::score(&task.dev.references[document], text, task.segmentation).rouge_l.f;
    let rouge_l = [score(&before), score(&after)];
    Summary { document, before, after, rouge_l }
}

#[cfg(test)]
mod tests {
    use super::groups;

    #[test]
    fn the_first_is_written_alone_and_the_others_as_many_at_once_as_fit() {
        let ends = |lengths: &[usize]| groups(lengths).into_iter().map(|group| group.end).collect::<Vec<usize>>();
        assert!(groups(&[]).is_empty());
        assert_eq!(ends(&[9000]), [1]);
        assert_eq!(ends(&[100; 3]), [1, 3]);
        assert_eq!(ends(&[100, 2000, 2000, 2000, 9000, 1]), [1, 3, 4, 5, 6]);
    }
}
