//! `adapter_config.json`: what is honoured is read, what is not is refused by name.

use crate::lora::targets::{self, Names, Pattern, Targets};
use crate::text::printable;
use crate::{Error, Result};
use serde_json::{Map, Value};

/// The honoured part of PEFT's `LoraConfig`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `r` where no pattern says otherwise.
    pub rank: usize,
    /// `lora_alpha` where no pattern says otherwise.
    pub alpha: f64,
    /// Scaling alpha/√r instead of alpha/r.
    pub rslora: bool,
    /// Ranks by module name.
    pub rank_pattern: Pattern<usize>,
    /// Alphas by module name.
    pub alpha_pattern: Pattern<f64>,
    /// Which modules are adapted.
    pub targets: Targets,
    /// `lora_dropout`.
    pub dropout: f64,
    /// `base_model_name_or_path`, as written.
    pub base: Option<String>,
}

/// Keys that say nothing about the adapter's mathematics at a value that lopper accepts (checked where
/// it matters) or are read below.
const READ: [&str; 25] = [
    "r",
    "lora_alpha",
    "use_rslora",
    "rank_pattern",
    "alpha_pattern",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "lora_dropout",
    "base_model_name_or_path",
    "bias",
    "peft_type",
    "task_type",
    "init_lora_weights",
    // About the file, not the adapter.
    "auto_mapping",
    "inference_mode",
    "peft_version",
    "revision",
    // Only how the first values were found, or how PEFT runs it.
    "eva_config",
    "runtime_config",
    // Without effect unless the feature beside it is on, which is refused.
    "megatron_core",
    "qalora_group_size",
    "ensure_weight_tying",
    "loftq_config",
];

/// Why some features are refused; any other key that is set is refused as unknown.
const REFUSED: [(&str, &str); 13] = [
    ("use_dora", "DoRA's magnitude vectors are not supported; train a plain LoRA"),
    ("modules_to_save", "fully trained modules are not supported; train without modules_to_save"),
    ("fan_in_fan_out", "transposed weights (GPT-2's Conv1D) do not occur in the supported bases"),
    ("target_parameters", "adapters on bare parameters are not supported"),
    ("trainable_token_indices", "trained tokens are not supported"),
    ("layer_replication", "replicated layers are not supported"),
    ("megatron_config", "Megatron's layers are not supported"),
    ("lora_bias", "a bias on B is not supported"),
    ("use_qalora", "QA-LoRA is not supported"),
    ("alora_invocation_tokens", "activated LoRA (aLoRA) is not supported"),
    ("corda_config", "CorDA changes the base's weights; convert the adapter to a plain LoRA when saving it"),
    ("lora_ga_config", "LoRA-GA changes the base's weights; convert the adapter to a plain LoRA when saving it"),
    ("use_bdlora", "block-diagonal LoRA is not supported"),
];

impl Settings {
    /// Parses the text of an `adapter_config.json`.
    ///
    /// # Errors
    /// Names the key, its value, and what is supported.
    pub fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).map_err(|e| Error::user(format!("not valid JSON: {e}")))?;
        let Value::Object(map) = value else {
            return Err(Error::user("a JSON object is needed"));
        };
        refuse(&map)?;
        let rank = whole(&map, "r")?.unwrap_or(8);
        if !(1..=65_536).contains(&rank) {
            return Err(Error::user(format!("r = {rank}: a rank from 1 to 65536 is needed")));
        }
        let dropout = number(&map, "lora_dropout")?.unwrap_or(0.0);
        if !(0.0..1.0).contains(&dropout) {
            return Err(Error::user(format!("lora_dropout = {dropout}: a share from 0.0 to below 1.0 is needed")));
        }
        let alpha = number(&map, "lora_alpha")?.unwrap_or(8.0);
        if alpha == 0.0 {
            return Err(Error::user("lora_alpha = 0: the adapter would add nothing, and no gradient would reach it"));
        }
        let base = map.get("base_model_name_or_path").and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            rank,
            alpha,
            rslora: flag(&map, "use_rslora")?,
            rank_pattern: Pattern::new(
                "rank_pattern",
                pattern(&map, "rank_pattern", "a rank from 1 to 65536", |v| {
                    v.as_u64().filter(|r| (1..=65_536).contains(r)).map(|r| r as usize)
                })?,
            )?,
            alpha_pattern: Pattern::new(
                "alpha_pattern",
                pattern(&map, "alpha_pattern", "a number other than 0", |v| {
                    v.as_f64().filter(|a| a.is_finite() && *a != 0.0)
                })?,
            )?,
            targets: targets(&map)?,
            dropout,
            base,
        })
    }

    /// alpha/r, or alpha/√r with rsLoRA.
    pub fn scaling(&self, alpha: f64, rank: usize) -> f64 {
        alpha / if self.rslora { (rank as f64).sqrt() } else { rank as f64 }
    }
}

fn refuse(map: &Map<String, Value>) -> Result<()> {
    match map.get("peft_type") {
        Some(Value::String(kind)) if kind == "LORA" => {}
        Some(Value::String(kind)) => {
            return Err(Error::user(format!("peft_type is {:?}: only \"LORA\" is supported", printable(kind))));
        }
        Some(other) => return Err(wrong("peft_type", other, "\"LORA\"")),
        None => return Err(Error::user("there is no peft_type: this is no PEFT adapter configuration")),
    }
    match map.get("task_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind == "CAUSAL_LM" => {}
        Some(other) => return Err(wrong("task_type", other, "\"CAUSAL_LM\" or null")),
    }
    match map.get("bias") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind == "none" => {}
        Some(other) => return Err(wrong("bias", other, "trained biases are not supported; \"none\"")),
    }
    match map.get("init_lora_weights") {
        None | Some(Value::Null | Value::Bool(_)) => {}
        // These only choose the first values of A and B.
        Some(Value::String(kind)) if ["gaussian", "eva", "orthogonal"].contains(&kind.as_str()) => {}
        // PiSSA, OLoRA, CorDA, LoRA-GA and LoftQ subtract the first B·A from the base: PEFT does it again
        // at load. After PEFT's own conversion the file says `true`.
        Some(other) => {
            return Err(Error::user(format!(
                "init_lora_weights = {}: this way of starting changes the base's weights or the forward pass; save \
                 the adapter as a plain LoRA (PEFT: save_pretrained(…, path_initial_model_for_weight_conversion=…))",
                shown(other)
            )));
        }
    }
    for (key, value) in map {
        if READ.contains(&key.as_str()) || is_empty(value) {
            continue;
        }
        if let Some((_, why)) = REFUSED.iter().find(|(name, _)| name == key) {
            return Err(Error::user(format!("{key} = {}: {why}", shown(value))));
        }
        return Err(Error::user(format!(
            "{} = {}: lopper does not know this setting and would not honour it",
            printable(key),
            shown(value)
        )));
    }
    Ok(())
}

/// A value that means "not used".
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn targets(map: &Map<String, Value>) -> Result<Targets> {
    let names = |key: &str| -> Result<Option<Names>> {
        match map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if key == "target_modules" && text.to_lowercase() == "all-linear" => {
                Ok(Some(Names::AllLinear))
            }
            Some(Value::String(text)) => Names::pattern(key, text).map(Some),
            Some(value @ Value::Array(_)) => {
                let list = strings(key, value)?;
                Ok((!list.is_empty()).then_some(Names::List(list)))
            }
            Some(other) => Err(wrong(key, other, "a list of names or a string")),
        }
    };
    let Some(chosen) = names("target_modules")? else {
        return Err(Error::user("target_modules is missing or empty: name the adapted modules there"));
    };
    let layers = match map.get("layers_to_transform") {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => {
            let one = |v: &Value| v.as_u64().and_then(|v| usize::try_from(v).ok());
            let list = match value {
                Value::Array(list) => list.iter().map(one).collect::<Option<Vec<_>>>(),
                single => one(single).map(|layer| vec![layer]),
            };
            list.ok_or_else(|| wrong("layers_to_transform", value, "a layer number or a list of them"))?
        }
    };
    let layers_pattern = match map.get("layers_pattern") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) if text.is_empty() => Vec::new(),
        Some(Value::String(text)) => vec![targets::layers_pattern(text)?],
        Some(value) => {
            strings("layers_pattern", value)?.iter().map(|t| targets::layers_pattern(t)).collect::<Result<_>>()?
        }
    };
    let whole = layers.is_empty() && layers_pattern.is_empty();
    if !whole && !matches!(chosen, Names::List(_)) {
        return Err(Error::user(
            "layers_to_transform and layers_pattern only work with target_modules as a list (as in PEFT)",
        ));
    }
    Ok(Targets { names: chosen, exclude: names("exclude_modules")?, layers, layers_pattern })
}

fn strings(key: &str, value: &Value) -> Result<Vec<String>> {
    let list: Option<Vec<String>> =
        value.as_array().and_then(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect());
    list.ok_or_else(|| wrong(key, value, "a list of names"))
}

fn pattern<T>(
    map: &Map<String, Value>,
    key: &str,
    needed: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<(String, T)>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(entries)) => entries
            .iter()
            .map(|(name, value)| match read(value) {
                Some(read) => Ok((name.clone(), read)),
                None => {
                    Err(Error::user(format!("{key} of {:?} = {}: {needed} is needed", printable(name), shown(value))))
                }
            })
            .collect(),
        Some(other) => Err(wrong(key, other, "an object")),
    }
}

fn whole(map: &Map<String, Value>, key: &str) -> Result<Option<usize>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().and_then(|v| usize::try_from(v).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(wrong(key, value, "a whole number")),
        },
    }
}

fn number(map: &Map<String, Value>, key: &str) -> Result<Option<f64>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().filter(|v| v.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(wrong(key, value, "a number")),
        },
    }
}

fn flag(map: &Map<String, Value>, key: &str) -> Result<bool> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(wrong(key, other, "true or false")),
    }
}

fn wrong(key: &str, value: &Value, needed: &str) -> Error {
    Error::user(format!("{key} = {}: {needed} is needed", shown(value)))
}

fn shown(value: &Value) -> String {
    printable(&value.to_string().chars().take(80).collect::<String>()).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(extra: &str) -> Result<Settings> {
        Settings::parse(&format!(
            r#"{{"peft_type":"LORA","task_type":"CAUSAL_LM","r":4,"target_modules":["q_proj"]{extra}}}"#
        ))
    }

    fn refused(extra: &str) -> String {
        parse(extra).unwrap_err().to_string()
    }

    #[test]
    fn what_is_honoured_is_read() {
        let s = parse(r#","lora_alpha":16,"use_rslora":true,"lora_dropout":0.1,"rank_pattern":{"q_proj":2}"#).unwrap();
        assert_eq!((s.rank, s.alpha, s.dropout), (4, 16.0, 0.1));
        assert_eq!(s.scaling(16.0, 4), 8.0);
        assert_eq!(s.rank_pattern.of("model.layers.0.self_attn.q_proj"), Some(2));
        assert!(parse(r#","init_lora_weights":"gaussian","inference_mode":true"#).is_ok());
    }

    #[test]
    fn every_feature_that_is_not_honoured_is_refused_by_name() {
        for (key, _) in REFUSED {
            let value = if key.starts_with("use_") || key.starts_with("lora_bias") { "true" } else { r#"{"x":1}"# };
            let text = refused(&format!(r#","{key}":{value}"#));
            assert!(text.starts_with(key), "{text}");
            for empty in ["null", "false", "[]", "{}"] {
                assert!(parse(&format!(r#","{key}":{empty}"#)).is_ok(), "{key} {empty}");
            }
        }
        assert!(refused(r#","bias":"all""#).contains("bias = \"all\""));
        assert!(refused(r#","init_lora_weights":"pissa_niter_4""#).contains("pissa_niter_4"));
        assert!(refused(r#","init_lora_weights":"loftq""#).contains("loftq"));
        assert!(refused(r#","task_type":"SEQ_CLS""#).contains("SEQ_CLS"));
        assert!(refused(r#","brand_new":3"#).contains("brand_new = 3"));
        assert!(refused(r#","kasa_config":{"beta":0.1}"#).contains("kasa_config"));
        assert!(parse(r#","brand_new":null"#).is_ok());
        let other = Settings::parse(r#"{"peft_type":"IA3"}"#).unwrap_err().to_string();
        assert!(other.contains("IA3"));
    }

    #[test]
    fn wrong_values_are_named() {
        assert!(refused(r#","r":0"#).contains("r = 0"));
        assert!(refused(r#","lora_dropout":1.0"#).contains("lora_dropout"));
        assert!(refused(r#","rank_pattern":{"q_proj":-1}"#).contains("q_proj"));
        assert!(refused(r#","lora_alpha":0"#).contains("lora_alpha = 0: the adapter would add nothing"));
        assert!(refused(r#","alpha_pattern":{"q_proj":0}"#).contains("a number other than 0"));
        assert_eq!(parse(r#","lora_alpha":-4,"alpha_pattern":{"q_proj":0.5}"#).unwrap().alpha, -4.0);
        assert!(refused(r#","target_modules":"all-linear","layers_to_transform":[0]"#).contains("layers_to_transform"));
        assert!(refused(r#","target_modules":null"#).contains("target_modules"));
    }
}
