//! Named sets of ratios: what the app asks for, done on disk.

use crate::app::Message;
use crate::app::ratios::{Order, Set};
use crate::recipe::sets;

/// Keeps a set, or says which there are.
pub fn carry_out(order: Order) -> Message {
    let folder = sets::folder();
    let done = match order {
        Order::Save { name, rules } => folder
            .and_then(|folder| sets::save(&folder, &name, &rules))
            .map(|path| Message::Toast(format!("saved {}", path.display()))),
        Order::List => folder.and_then(|folder| sets::list(&folder)).map(|all| {
            let set = |(name, rules): (String, crate::Result<_>)| Set { name, rules: rules.map_err(|e| e.to_string()) };
            Message::RatioSets(all.into_iter().map(set).collect())
        }),
    };
    done.unwrap_or_else(|e| Message::Toast(e.to_string()))
}
