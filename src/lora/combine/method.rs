//! What can be asked for, by PEFT's names.

use crate::{Error, Result};

/// Which sign the majority has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sign {
    /// That of the sum of all values: large ones weigh more.
    #[default]
    Total,
    /// That of most values.
    Frequency,
}

/// What is done with matrices of the same size, entry by entry. A density is the share of entries that is kept, above
/// 0 to 1; at 1 nothing is dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Weighted sum.
    Sum,
    /// Weighted sum of the largest entries of each.
    Magnitude {
        /// Share of entries to keep.
        density: f64,
    },
    /// Of the largest entries of each those with the sign of the majority: their weighted sum divided by their number.
    Ties {
        /// Share of entries to keep.
        density: f64,
        /// The majority.
        sign: Sign,
    },
    /// Weighted sum of entries that are kept by chance and divided by the density.
    DareLinear {
        /// Chance to be kept.
        density: f64,
    },
    /// As ties, of entries that are kept by chance and divided by the density.
    DareTies {
        /// Chance to be kept.
        density: f64,
        /// The majority.
        sign: Sign,
    },
}

impl Rule {
    /// The density, where the rule has one.
    pub const fn density(self) -> Option<f64> {
        match self {
            Self::Sum => None,
            Self::Magnitude { density }
            | Self::Ties { density, .. }
            | Self::DareLinear { density }
            | Self::DareTies { density, .. } => Some(density),
        }
    }

    /// The majority that is asked for, where the rule asks.
    pub const fn sign(self) -> Option<Sign> {
        match self {
            Self::Ties { sign, .. } | Self::DareTies { sign, .. } => Some(sign),
            _ => None,
        }
    }

    /// Whether chance decides.
    pub const fn draws(self) -> bool {
        matches!(self, Self::DareLinear { .. } | Self::DareTies { .. })
    }
}

/// How adapters become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Ranks side by side.
    Cat,
    /// A rule on all A and, apart from it, on all B. All ranks must be the same.
    Factors(Rule),
    /// A rule on the products B·A, decomposed again.
    Svd {
        /// The rule.
        rule: Rule,
        /// Rank of the result; `None` for the largest of the adapters.
        rank: Option<usize>,
        /// Quantile of all entries of the result's B and A, above 0.5 to 1: what is larger in size is cut to it. The
        /// entries count with their signs, of which the decomposition leaves a column's open; here a column's
        /// largest entry in B is positive, PEFT takes what LAPACK gives.
        clamp: Option<f64>,
    },
}

/// What goes with a method's name; `None` for what the user didn't say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Settings {
    /// Share of entries to keep, above 0 to 1.
    pub density: Option<f64>,
    /// The majority of ties.
    pub sign: Option<Sign>,
    /// Rank of the result of an svd.
    pub rank: Option<usize>,
    /// See [`Method::Svd`].
    pub clamp: Option<f64>,
}

impl Method {
    /// PEFT's names (`combination_type`).
    pub const NAMES: [&'static str; 11] = [
        "linear",
        "cat",
        "svd",
        "ties",
        "ties_svd",
        "dare_linear",
        "dare_linear_svd",
        "dare_ties",
        "dare_ties_svd",
        "magnitude_prune",
        "magnitude_prune_svd",
    ];

    /// The method of that name; `-` is as good as `_`.
    ///
    /// # Errors
    /// When there is none of that name, a setting it needs is missing or out of range, or one was given that it does not
    /// have.
    pub fn named(name: &str, settings: &Settings) -> Result<Self> {
        let name = name.replace('-', "_");
        let stem = name.strip_suffix("_svd").unwrap_or(&name);
        let Some(known) = Self::NAMES.into_iter().find(|n| *n == name) else {
            let name = crate::text::printable(&name).into_owned();
            return Err(Error::user(format!("there is no merge \"{name}\"; there are {}", Self::NAMES.join(", "))));
        };
        let density = match (settings.density, stem) {
            (Some(_), "linear" | "cat" | "svd") => return Err(has_none(known, "density")),
            (None, "linear" | "cat" | "svd") => 1.0,
            (Some(density), _) => density,
            (None, _) => {
                return Err(Error::user(format!(
                    "{known} needs a density, the share of entries to keep, above 0 to 1 (0.5 is a start)"
                )));
            }
        };
        if settings.sign.is_some() && !stem.ends_with("ties") {
            return Err(has_none(known, "majority sign"));
        }
        let sign = settings.sign.unwrap_or_default();
        let rule = match stem {
            "ties" => Rule::Ties { density, sign },
            "dare_linear" => Rule::DareLinear { density },
            "dare_ties" => Rule::DareTies { density, sign },
            "magnitude_prune" => Rule::Magnitude { density },
            _ => Rule::Sum,
        };
        let decomposed = known.ends_with("svd");
        if !decomposed && settings.rank.is_some() {
            return Err(has_none(known, "rank to choose"));
        }
        if !decomposed && settings.clamp.is_some() {
            return Err(has_none(known, "clamp"));
        }
        let method = match known {
            "cat" => Self::Cat,
            _ if decomposed => Self::Svd { rule, rank: settings.rank, clamp: settings.clamp },
            _ => Self::Factors(rule),
        };
        method.check().map(|()| method)
    }

    /// PEFT's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cat => "cat",
            Self::Factors(Rule::Sum) => "linear",
            Self::Factors(Rule::Magnitude { .. }) => "magnitude_prune",
            Self::Factors(Rule::Ties { .. }) => "ties",
            Self::Factors(Rule::DareLinear { .. }) => "dare_linear",
            Self::Factors(Rule::DareTies { .. }) => "dare_ties",
            Self::Svd { rule: Rule::Sum, .. } => "svd",
            Self::Svd { rule: Rule::Magnitude { .. }, .. } => "magnitude_prune_svd",
            Self::Svd { rule: Rule::Ties { .. }, .. } => "ties_svd",
            Self::Svd { rule: Rule::DareLinear { .. }, .. } => "dare_linear_svd",
            Self::Svd { rule: Rule::DareTies { .. }, .. } => "dare_ties_svd",
        }
    }

    /// The rule, if there is one.
    pub const fn rule(&self) -> Option<Rule> {
        match self {
            Self::Cat => None,
            Self::Factors(rule) | Self::Svd { rule, .. } => Some(*rule),
        }
    }

    /// # Errors
    /// The first setting that is out of range.
    pub(super) fn check(&self) -> Result<()> {
        let name = self.name();
        if let Some(density) = self.rule().and_then(Rule::density)
            && !(density > 0.0 && density <= 1.0)
        {
            return Err(Error::user(format!("{name}: density {density}; a share above 0 to 1 is needed")));
        }
        match self {
            Self::Svd { rank: Some(0), .. } => {
                Err(Error::user(format!("{name}: rank 0; a rank of at least 1 is needed")))
            }
            Self::Svd { clamp: Some(clamp), .. } if !(*clamp > 0.5 && *clamp <= 1.0) => {
                Err(Error::user(format!("{name}: clamp {clamp}; a quantile above 0.5 to 1 is needed")))
            }
            _ => Ok(()),
        }
    }
}

fn has_none(name: &str, what: &str) -> Error {
    Error::user(format!("{name} has no {what}; leave it out, or use another merge"))
}
