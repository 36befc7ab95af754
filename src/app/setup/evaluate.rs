//! What an evaluation of the recipe is to compare: methods, and the seeds that each is run with.

use super::update::{is_sound, save};
use super::{Effect, Overlay, Setup, Then};
use crate::app::prompt::Line;
use crate::recipe::{Method, Recipe};

/// Methods and seeds as they are being chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluate {
    /// The seeds, as they are typed.
    pub seeds: Line,
    /// What is wrong with them, or with the choice.
    pub error: Option<String>,
    /// The methods that suit the recipe, and whether they take part.
    pub methods: Vec<(Method, bool)>,
    /// What is under the cursor: 0 for the seeds, then the methods.
    pub at: usize,
}

/// Asks what to compare, unless no run of the recipe could be started.
pub(super) fn open(setup: &mut Setup) {
    if !is_sound(setup) {
        return;
    }
    let Ok(recipe) = Recipe::parse_as(&setup.draft.text(), &setup.file) else { return };
    let chosen = recipe.compared();
    let methods = Method::ALL.into_iter().filter(|method| recipe.prunes() || !method.prunes());
    let methods = methods.map(|method| (method, chosen.contains(&method))).collect();
    let seeds = Line::new(&recipe.seed.to_string());
    setup.overlay = Some(Overlay::Evaluate(Evaluate { seeds, error: None, methods, at: 0 }));
}

/// The seeds of a line: whole numbers, each once, between commas or spaces.
fn seeds(text: &str) -> Result<Vec<u64>, String> {
    let mut all = Vec::new();
    for word in text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()) {
        let seed = word.parse().map_err(|_| format!("{word:?} is no seed: whole numbers are needed, as 1,2,3"))?;
        if all.contains(&seed) {
            return Err(format!("{seed} stands there twice"));
        }
        all.push(seed);
    }
    if all.is_empty() { Err("at least one seed is needed".into()) } else { Ok(all) }
}

/// A paste, which only the seeds take.
pub(super) fn paste(setup: &mut Setup, mut asked: Evaluate, text: &str) {
    if asked.at == 0 {
        asked.seeds.insert(text.lines().next().unwrap_or_default());
        asked.error = seeds(asked.seeds.text()).err();
    }
    setup.overlay = Some(Overlay::Evaluate(asked));
}

/// A key while it is asked.
pub(super) fn press(setup: &mut Setup, mut asked: Evaluate, key: &str) -> Vec<Effect> {
    let count = asked.methods.len() + 1;
    match key {
        "esc" => return Vec::new(),
        "enter" => match seeds(asked.seeds.text()) {
            Err(sentence) => (asked.at, asked.error) = (0, Some(sentence)),
            Ok(seeds) => {
                let methods: Vec<Method> = asked.methods.iter().filter(|(_, on)| *on).map(|(m, _)| *m).collect();
                return save(setup, Then::Evaluate(methods, seeds));
            }
        },
        "down" | "tab" => asked.at = (asked.at + 1) % count,
        "up" | "shift-tab" => asked.at = (asked.at + count - 1) % count,
        _ if asked.at == 0 => {
            asked.seeds.key(key);
            asked.error = seeds(asked.seeds.text()).err();
        }
        "j" => asked.at = (asked.at + 1) % count,
        "k" => asked.at = (asked.at + count - 1) % count,
        "home" => asked.at = 0,
        "end" => asked.at = count - 1,
        "space" => asked.methods[asked.at - 1].1 ^= true,
        "a" => {
            let all = asked.methods.iter().all(|(_, on)| *on);
            asked.methods.iter_mut().for_each(|(_, on)| *on = !all);
        }
        _ => {}
    }
    setup.overlay = Some(Overlay::Evaluate(asked));
    Vec::new()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::super::{Message, update};
    use super::*;
    use std::path::Path;

    const FILE: &str = "base = \"b\"\nseed = 7\n[data]\ntrain = \"t\"\ndev = \"d\"\n[eval]\nmethods = [\"zero-shot\", \
                        \"ties\"]\n[[adapters]]\nname = \"games\"\nrole = \"target\"\n";

    fn form(text: &str) -> Setup {
        Setup::new(Path::new("/p/r.toml"), text, Some(text.into()), None).unwrap()
    }

    fn press(form: &mut Setup, keys: &[&str]) -> Vec<Effect> {
        keys.iter().flat_map(|key| update(form, Message::Key((*key).into()))).collect()
    }

    fn asked(form: &Setup) -> &Evaluate {
        let Some(Overlay::Evaluate(asked)) = &form.overlay else { panic!("{:?}", form.overlay) };
        asked
    }

    #[test]
    fn the_recipe_s_methods_and_seed_are_chosen_at_first() {
        let mut form = form(FILE);
        press(&mut form, &["E"]);
        let on: Vec<Method> = asked(&form).methods.iter().filter(|m| m.1).map(|m| m.0).collect();
        assert_eq!((on, asked(&form).seeds.text()), (vec![Method::ZeroShot, Method::Ties], "7"));
        // Seeds are typed; a method is switched off; what is wrong is said and nothing starts.
        press(&mut form, &[",", "x"]);
        assert!(asked(&form).error.as_ref().unwrap().contains("\"x\" is no seed"));
        assert!(press(&mut form, &["enter"]).is_empty() && asked(&form).at == 0);
        press(&mut form, &["backspace", "8", "down", "space"]);
        let effects = press(&mut form, &["enter"]);
        let then = Then::Evaluate(vec![Method::Ties], vec![7, 8]);
        assert!(matches!(&effects[..], [Effect::Save { then: now, .. }] if *now == then), "{effects:?}");
        let saved = update(&mut form, Message::Saved("/p/r.toml".into(), FILE.into(), then));
        assert_eq!(saved, [Effect::Evaluate("/p/r.toml".into(), vec![Method::Ties], vec![7, 8])]);
        assert_eq!(
            update(&mut form, Message::Evaluating("/runs/r-eval".into())),
            [Effect::Study("/runs/r-eval".into())]
        );
        assert!(!form.starting);
    }

    #[test]
    fn without_pruning_no_way_to_prune_is_offered_and_a_wrong_recipe_not_evaluated() {
        let plain = FILE.replace("[eval]\nmethods = [\"zero-shot\", \"ties\"]\n", "[prune]\nratio = 0.0\n");
        let mut form = form(&plain);
        press(&mut form, &["E"]);
        // Nothing trains its target adapter before: what would take it as it is can be chosen, and is not.
        let fits = |(method, on): &(Method, bool)| !method.prunes() && *on != method.takes_target_as_it_is();
        assert!(asked(&form).methods.iter().all(fits));
        press(&mut form, &["down", "a", "a"]);
        assert!(asked(&form).methods.iter().all(|(_, on)| !on));
        press(&mut form, &["esc"]);
        let mut wrong = self::form("base = \"b\"\n");
        press(&mut wrong, &["E"]);
        assert!(wrong.overlay.is_none() && wrong.toast.as_ref().unwrap().0.starts_with("not started: "));
    }

    #[test]
    fn seeds_are_whole_numbers_each_once() {
        assert_eq!(seeds(" 1, 2 3,"), Ok(vec![1, 2, 3]));
        for (text, why) in [("", "at least one"), ("1,1", "twice"), ("-1", "no seed"), ("1.5", "no seed")] {
            assert!(seeds(text).unwrap_err().contains(why), "{text}");
        }
    }
}
