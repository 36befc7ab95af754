//! The keys of a JSON object, each as what it should be.

use crate::text::printable;
use crate::{Error, Result};
use serde_json::{Map, Value};

/// Typed access to a JSON object, with sentences that name the key.
pub(super) struct Keys<'a>(pub &'a Map<String, Value>);

impl Keys<'_> {
    pub(super) fn given(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|v| !v.is_null())
    }

    #[allow(clippy::unused_self)]
    pub(super) fn wrong(&self, key: &str, value: &Value, needed: &str) -> Error {
        let shown: String = value.to_string().chars().take(60).collect();
        Error::user(format!("{key} = {}: {needed} is needed", printable(&shown)))
    }

    pub(super) fn size(&self, key: &str, limit: usize) -> Result<usize> {
        if !self.given(key) {
            return Err(Error::user(format!("there is no {key}")));
        }
        self.size_or(key, 0, limit)
    }

    pub(super) fn size_or(&self, key: &str, default: usize, limit: usize) -> Result<usize> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => match value.as_u64().and_then(|v| usize::try_from(v).ok()) {
                Some(size) if (1..=limit).contains(&size) => Ok(size),
                _ => Err(self.wrong(key, value, &format!("a whole number from 1 to {limit}"))),
            },
        }
    }

    pub(super) fn number_or(&self, key: &str, default: f64) -> Result<f64> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => {
                value.as_f64().filter(|v| v.is_finite()).ok_or_else(|| self.wrong(key, value, "a finite number"))
            }
        }
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(self.wrong(key, value, "true or false")),
        }
    }
}
