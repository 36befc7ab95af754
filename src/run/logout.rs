//! Whether a worker outlives its user's log-out: systemd may be set to kill what a session leaves behind.

use std::path::{Path, PathBuf};

/// What happens to processes at log-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtLogout {
    /// They stay.
    Stay,
    /// They are killed.
    Killed,
    /// systemd is there, and nothing says what it does.
    Unknown,
}

/// What this machine does with processes of `user` at log-out.
pub fn here(user: &str) -> AtLogout {
    if !Path::new("/run/systemd/system").is_dir() {
        return AtLogout::Stay;
    }
    let texts: Vec<String> =
        files(Path::new("/")).iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    decide(&texts, user)
}

/// logind's files below `root`, in the order in which they are read: a later one counts.
fn files(root: &Path) -> Vec<PathBuf> {
    let places = ["usr/lib/systemd", "usr/local/lib/systemd", "run/systemd", "etc/systemd"].map(|p| root.join(p));
    // Of the main file the first that is found counts, the one in /etc before the others.
    let mut all: Vec<PathBuf> =
        places.iter().rev().map(|place| place.join("logind.conf")).find(|path| path.is_file()).into_iter().collect();
    let mut parts: Vec<PathBuf> = Vec::new();
    for place in places {
        let entries = std::fs::read_dir(place.join("logind.conf.d")).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "conf")) {
            // A file of the same name in a later place takes the place of the earlier one.
            parts.retain(|old| old.file_name() != path.file_name());
            parts.push(path);
        }
    }
    parts.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    all.append(&mut parts);
    all
}

/// What logind's files, in their order, say of `user`.
pub fn decide(texts: &[String], user: &str) -> AtLogout {
    let (mut kills, mut built_in) = (None, None);
    let (mut only, mut exclude): (Vec<String>, Vec<String>) = (Vec::new(), vec!["root".into()]);
    let words = |value: &str| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for line in texts.iter().flat_map(|text| text.lines()).map(str::trim) {
        // The file that comes with systemd has every setting as a comment, with the value that is built in.
        if let Some((_, value)) = line.strip_prefix('#').and_then(|l| l.split_once("KillUserProcesses=")) {
            built_in = flag(value).or(built_in);
        }
        match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("KillUserProcesses", value)) => kills = flag(value).or(kills),
            Some(("KillOnlyUsers", value)) => only = words(value),
            Some(("KillExcludeUsers", value)) => exclude = words(value),
            _ => {}
        }
    }
    let named = |list: &[String]| list.iter().any(|name| name == user);
    match kills.or(built_in) {
        None => AtLogout::Unknown,
        Some(true) if (only.is_empty() || named(&only)) && !named(&exclude) => AtLogout::Killed,
        Some(_) => AtLogout::Stay,
    }
}

/// A boolean as systemd reads it.
fn flag(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// Name of this user, from the environment.
pub fn user() -> String {
    ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|n| !n.is_empty()))
        .unwrap_or_else(|| if rustix::process::geteuid().is_root() { "root".into() } else { String::new() })
}

/// Whether the user's own service manager stays after the last log-out.
pub fn lingers(user: &str) -> bool {
    !user.is_empty() && !user.contains('/') && Path::new("/var/lib/systemd/linger").join(user).exists()
}

/// Whether `systemd-run --user --scope` can be tried: it is installed and the user's manager listens.
pub fn has_scopes() -> bool {
    let listens = std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|d| Path::new(&d).join("systemd/private").exists());
    let path = std::env::var_os("PATH").unwrap_or_default();
    listens && std::env::split_paths(&path).any(|folder| folder.join("systemd-run").is_file())
}

/// What `lopper health` says.
pub fn advice() -> String {
    let user = user();
    match (here(&user), has_scopes(), lingers(&user)) {
        (AtLogout::Stay, ..) => "workers stay".into(),
        (AtLogout::Killed, true, true) => {
            "processes are killed (KillUserProcesses=yes); workers start in a scope of their own and stay".into()
        }
        (AtLogout::Killed, true, false) => format!(
            "processes are killed (KillUserProcesses=yes); workers start in a scope of their own, which stays after \
             `loginctl enable-linger {user}`"
        ),
        (AtLogout::Killed, false, _) => format!(
            "processes are killed (KillUserProcesses=yes), workers too: `loginctl enable-linger {user}`, then \
             `systemd-run --user --scope tmux` and lopper within it"
        ),
        (AtLogout::Unknown, ..) => format!(
            "not known whether systemd kills processes; `loginctl enable-linger {user}` and `systemd-run --user \
             --scope tmux` are safe"
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn said(texts: &[&str], user: &str) -> AtLogout {
        decide(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>(), user)
    }

    #[test]
    fn the_last_file_counts_and_a_comment_tells_what_is_built_in() {
        assert_eq!(said(&[], "ann"), AtLogout::Unknown);
        assert_eq!(said(&["[Login]\n#KillUserProcesses=no\n"], "ann"), AtLogout::Stay);
        assert_eq!(said(&["[Login]\n#KillUserProcesses=yes\n"], "ann"), AtLogout::Killed);
        assert_eq!(said(&["#KillUserProcesses=no\n", " KillUserProcesses = true \n"], "ann"), AtLogout::Killed);
        assert_eq!(said(&["KillUserProcesses=yes\n", "KillUserProcesses=off\n"], "ann"), AtLogout::Stay);
        assert_eq!(said(&["KillUserProcesses=yes\nKillUserProcesses=perhaps\n"], "ann"), AtLogout::Killed);
    }

    #[test]
    fn users_are_left_out_or_alone_meant() {
        assert_eq!(said(&["KillUserProcesses=yes"], "root"), AtLogout::Stay);
        assert_eq!(said(&["KillUserProcesses=yes\nKillExcludeUsers=\n"], "root"), AtLogout::Killed);
        assert_eq!(said(&["KillUserProcesses=yes\nKillExcludeUsers=root ann"], "ann"), AtLogout::Stay);
        assert_eq!(said(&["KillUserProcesses=yes\nKillOnlyUsers=bob"], "ann"), AtLogout::Stay);
        assert_eq!(said(&["KillUserProcesses=yes\nKillOnlyUsers=bob ann"], "ann"), AtLogout::Killed);
    }

    #[test]
    fn files_come_in_the_order_in_which_logind_reads_them() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        write("usr/lib/systemd/logind.conf");
        write("etc/systemd/logind.conf");
        write("etc/systemd/logind.conf.d/10-a.conf");
        write("usr/lib/systemd/logind.conf.d/10-a.conf");
        write("usr/lib/systemd/logind.conf.d/20-b.conf");
        write("etc/systemd/logind.conf.d/notes.txt");
        let found: Vec<String> = files(root.path())
            .iter()
            .map(|path| path.strip_prefix(root.path()).unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            found,
            [
                "etc/systemd/logind.conf",
                "etc/systemd/logind.conf.d/10-a.conf",
                "usr/lib/systemd/logind.conf.d/20-b.conf"
            ]
        );
    }
}
