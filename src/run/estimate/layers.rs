//! Which layers keep their activations: as the recipe says, or as the memory allows.

use super::bytes;
use super::need::{self, Need, Prompts};
use crate::model::config::Config;
use crate::model::matrix::Hold;
use crate::model::{device, rounded};
use crate::module::ModuleId;
use crate::recipe::{Importance, OptimizerKind, Recipe};

/// What the layers of a decoder keep for the way back.
///
/// A layer that keeps its input alone is run forward again on the way back: the same operations on the same numbers, and
/// the same dropout masks, which follow from seed, stage, step, pass, module and place. So a run that is resumed where more
/// or less memory is free may be faster or slower, and goes on to the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layers {
    /// So many at the top keep everything.
    pub whole: usize,
    /// All of them.
    pub of: usize,
}

impl Layers {
    /// How many are run forward again.
    pub fn again(self) -> usize {
        self.of.saturating_sub(self.whole)
    }

    /// `recomputes 12 of 32 layers: 9.1 GB free`; `None` where none is.
    pub fn told(self, free: Option<u64>) -> Option<String> {
        let free = free.map(|free| format!(": {} free", bytes(free))).unwrap_or_default();
        (self.again() > 0).then(|| format!("recomputes {} of {} layers{free}", self.again(), self.of))
    }

    /// How many are run forward again, by a sentence of [`Self::told`].
    pub(super) fn again_in(text: &str) -> Option<usize> {
        let (again, rest) = text.strip_prefix("recomputes ")?.split_once(" of ")?;
        again.parse().ok().filter(|_| rest.contains(" layers"))
    }
}

/// A task, as far as it decides on what its steps need.
#[derive(Debug, Clone)]
pub struct Loaded<'a> {
    /// The base's configuration.
    pub config: &'a Config,
    /// Base and activations in bf16.
    pub half: bool,
    /// On a card.
    pub card: bool,
    /// Every module of every adapter, with its rank there.
    pub ranks: Vec<(ModuleId, usize)>,
    /// Whether training drops some of the adapters' input.
    pub dropout: bool,
    /// Training examples: (prompt tokens, all tokens).
    pub sequences: Vec<(usize, usize)>,
}

/// What the layers of a task keep that is loaded, where `free` bytes are left; all of them everything where that is not
/// known and the recipe leaves it to the memory.
pub fn layers(recipe: &Recipe, loaded: Loaded<'_>, free: Option<u64>) -> Layers {
    let of = loaded.config.layers;
    let need = of_step(recipe, loaded);
    Layers { whole: need.chosen(recipe.train.recompute, free, true), of }
}

/// What the largest step needs; what a base takes that stays as it is stored is left to the caller.
pub(super) fn of_step(recipe: &Recipe, loaded: Loaded<'_>) -> Need {
    let Loaded { config, half, card, ranks: modules, dropout, sequences: mut train } = loaded;
    // The longest examples in one step: an epoch's order may bring them together.
    train.sort_unstable_by_key(|s| std::cmp::Reverse(s.1));
    train.truncate(recipe.train.batch);
    let steps = need::passes(&train, recipe.train.micro_tokens);
    let mut ranks = vec![0; config.layers];
    let mut numbers = 0;
    for (module, rank) in modules {
        let (d_out, d_in) = config.linear_shape(module.projection);
        numbers += (rank * (d_in + d_out)) as u64;
        ranks[module.layer] += rank;
    }
    let hold = device::hold(recipe.dtype, card);
    Need {
        config: config.clone(),
        ranks,
        numbers,
        half,
        packed: (hold != Hold::Numbers).then_some(0),
        halves: hold == Hold::Halves,
        rounds: hold == Hold::Halves && rounded::unit(),
        card,
        whole: config.layers,
        dropout,
        moments: if recipe.train.optimizer == OptimizerKind::Adamw { 2 } else { 0 },
        sensitivity: recipe.prune.importance == Importance::Sensitivity,
        prunes: recipe.prunes(),
        passes: steps.len(),
        largest: need::fullest(steps),
        evaluation: Vec::new(),
        samples: Prompts::default(),
        summaries: Prompts::default(),
        threads: rayon::current_num_threads(),
        encoder: 0,
        tokenizer: 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::module::Projection;

    const RECIPE: &str =
        "base = 'b'\n[data]\ntrain = 't'\ndev = 'd'\n[[adapters]]\nname = 'x'\nrole = 'target'\n[train]\n";

    fn loaded(config: &Config) -> Loaded<'_> {
        let modules = (0..config.layers).map(|layer| (ModuleId::new(layer, Projection::QProj), 8));
        let (ranks, sequences) = (modules.collect(), vec![(240, 256); 9]);
        Loaded { config, half: false, card: false, ranks, dropout: false, sequences }
    }

    #[test]
    fn a_task_recomputes_as_its_recipe_and_the_memory_say() {
        let config = Config::parse(
            r#"{"model_type":"llama","hidden_size":576,"intermediate_size":1536,"num_hidden_layers":30,
            "num_attention_heads":9,"num_key_value_heads":3,"vocab_size":49152,"tie_word_embeddings":true,
            "max_position_embeddings":8192}"#,
        )
        .unwrap();
        let whole = |recompute: &str, free| {
            let recipe = Recipe::parse(&format!("{RECIPE}{recompute}")).unwrap();
            let layers = layers(&recipe, loaded(&config), free);
            assert_eq!(layers.of, 30);
            layers.whole
        };
        let much = Some(1 << 40);
        assert_eq!([whole("", much), whole("", None), whole("recompute = 'auto'", much)], [30; 3]);
        assert_eq!([whole("recompute = false", Some(0)), whole("recompute = false", much)], [30; 2]);
        assert_eq!([whole("recompute = true", Some(0)), whole("recompute = true", much), whole("", Some(0))], [1; 3]);
        // Less memory is never more layers, and somewhere between there are some.
        let steps: Vec<usize> = (0..60).map(|i| whole("", Some(i * 100_000_000))).collect();
        assert!(steps.windows(2).all(|pair| pair[0] <= pair[1]), "{steps:?}");
        assert!(steps.iter().any(|whole| (2..30).contains(whole)) && steps[59] == 30, "{steps:?}");
    }

    #[test]
    fn what_was_chosen_is_told_and_understood_again() {
        let layers = Layers { whole: 20, of: 32 };
        let text = layers.told(Some(9_100_000_000)).unwrap();
        assert_eq!(text, "recomputes 12 of 32 layers: 9.1 GB free");
        assert_eq!(Layers::again_in(&text), Some(12));
        assert_eq!(Layers { whole: 32, of: 32 }.told(Some(1)), None);
        assert_eq!(Layers::again_in("goes on from stage 1, step 2"), None);
    }
}
