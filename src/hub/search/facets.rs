//! What is on this machine, sifted by the filters that the hub is asked with.

use super::{Hit, Query};
use crate::bounded;
use crate::hub::card::front;
use crate::text::{printable, printable_lines};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

/// Of a card, so much is looked at.
const CARD: u64 = 64 << 10;

/// What a base or an adapter can be sifted by; every text safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Facets {
    /// The organisation or user; none of a folder that is not the hub's.
    pub author: Option<String>,
    /// `text-generation`, …; none where nothing says.
    pub task: Option<String>,
    /// `license:mit`, `ja`, `lora`, … of the card; none where there is no card.
    pub tags: Option<BTreeSet<String>>,
    /// Parameters; 0 where they are not known.
    #[serde(skip)]
    pub parameters: u64,
}

impl Facets {
    /// Of a folder called `name`: what its card says, and what its settings let on.
    pub fn of_folder(folder: &Path, name: &str, is_of_hub: bool, settings: Option<&Value>, parameters: u64) -> Self {
        let card = card(&folder.join("README.md")).map(|text| front(&text));
        let of_card = |key: &str| card.as_ref().and_then(|card| card.get(key)?.first().cloned());
        let author = name.split_once('/').filter(|_| is_of_hub).map(|(author, _)| printable(author).into_owned());
        let task = of_card("pipeline_tag").or_else(|| settings.filter(|said| generates(said)).map(|_| TEXT.to_owned()));
        let tags = card.map(|card| {
            let all = |key: &str| card.get(key).into_iter().flatten().map(|word| word.to_lowercase());
            let licenses = all("license").map(|license| format!("license:{license}"));
            licenses.chain(all("language")).chain(all("tags")).chain(all("library_name")).collect()
        });
        Self { author, task, tags, parameters }
    }
}

/// What decoders are for, as the hub calls it.
const TEXT: &str = "text-generation";

/// Whether the settings of a base or an adapter are those of a model that writes text.
fn generates(settings: &Value) -> bool {
    let architectures = settings.get("architectures").and_then(Value::as_array).into_iter().flatten();
    let causal = architectures.filter_map(Value::as_str).any(|name| name.ends_with("ForCausalLM"));
    causal || settings.get("task_type").and_then(Value::as_str) == Some("CAUSAL_LM")
}

fn card(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    bounded::open(path).ok()?.take(CARD).read_to_end(&mut bytes).ok()?;
    Some(printable_lines(&String::from_utf8_lossy(&bytes)))
}

impl Hit {
    /// What it can be sifted by.
    pub fn facets(&self) -> Facets {
        Facets {
            author: self.id.split_once('/').map(|(author, _)| author.to_owned()),
            task: Some(self.task.clone()).filter(|task| !task.is_empty()),
            tags: Some(self.tags.iter().map(|tag| tag.to_lowercase()).collect()),
            parameters: self.parameters,
        }
    }
}

impl Query {
    /// Whether the filters let something through; `None` where it doesn't say what one of them asks for.
    pub fn lets(&self, facets: &Facets) -> Option<bool> {
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let author =
            self.author.as_ref().map(|wanted| Some(facets.author.as_ref().is_some_and(|author| same(author, wanted))));
        let task = self.task.as_ref().map(|wanted| facets.task.as_ref().map(|task| same(task, wanted)));
        let size = self.most_parameters.map(|most| (facets.parameters > 0).then_some(facets.parameters <= most));
        let tags = self.tags.iter().map(|tag| facets.tags.as_ref().map(|tags| tags.contains(&tag.to_lowercase())));
        let all: Vec<Option<bool>> = [author, task, size].into_iter().flatten().chain(tags).collect();
        if all.contains(&Some(false)) { Some(false) } else { all.iter().all(Option::is_some).then_some(true) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::hub::search::typed;
    use serde_json::json;

    fn lets(filters: &str, facets: &Facets) -> Option<bool> {
        typed(filters).0.lets(facets)
    }

    #[test]
    fn a_folder_is_sifted_by_its_card_and_its_settings() {
        let folder = tempfile::tempdir().unwrap();
        let card = "---\nlicense: MIT\nlanguage:\n- en\n- ja\ntags: [summarization]\n---\n# x\n";
        std::fs::write(folder.path().join("README.md"), card).unwrap();
        let settings = json!({"architectures": ["LlamaForCausalLM"]});
        let facets = Facets::of_folder(folder.path(), "lab/tiny", true, Some(&settings), 40_000_000);
        for yes in ["license:mit", "lang:ja by:LAB", "size:<1B task:text-generation", "words alone", ""] {
            assert_eq!(lets(yes, &facets), Some(true), "{yes}");
        }
        for no in ["license:apache-2.0", "lang:de", "by:else", "size:<10M", "license:mit lang:fr", "task:fill-mask"] {
            assert_eq!(lets(no, &facets), Some(false), "{no}");
        }
    }

    #[test]
    fn what_does_not_say_is_told_apart_from_what_is_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let facets = Facets::of_folder(folder.path(), "tiny", false, None, 0);
        assert_eq!(facets, Facets::default());
        for unsaid in ["license:mit", "lang:en", "size:<3B", "task:text-generation"] {
            assert_eq!(lets(unsaid, &facets), None, "{unsaid}");
        }
        // Nobody's folder is not that of an organisation, whatever else it does not say.
        assert_eq!((lets("by:lab", &facets), lets("by:lab license:mit", &facets)), (Some(false), Some(false)));
        assert_eq!(lets("tiny", &facets), Some(true));
        // A pipe is not waited for.
        let pipe = folder.path().join("README.md");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert_eq!(Facets::of_folder(folder.path(), "tiny", false, None, 0), Facets::default());
    }
}
