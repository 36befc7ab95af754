//! One matrix of the module under the cursor, looked into: its entries in the newest checkpoint.

use crate::app::{App, Effect, Overlay};
use crate::run::blocks::{Blocks, Wanted};
use crate::run::event::MatrixInfo;
use std::sync::Arc;

/// What the blocks show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// The share of entries that are zero.
    #[default]
    Zeros,
    /// The mean absolute value.
    Sizes,
}

/// What is known of the matrix.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Found {
    /// It is being read.
    #[default]
    Waiting,
    /// Its blocks.
    Here(Arc<Blocks>),
    /// Why it cannot be shown.
    Not(String),
}

/// The look into one matrix.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Look {
    /// Index into [`Started::matrices`](crate::run::event::Started::matrices).
    pub matrix: usize,
    /// What the blocks show.
    pub shown: Shown,
    /// The matrix.
    pub found: Found,
    /// Matrices scrolled in the list that it was opened from.
    pub top: usize,
}

/// The matrices of the module under the cursor, with their places in the run's list.
pub fn of_module(app: &App) -> Vec<(usize, &MatrixInfo)> {
    let module = app.module();
    let all = app.started.as_ref().map_or(&[][..], |s| &s.matrices);
    all.iter().enumerate().filter(|(_, m)| m.module == module).collect()
}

/// Looks into the matrix that stands first in the list.
pub(super) fn open(app: &mut App, top: usize) -> Vec<Effect> {
    let Some(matrix) = of_module(app).get(top).map(|(at, _)| *at) else {
        app.overlay = Some(Overlay::Module { top });
        return Vec::new();
    };
    look(app, Look { matrix, top, ..Look::default() })
}

fn look(app: &mut App, look: Look) -> Vec<Effect> {
    let wanted = app.started.as_ref().and_then(|started| Wanted::of(started, look.matrix));
    let matrix = look.matrix;
    app.overlay = Some(Overlay::Matrix(look));
    wanted.map(|wanted| Effect::Look { matrix, wanted }).into_iter().collect()
}

/// A key over the matrix: the next one, another quantity, or back.
pub fn press(app: &mut App, mut now: Look, key: &str) -> Vec<Effect> {
    match key {
        "m" | "M" | "tab" | "shift-tab" => {
            now.shown = if now.shown == Shown::Zeros { Shown::Sizes } else { Shown::Zeros };
            app.overlay = Some(Overlay::Matrix(now));
        }
        "j" | "down" | "k" | "up" => {
            let all: Vec<usize> = of_module(app).into_iter().map(|(at, _)| at).collect();
            let at = all.iter().position(|m| *m == now.matrix).unwrap_or(0);
            let to = if matches!(key, "j" | "down") { at + 1 } else { at.saturating_sub(1) };
            let Some(matrix) = all.get(to).copied().filter(|m| *m != now.matrix) else {
                app.overlay = Some(Overlay::Matrix(now));
                return Vec::new();
            };
            return look(app, Look { matrix, found: Found::Waiting, top: to, ..now });
        }
        "q" => {}
        _ => app.overlay = Some(Overlay::Module { top: now.top }),
    }
    Vec::new()
}

/// A matrix was read, or not.
pub fn take(app: &mut App, matrix: usize, found: Result<Blocks, String>) {
    let Some(Overlay::Matrix(now)) = &mut app.overlay else { return };
    if now.matrix == matrix {
        now.found = found.map_or_else(|e| Found::Not(crate::app::clean::line(&e)), |b| Found::Here(Arc::new(b)));
    }
}

/// A checkpoint was written: the matrix that is looked into is read again.
pub fn again(app: &mut App) -> Vec<Effect> {
    let Some(Overlay::Matrix(now)) = &app.overlay else { return Vec::new() };
    let now = now.clone();
    look(app, now)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::Message;
    use crate::app::update::update;
    use crate::module::{Factor, ModuleId, Projection};
    use crate::run::RunState;
    use crate::run::blocks::Block;
    use crate::run::event::{AdapterInfo, Checkpoint, Event, EventBody, Started};

    /// A module with two adapters: ranks 4 and 8.
    fn app() -> App {
        let module = ModuleId::new(0, Projection::ALL[0]);
        let adapter = |role: &str| AdapterInfo { role: role.into(), ..AdapterInfo::default() };
        let a = |adapter, rows| MatrixInfo { module, adapter, factor: Factor::A, rows, cols: 32 };
        let b = |adapter, cols| MatrixInfo { module, adapter, factor: Factor::B, rows: 16, cols };
        let started = Started {
            layers: 1,
            adapters: vec![adapter("related"), adapter("target")],
            matrices: vec![a(0, 4), b(0, 4), a(1, 8), b(1, 8)],
            ..Started::default()
        };
        let mut app = App::new("x", false);
        told(&mut app, EventBody::Started(Box::new(started)));
        app
    }

    fn told(app: &mut App, body: EventBody) -> Vec<Effect> {
        let event = Event { v: 1, seq: 0, t: 1.0, body };
        update(app, Message::Run { events: vec![event], state: RunState::Running, caught_up: true })
    }

    fn press(app: &mut App, keys: &[&str]) -> Vec<Effect> {
        keys.iter().flat_map(|key| update(app, Message::Key((*key).into()))).collect()
    }

    fn looked(app: &App) -> &Look {
        let Some(Overlay::Matrix(look)) = &app.overlay else { panic!("{:?}", app.overlay) };
        look
    }

    #[test]
    fn enter_looks_into_the_first_matrix_and_the_next_one_is_read_too() {
        let mut app = app();
        let effects = press(&mut app, &["i", "enter"]);
        let [Effect::Look { matrix, wanted }] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!((*matrix, looked(&app).matrix), (0, 0));
        let first = Wanted { module: app.module(), factor: Factor::A, ranks: vec![4, 8], at: 0, alone: false };
        assert_eq!(*wanted, first);
        assert_eq!(
            Wanted::of(app.started.as_ref().unwrap(), 3),
            Some(Wanted { factor: Factor::B, at: 1, alone: true, ..first })
        );
        let effects = press(&mut app, &["j"]);
        assert!(matches!(&effects[..], [Effect::Look { matrix: 1, .. }]), "{effects:?}");
        // What comes late is of the matrix before.
        update(&mut app, Message::Looked { matrix: 0, found: Err("late".into()) });
        assert_eq!(looked(&app).found, Found::Waiting);
        let blocks = Blocks { grid: vec![vec![Block::default()]], ..Blocks::default() };
        update(&mut app, Message::Looked { matrix: 1, found: Ok(blocks) });
        assert!(matches!(looked(&app).found, Found::Here(_)));
        press(&mut app, &["m"]);
        assert_eq!(looked(&app).shown, Shown::Sizes);
        // A new checkpoint is read; what is there stays until then.
        let effects = told(&mut app, EventBody::Checkpoint(Checkpoint::default()));
        assert!(matches!(&effects[..], [Effect::Look { matrix: 1, .. }]), "{effects:?}");
        assert!(matches!(looked(&app).found, Found::Here(_)));
        update(&mut app, Message::Looked { matrix: 1, found: Err("no\x1b[2J".into()) });
        assert!(matches!(&looked(&app).found, Found::Not(text) if !text.contains('\x1b')));
        press(&mut app, &["esc"]);
        assert_eq!(app.overlay, Some(Overlay::Module { top: 1 }));
    }
}
