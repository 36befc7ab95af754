//! Which files of a repository are needed: no pickle, no second format, no training leftovers.

use super::client::RepositoryFile;
use crate::text::printable;
use crate::{Error, Result};

/// Names the shards of a large base.
pub const INDEX: &str = "model.safetensors.index.json";
/// What is read beside the weights of a base, where it is there.
pub(super) const BESIDE: [&str; 8] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
];
/// Formats that are programs when they are read.
const PICKLE: [&str; 4] = [".bin", ".pt", ".pth", ".ckpt"];
/// What training leaves behind in such a format: no weights of the model.
const LEFTOVERS: [&str; 5] = ["training_args", "optimizer", "scheduler", "rng_state", "scaler"];

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A model with its configuration.
    Base,
    /// A PEFT adapter.
    Adapter,
}

/// The kind of a repository by its files.
///
/// # Errors
/// When it holds neither; `what` names it.
pub fn kind(files: &[RepositoryFile], what: &str) -> Result<Kind> {
    let has = |name: &str| files.iter().any(|f| f.path == name);
    if has("adapter_config.json") {
        return Ok(Kind::Adapter);
    }
    if has("config.json") || has(INDEX) || has("model.safetensors") || files.iter().any(|f| is_gguf(&f.path)) {
        return Ok(Kind::Base);
    }
    Err(Error::user(format!(
        "{} is neither a base (config.json and weights) nor a PEFT adapter (adapter_config.json)",
        printable(what)
    )))
}

/// The files that lopper reads of `files`. `shards`: the files that [`INDEX`] names, where it is there and was read;
/// `wanted`: the weights' file that the user chose among several.
///
/// # Errors
/// When the weights are missing, are pickles only, or are several to choose from; `what` names the repository.
pub fn needed(
    files: &[RepositoryFile],
    shards: Option<&[String]>,
    wanted: Option<&str>,
    what: &str,
) -> Result<Vec<RepositoryFile>> {
    let find = |name: &str| files.iter().find(|f| f.path == name).cloned();
    let what = printable(what);
    if kind(files, &what)? == Kind::Adapter {
        let weights = find("adapter_model.safetensors").ok_or_else(|| only_pickles(files, &what, "adapter_model"))?;
        return Ok(find("adapter_config.json").into_iter().chain([weights]).collect());
    }
    let mut all: Vec<RepositoryFile> = BESIDE.into_iter().filter_map(find).collect();
    if let Some(name) = wanted {
        let file = find(name).filter(|_| is_gguf(name) || name.ends_with(".safetensors"));
        all.push(file.ok_or_else(|| {
            Error::user(format!("{what} has no weights {:?}; it has {}", printable(name), weights(files)))
        })?);
    } else if let Some(index) = find(INDEX) {
        all.push(index);
        for shard in shards.unwrap_or_default() {
            let file = find(shard).filter(|f| f.path.ends_with(".safetensors"));
            all.push(file.ok_or_else(|| {
                Error::user(format!("{what}: its {INDEX} names {:?}, which it doesn't have", printable(shard)))
            })?);
        }
    } else if let Some(single) = find("model.safetensors") {
        all.push(single);
    } else {
        let quantised: Vec<&RepositoryFile> = files.iter().filter(|f| is_gguf(&f.path)).collect();
        match quantised.as_slice() {
            [] => return Err(only_pickles(files, &what, "model")),
            [one] => all.push((*one).clone()),
            _ => {
                let list = weights(files);
                return Err(Error::user(format!("{what} has several weights; say which with --file: {list}")));
            }
        }
    }
    Ok(all)
}

fn is_gguf(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(".gguf") && !path.contains('/')
}

fn weights(files: &[RepositoryFile]) -> String {
    let named = files.iter().map(|f| f.path.as_str()).filter(|p| is_gguf(p) || p.ends_with(".safetensors"));
    let all: Vec<String> = named.map(|p| printable(p).into_owned()).collect();
    if all.is_empty() { "none that lopper reads".into() } else { all.join(", ") }
}

fn only_pickles(files: &[RepositoryFile], what: &str, stem: &str) -> Error {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let is_leftover = |path: &str| LEFTOVERS.iter().any(|left| name(path).starts_with(left));
    let is_pickle = |path: &str| PICKLE.iter().any(|end| path.ends_with(end)) && !is_leftover(path);
    let pickle = files.iter().find(|f| is_pickle(&f.path));
    let convert = if stem == "adapter_model" {
        "load it once on its base with PEFT's PeftModel.from_pretrained, save it into a folder with \
         save_pretrained(FOLDER, safe_serialization=True), and name that folder"
    } else {
        "load it in Python and save it with safe_serialization=True"
    };
    Error::user(match pickle {
        Some(file) => format!(
            "{what} has its weights only as {}, a pickle, which can run code when it is read; lopper reads \
             safetensors: {convert}",
            printable(&file.path)
        ),
        None => format!("{what} has no {stem}.safetensors"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<RepositoryFile> {
        let one = |name: &&str| RepositoryFile { path: (*name).to_owned(), size: 1, oid: "0".repeat(40) };
        names.iter().map(one).collect()
    }

    fn chosen(names: &[&str], shards: Option<&[String]>, wanted: Option<&str>) -> Result<Vec<String>> {
        needed(&files(names), shards, wanted, "a/b").map(|all| all.into_iter().map(|f| f.path).collect())
    }

    #[test]
    fn no_pickle_and_no_second_format_is_fetched() {
        let all = [
            "README.md",
            "config.json",
            "model.safetensors",
            "pytorch_model.bin",
            "tf_model.h5",
            "tokenizer.json",
            "onnx/model.onnx",
            "q4.gguf",
        ];
        assert_eq!(chosen(&all, None, None).unwrap(), ["config.json", "tokenizer.json", "model.safetensors"]);
        let adapter =
            ["adapter_config.json", "adapter_model.bin", "adapter_model.safetensors", "optimizer.pt", "tokenizer.json"];
        assert_eq!(chosen(&adapter, None, None).unwrap(), ["adapter_config.json", "adapter_model.safetensors"]);
    }

    #[test]
    fn the_shards_are_those_of_the_index() {
        let all = ["config.json", INDEX, "model-1.safetensors", "model-2.safetensors", "old.safetensors"];
        let shards = ["model-1.safetensors".to_owned(), "model-2.safetensors".to_owned()];
        assert_eq!(
            chosen(&all, Some(&shards), None).unwrap(),
            ["config.json", INDEX, "model-1.safetensors", "model-2.safetensors"]
        );
        let lost = chosen(&all, Some(&["../x.safetensors".to_owned()]), None).unwrap_err().to_string();
        assert!(lost.contains("which it doesn't have"), "{lost}");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_what_to_do() {
        let pickle = chosen(&["config.json", "pytorch_model.bin"], None, None).unwrap_err().to_string();
        assert!(pickle.contains("pytorch_model.bin, a pickle") && pickle.contains("safe_serialization"), "{pickle}");
        let adapter = chosen(&["adapter_config.json", "training_args.bin", "adapter_model.bin"], None, None);
        let adapter = adapter.unwrap_err().to_string();
        assert!(adapter.contains("only as adapter_model.bin") && adapter.contains("PeftModel"), "{adapter}");
        // What training leaves behind is not taken for weights.
        let none = chosen(&["adapter_config.json", "training_args.bin", "old/optimizer.pt"], None, None);
        assert_eq!(none.unwrap_err().to_string(), "a/b has no adapter_model.safetensors");
        let many = ["config.json", "q4.gguf", "q8.gguf"];
        assert!(chosen(&many, None, None).unwrap_err().to_string().contains("--file: q4.gguf, q8.gguf"));
        assert_eq!(chosen(&many, None, Some("q8.gguf")).unwrap(), ["config.json", "q8.gguf"]);
        assert!(chosen(&many, None, Some("q5.gguf")).is_err());
        assert!(chosen(&["README.md"], None, None).unwrap_err().to_string().contains("neither a base"));
    }
}
