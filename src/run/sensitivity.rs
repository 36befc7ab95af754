//! `sensitivity.jsonl` of a run: what pruning one group of matrices alone does to the dev loss, one line a
//! measurement. Kept, so that a map goes on where it broke off.

use super::RunDir;
use super::what_if::Change;
use crate::text::counted;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// What a group has in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A of everything, B of everything.
    Factor,
    /// A or B of all adapters of a role: of the target, of all related ones.
    #[serde(rename = "role-factor")]
    RoleFactor,
    /// One adapter.
    Adapter,
    /// A or B of one adapter.
    #[serde(rename = "adapter-factor")]
    AdapterFactor,
    /// One projection in all layers.
    Projection,
    /// One layer.
    Layer,
    /// One linear of one layer.
    Module,
}

impl By {
    /// The coarse ones, which take the fewest measurements, first.
    pub const ALL: [Self; 7] = [
        Self::Factor,
        Self::RoleFactor,
        Self::Adapter,
        Self::AdapterFactor,
        Self::Projection,
        Self::Layer,
        Self::Module,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Factor => "factor",
            Self::RoleFactor => "role-factor",
            Self::Adapter => "adapter",
            Self::AdapterFactor => "adapter-factor",
            Self::Projection => "projection",
            Self::Layer => "layer",
            Self::Module => "module",
        }
    }
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Stage and step of the set, and how many rules it had.
    pub at: (usize, usize, usize),
    /// What the group has in common.
    pub by: By,
    /// The group, as people read it.
    pub group: String,
    /// Its matrices as a rule is typed, with the ratio.
    pub rule: String,
    /// The ratio of its matrices; the others stay as they are.
    pub ratio: f64,
    /// The dev documents, from and to.
    pub documents: [usize; 2],
    /// What they and the base were, as a short hash: the files may be others by now. Empty in lines of before.
    #[serde(default)]
    pub on: String,
    /// Dev loss before and after, nats per summary token.
    pub loss: [f64; 2],
    /// The change.
    pub delta: Change,
    /// Share of all entries that is zero, before and after.
    pub sparsity: [f64; 2],
    /// Share of importance left over all, before and after.
    pub retained: [f64; 2],
    /// Entries that come back with the values that they had when they were pruned.
    pub restored: usize,
    /// Seconds that it took.
    pub seconds: f64,
}

impl Measured {
    /// Whether it answers the same question. One of which it is not known what it was measured on answers none.
    pub fn is_of(&self, at: (usize, usize, usize), rule: &str, documents: [usize; 2], on: &str) -> bool {
        let is_known = !on.is_empty() && self.on == on;
        is_known && self.at == at && self.rule == rule && self.documents == documents
    }

    /// Whether the loss changes by more than two standard errors: never by one document.
    fn is_felt(&self) -> bool {
        self.delta.se.is_some_and(|se| self.delta.mean.abs() > 2.0 * se)
    }

    fn costs(&self) -> bool {
        self.delta.mean > 0.0 && self.is_felt()
    }

    fn lowers(&self) -> bool {
        self.delta.mean < 0.0 && self.is_felt()
    }

    /// On how many: `8 documents`.
    fn on_how_many(&self) -> String {
        let [from, to] = self.documents;
        counted(to.saturating_sub(from), "document")
    }

    /// Whether every figure is a number, so that its line can be read again.
    fn is_finite(&self) -> bool {
        let Change { mean, se } = self.delta;
        let pairs = [self.loss, self.sparsity, self.retained];
        let single = [self.ratio, mean, se.unwrap_or(0.0), self.seconds];
        pairs.as_flattened().iter().chain(&single).all(|x| x.is_finite())
    }
}

/// Groups that are named in a sentence.
const NAMED: usize = 4;

/// What the measurements at `ratio` say, in a sentence or two: of the roles, where related adapters were pruned together, and
/// of the single adapters' factors. It names what costs the most, what lowers the loss the most, and what does nothing that
/// could be told from none (within two standard errors, so never by one document). `None` before they are measured; of how
/// many parts it speaks stands in it.
pub fn guidance(all: &[Measured], ratio: f64) -> Option<String> {
    let of = |by: By| {
        let mut parts: Vec<&Measured> = all.iter().filter(|m| m.by == by && m.ratio == ratio).collect();
        parts.sort_by(|a, b| b.delta.mean.total_cmp(&a.delta.mean));
        parts
    };
    let (roles, parts) = (of(By::RoleFactor), of(By::AdapterFactor));
    let count = parts.len();
    match (of_roles(&roles), of_parts(&parts)) {
        (Some(roles), Some(parts)) => {
            Some(format!("pruned alone to {ratio}: {roles}. Of {}, {parts}", counted(count, "single part")))
        }
        (Some(roles), None) => Some(format!("pruned alone to {ratio}: {roles}")),
        (None, parts) => parts.map(|parts| format!("of {} pruned alone to {ratio}, {parts}", counted(count, "part"))),
    }
}

/// Of the roles' factors, the dearest first: `related adapters' B and A cost nothing that 8 documents can tell; the target's A
/// costs the most: +0.0200 ± 0.0040 nats`. Without related adapters a role says what its adapter says.
fn of_roles(parts: &[&Measured]) -> Option<String> {
    let role = |m: &Measured| m.group.split(' ').next().unwrap_or_default().to_owned();
    let called = |role: &str, factors: &[&str]| {
        let of = if role == "target" { "the target's".to_owned() } else { format!("{role} adapters'") };
        format!("{of} {}", factors.join(" and "))
    };
    let name = |m: &Measured| called(&role(m), &[m.group.split(' ').nth(1).unwrap_or_default()]);
    let (first, last) = (parts.first()?, parts.last()?);
    if !parts.iter().any(|m| role(m) == "related") {
        return None;
    }
    let mut free: Vec<(String, Vec<&str>)> = Vec::new();
    for part in parts.iter().rev().filter(|m| !m.is_felt()) {
        let factor = part.group.split(' ').nth(1).unwrap_or_default();
        match free.iter_mut().find(|(of, _)| *of == role(part)) {
            Some((_, factors)) => factors.push(factor),
            None => free.push((role(part), vec![factor])),
        }
    }
    let mut said = Vec::new();
    if !free.is_empty() {
        let is_one = free.len() == 1 && free[0].1.len() == 1;
        let named: Vec<String> = free.iter().map(|(of, factors)| called(of, factors)).collect();
        let cost = if is_one { "costs" } else { "cost" };
        said.push(format!("{} {cost} nothing that {} can tell", named.join(" and "), first.on_how_many()));
    }
    if first.costs() {
        said.push(format!("{} costs the most: {} nats", name(first), first.delta.shown(4)));
    }
    if last.lowers() {
        said.push(format!("{} lowers the loss the most: {} nats", name(last), last.delta.shown(4)));
    }
    Some(said.join("; "))
}

/// Of single adapters' factors, the dearest first.
fn of_parts(parts: &[&Measured]) -> Option<String> {
    let (first, last) = (parts.first()?, parts.last()?);
    let free: Vec<&str> = parts.iter().rev().filter(|m| !m.is_felt()).map(|m| m.group.as_str()).collect();
    let on = first.on_how_many();
    let mut said = Vec::new();
    if first.costs() {
        said.push(format!("{} costs the most: {} nats", first.group, first.delta.shown(4)));
    } else {
        said.push(format!("no adapter's A or B costs loss that {on} can tell"));
    }
    if last.lowers() {
        said.push(format!("{} lowers it the most: {}", last.group, last.delta.shown(4)));
    }
    let more = match free.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    if let Some(named @ [_, ..]) = free.get(..NAMED.min(free.len())).filter(|_| first.costs()) {
        said.push(format!("no difference that {on} can tell: {}{more}", named.join(", ")));
    }
    Some(said.join("; "))
}

fn place(run: &RunDir) -> std::path::PathBuf {
    run.path().join("sensitivity.jsonl")
}

/// What was measured before; lines that are no measurement are left out.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn read(run: &RunDir) -> Result<Vec<Measured>> {
    let path = place(run);
    let mut text = Vec::new();
    match std::fs::File::open(&path) {
        Ok(mut file) => file.read_to_end(&mut text).map_err(|e| Error::io("read", &path, &e))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", &path, &e)),
    };
    Ok(text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// Adds one measurement.
///
/// # Errors
/// When a figure of it is no number, which no line could hold, or the file cannot be written.
pub fn append(run: &RunDir, measured: &Measured) -> Result<()> {
    if !measured.is_finite() {
        let group = crate::text::printable(&measured.group);
        return Err(Error::user(format!(
            "{group} pruned to {}: a measured figure is no finite number, nothing can be told",
            measured.ratio
        )));
    }
    let path = place(run);
    let json = serde_json::to_string(measured).map_err(|e| Error::fault(e.to_string()))?;
    let write = || {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        // The line before may be torn; an empty one is none.
        let torn = std::fs::read(&path)?.last().is_some_and(|last| *last != b'\n');
        file.write_all(format!("{}{json}\n", if torn { "\n" } else { "" }).as_bytes())
    };
    write().map_err(|e| Error::io("write", &path, &e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn part(group: &str, mean: f64, se: f64) -> Measured {
        Measured {
            at: (1, 7, 0),
            by: By::AdapterFactor,
            group: group.into(),
            rule: format!("* {group}=0.7"),
            ratio: 0.7,
            documents: [0, 8],
            on: "5eed".into(),
            loss: [3.5, 3.5 + mean],
            delta: Change { mean, se: Some(se) },
            sparsity: [0.5, 0.6],
            retained: [0.9, 0.8],
            restored: 0,
            seconds: 0.25,
        }
    }

    fn role(group: &str, mean: f64, se: f64) -> Measured {
        Measured { by: By::RoleFactor, ..part(group, mean, se) }
    }

    #[test]
    fn the_sentence_begins_with_the_roles() {
        let target = [role("target A", 0.02, 0.004), role("target B", 0.004, 0.001)];
        let related = [role("related A", 0.001, 0.0008), role("related B", -0.0005, 0.001)];
        assert_eq!(guidance(&target, 0.7), None, "one adapter's parts say the same");
        let mut all = [target, related].concat();
        assert_eq!(
            guidance(&all, 0.7).unwrap(),
            "pruned alone to 0.7: related adapters' B and A cost nothing that 8 documents can tell; the target's A costs the \
             most: +0.0200 ± 0.0040 nats"
        );
        all[2].delta = Change { mean: -0.01, se: Some(0.002) };
        assert_eq!(
            guidance(&all, 0.7).unwrap(),
            "pruned alone to 0.7: related adapters' B costs nothing that 8 documents can tell; the target's A costs the most: \
             +0.0200 ± 0.0040 nats; related adapters' A lowers the loss the most: -0.0100 ± 0.0020 nats"
        );
        all.push(part("games A", 0.02, 0.004));
        assert!(
            guidance(&all, 0.7)
                .unwrap()
                .ends_with("-0.0100 ± 0.0020 nats. Of 1 single part, games A costs the most: +0.0200 ± 0.0040 nats")
        );
        // By one document nothing is told.
        let by_one =
            |m: &Measured| Measured { delta: Change { mean: m.delta.mean, se: None }, documents: [0, 1], ..m.clone() };
        let all: Vec<Measured> = all[..4].iter().map(by_one).collect();
        assert_eq!(
            guidance(&all, 0.7).unwrap(),
            "pruned alone to 0.7: related adapters' A and B and the target's B and A cost nothing that 1 document can tell"
        );
    }

    #[test]
    fn the_words_of_groups_are_those_of_the_lines_and_of_the_command() {
        for by in By::ALL {
            let word = clap::ValueEnum::to_possible_value(&by).unwrap();
            assert_eq!((word.get_name(), serde_json::to_value(by).unwrap().as_str()), (by.word(), Some(by.word())));
        }
    }

    #[test]
    fn what_is_no_number_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "").unwrap();
        let run = RunDir::open(folder.path()).unwrap();
        let whole = part("games A", 0.02, 0.004);
        for bad in [
            part("games B", f64::NAN, 0.004),
            part("games B", 0.02, f64::INFINITY),
            Measured { retained: [f64::NAN, 0.8], ..whole.clone() },
        ] {
            let why = append(&run, &bad).unwrap_err().to_string();
            assert!(why.contains("pruned to 0.7: a measured figure is no finite number"), "{why}");
        }
        append(&run, &whole).unwrap();
        assert_eq!(read(&run).unwrap(), [whole]);
    }

    #[test]
    fn the_sentence_names_what_costs_and_what_does_not() {
        let all = [part("games A", 0.001, 0.0008), part("games B", 0.02, 0.004), part("sound A", -0.003, 0.001)];
        assert_eq!(
            guidance(&all, 0.7).unwrap(),
            "of 3 parts pruned alone to 0.7, games B costs the most: +0.0200 ± 0.0040 nats; sound A lowers it the most: \
             -0.0030 ± 0.0010; no difference that 8 documents can tell: games A"
        );
        assert_eq!(guidance(&all, 0.9), None);
        assert_eq!(
            guidance(&all[..1], 0.7).unwrap(),
            "of 1 part pruned alone to 0.7, no adapter's A or B costs loss that 8 documents can tell"
        );
        assert_eq!(
            guidance(&all[1..2], 0.7).unwrap(),
            "of 1 part pruned alone to 0.7, games B costs the most: +0.0200 ± 0.0040 nats"
        );
        let by_one = Measured { delta: Change { mean: 0.1, se: None }, documents: [0, 1], ..all[1].clone() };
        assert_eq!(
            guidance(&[by_one], 0.7).unwrap(),
            "of 1 part pruned alone to 0.7, no adapter's A or B costs loss that 1 document can tell"
        );
    }

    #[test]
    fn a_torn_line_costs_that_line_only() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "").unwrap();
        let run = RunDir::open(folder.path()).unwrap();
        assert_eq!(read(&run).unwrap(), []);
        let measured = |group: &str| Measured {
            at: (1, 7, 0),
            by: By::Layer,
            group: group.into(),
            rule: format!("{group}.*=0.5"),
            ratio: 0.5,
            documents: [0, 8],
            on: "5eed".into(),
            loss: [3.5, 3.6],
            delta: Change { mean: 0.1, se: None },
            sparsity: [0.5, 0.6],
            retained: [0.9, 0.8],
            restored: 0,
            seconds: 0.25,
        };
        append(&run, &measured("layers.0")).unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(place(&run)).unwrap();
        file.write_all(b"{\"at\":[1,7").unwrap();
        append(&run, &measured("layers.1")).unwrap();
        let all = read(&run).unwrap();
        assert_eq!(all, [measured("layers.0"), measured("layers.1")]);
    }

    #[test]
    fn what_was_measured_at_another_step_or_on_something_else_is_not_known() {
        let line = br#"{"at":[1,7,0],"by":"layer","group":"layers.0","rule":"layers.0.*=0.5","ratio":0.5,
            "documents":[0,8],"loss":[3.5,3.6],"delta":{"mean":0.1,"se":null},"sparsity":[0.5,0.6],
            "retained":[0.9,0.8],"restored":0,"seconds":0.25}"#;
        let old: Measured = serde_json::from_slice(line).unwrap();
        let now = Measured { on: "5eed".into(), ..old.clone() };
        let is_known = |known: &Measured, step, on| known.is_of((1, step, 0), "layers.0.*=0.5", [0, 8], on);
        assert!(is_known(&now, 7, "5eed") && !is_known(&now, 8, "5eed") && !is_known(&now, 7, "f00d"));
        assert!(!is_known(&old, 7, "5eed") && !is_known(&old, 7, ""), "a line of before");
    }
}
