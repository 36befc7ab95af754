//! Checks of numbers: the key, its value and what is needed.

use crate::{Error, Result};

pub(super) fn share(key: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::user(format!("{key} = {value}: a share from 0.0 to 1.0 is needed")))
}

pub(super) fn above_zero(key: &str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::user(format!("{key} = {value}: a number above 0 is needed")))
}

pub(super) fn not_negative(key: &str, value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::user(format!("{key} = {value}: 0 or more is needed")))
}

pub(super) fn at_least_one(key: &str, value: usize) -> Result<()> {
    if value > 0 {
        return Ok(());
    }
    Err(Error::user(format!("{key} = 0: at least 1 is needed")))
}
