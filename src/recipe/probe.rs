//! What is wrong with a recipe, setting by setting: the parser is asked about each value on its own, so that one
//! wrong value does not hide another.

use super::settings::Setting;
use super::{Recipe, syntax};
use toml::{Table, Value};

/// A recipe with the least that one must have.
pub(super) fn least() -> Table {
    let text = |s: &str| Value::String(s.to_owned());
    let data = Table::from_iter([("train".to_owned(), text("t")), ("dev".to_owned(), text("d"))]);
    let adapter = Table::from_iter([("name".to_owned(), text("the.one")), ("role".to_owned(), text("target"))]);
    Table::from_iter([
        ("base".to_owned(), text("b")),
        ("data".to_owned(), Value::Table(data)),
        ("adapters".to_owned(), Value::Array(vec![Value::Table(adapter)])),
    ])
}

/// Parses and validates a recipe's table.
///
/// # Errors
/// One sentence; a value of the wrong type without its key, one out of range behind its key.
pub(super) fn read(table: Table) -> Result<Recipe, String> {
    let recipe: Recipe = Value::Table(table).try_into().map_err(|e| syntax::what(&e))?;
    recipe.validate().map_err(|e| e.to_string())?;
    Ok(recipe)
}

/// Whether `value` can stand at `setting`, among `siblings` of the same table that are known to be right.
///
/// # Errors
/// The parser's sentence without the place: `a number above 0 is needed`.
pub fn check(setting: &Setting, value: &Value, siblings: &Table) -> Result<(), String> {
    let mut alone = Table::new();
    alone.insert(setting.name.to_owned(), value.clone());
    let first = match read(with(setting.section, alone)) {
        Ok(_) => return Ok(()),
        Err(sentence) => short(&sentence, setting),
    };
    // What is wrong alone may be right beside the others: no epochs, but steps.
    let mut among = siblings.clone();
    among.insert(setting.name.to_owned(), value.clone());
    read(with(setting.section, among)).map(drop).map_err(|_| first)
}

/// What the parser says where a setting is left out that a recipe must have.
pub fn missing(setting: &Setting) -> Option<String> {
    let mut all = least();
    let table = match setting.section {
        "" => &mut all,
        "adapters" => all.get_mut("adapters")?.get_mut(0)?.as_table_mut()?,
        section => all.get_mut(section)?.as_table_mut()?,
    };
    table.remove(setting.name);
    read(all).err()
}

/// The least recipe with these values in one of its tables.
fn with(section: &str, values: Table) -> Table {
    let mut all = least();
    match section {
        "" => all.extend(values),
        "adapters" => {
            let related = values.get("role").and_then(Value::as_str) == Some("related");
            let mut adapters = all.get("adapters").and_then(Value::as_array).cloned().unwrap_or_default();
            let mut one = adapters.first().and_then(Value::as_table).cloned().unwrap_or_default();
            one.insert("name".into(), Value::from("the.other"));
            one.extend(values);
            // Exactly one is the target: the least one, or the one that is asked about.
            if !related {
                adapters.clear();
            }
            adapters.push(Value::Table(one));
            all.insert("adapters".into(), Value::Array(adapters));
        }
        section => {
            let old = all.remove(section).and_then(|t| t.as_table().cloned()).unwrap_or_default();
            all.insert(section.to_owned(), Value::Table(old.into_iter().chain(values).collect()));
        }
    }
    all
}

/// A sentence without `train.lr = 0: ` before it: it stands beside the setting.
fn short(sentence: &str, setting: &Setting) -> String {
    let key = setting.key();
    let own = |rest: &str| rest.starts_with(" = ") || rest.starts_with('[');
    let place = sentence.strip_prefix(key.as_str()).filter(|rest| own(rest)).map(|_| ());
    let adapter = sentence.starts_with("adapters[");
    let rest = match (place, adapter) {
        (Some(()), _) => sentence.split_once(": ").map_or(sentence, |(_, rest)| rest),
        (None, true) => {
            let rest = sentence.split_once("): ").map_or(sentence, |(_, rest)| rest);
            rest.strip_prefix(setting.name).and_then(|r| r.split_once(": ")).map_or(rest, |(_, rest)| rest)
        }
        _ => sentence,
    };
    rest.to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::settings::find;
    use super::*;

    fn said(section: &str, name: &str, value: &str) -> Result<(), String> {
        let table: Table = toml::from_str(&format!("x = {value}")).unwrap();
        check(find(section, name).unwrap(), &table["x"], &Table::new())
    }

    #[test]
    fn the_parsers_sentence_stands_beside_its_setting() {
        for (section, name, value, want) in [
            ("train", "lr", "0.0", "a number above 0 is needed"),
            ("train", "lr", "'fast'", "the text \"fast\" stands where a number is needed"),
            ("train", "epochs", "1.5", "the number `1.5` stands where a whole number of 0 or more is needed"),
            ("train", "epochs", "0", "set one of them, or there is nothing to train"),
            ("train", "betas", "[0.9, 1.0]", "a number from 0.0 to below 1.0 is needed"),
            ("train", "optimizer", "'adam'", "`adam` is not known here; use `adamw` or `sgd`"),
            ("", "device", "'gpu'", "use \"auto\", \"cpu\" or \"cuda:0\""),
            ("", "base", "''", "a folder is needed"),
            ("data", "dev", "''", "a file is needed"),
            ("prune", "ratio", "2", "a share from 0.0 to 1.0 is needed"),
            ("prune", "rules", "[{ modules = 'layers.7-3.*', ratio = 0.1 }]", "the range of layers \"7-3\" is empty"),
            ("adapters", "weight", "inf", "a finite number is needed"),
            ("adapters", "rank", "0", "1 to 4096 is needed"),
            ("adapters", "name", "'a b'", "a name of letters, digits, '-', '_' and '.' is needed"),
            ("adapters", "role", "'related'", "a related adapter needs a path to a PEFT folder"),
        ] {
            let sentence = said(section, name, value).unwrap_err();
            assert!(sentence.ends_with(want), "{section}.{name} = {value}: {sentence}");
            assert!(!sentence.starts_with(&format!("{section}.{name} =")) || name == "epochs", "{sentence}");
        }
        assert_eq!(said("train", "lr", "1e-3"), Ok(()));
        assert_eq!(said("adapters", "name", "'x'"), Ok(()));
    }

    #[test]
    fn what_is_wrong_alone_may_be_right_beside_others() {
        let steps: Table = toml::from_str("steps = 5").unwrap();
        let related: Table = toml::from_str("path = 'p'\nname = 'y'").unwrap();
        check(find("train", "epochs").unwrap(), &Value::Integer(0), &steps).unwrap();
        check(find("adapters", "role").unwrap(), &Value::from("related"), &related).unwrap();
    }

    #[test]
    fn what_must_be_there_is_missed_by_the_parser() {
        for (section, name) in
            [("", "base"), ("data", "train"), ("data", "dev"), ("adapters", "name"), ("adapters", "role")]
        {
            let setting = find(section, name).unwrap();
            assert!(setting.is_required());
            assert_eq!(missing(setting).unwrap(), format!("the key `{name}` is missing"));
        }
        assert!(missing(find("train", "lr").unwrap()).is_none());
    }
}
