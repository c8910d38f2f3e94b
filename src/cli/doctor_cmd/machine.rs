//! This machine: specs, directories, disk, memory, open files, the store, the socket.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Finding;
use crate::daemon::config::Config;
use backtestd_store::{Store, load_specs};

/// Free space below which a day of history and a run may not fit, and below which it is time to look, MB.
const SPACE_MB: (u64, u64) = (200, 2000);
/// Memory for a handful of symbols, and for each further one, MB (docs/memory.md).
const MEMORY_MB: (u64, u64) = (300, 8);
/// Open files: the store's tables, sockets, readers.
const OPEN_FILES: u64 = 2048;

/// Everything that can be looked at without the network.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let mut findings = vec![spec(&config.spec)];
    findings.push(directory("state", &config.state, "--state or BACKTESTD_STATE"));
    findings.push(directory("data", &config.data_root, "--data-root or BACKTEST_DATA_ROOT"));
    findings.extend(blueprints(&config.data_root));
    findings.extend(space(&config.state));
    findings.extend(memory(config.symbols.len() as u64));
    findings.extend(open_files());
    findings.push(store(&config.state));
    findings.push(socket(&config.socket));
    findings
}

fn spec(dir: &Path) -> Finding {
    match load_specs(dir) {
        Ok(spec) => Finding::fine("specs", format!("{}: {}", dir.display(), spec.hash)),
        Err(error) => {
            let first = error.to_string();
            let first = first.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
            let advice = format!(
                "`backtestd spec check --spec {}` shows file, line and what was meant",
                dir.display()
            );
            Finding::wrong("specs", format!("{}: {first}", dir.display()), advice)
        }
    }
}

/// The nearest folder above that exists.
fn existing(dir: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(dir).ok()?;
    absolute.ancestors().find(|dir| dir.exists()).map(Path::to_owned)
}

/// Whether this user can write there, by doing it.
fn directory(subject: &'static str, dir: &Path, option: &str) -> Finding {
    let Some(at) = existing(dir) else {
        return Finding::wrong(
            subject,
            format!("{} cannot be made", dir.display()),
            format!("choose another with {option}"),
        );
    };
    let probe = at.join(format!(".backtestd-doctor-{}", std::process::id()));
    match fs::write(&probe, b"x") {
        Ok(()) => {
            // What could be written can be removed.
            let _ = fs::remove_file(&probe);
            let note = if at == dir { "" } else { " (will be made)" };
            Finding::fine(subject, format!("{} can be written{note}", dir.display()))
        }
        Err(error) => {
            let advice = format!("give it to the daemon's user (chown), or choose another with {option}");
            Finding::wrong(subject, format!("{}: {error}", at.display()), advice)
        }
    }
}

/// Whether other users can read what is published: NautilusTrader usually is one.
fn blueprints(data_root: &Path) -> Option<Finding> {
    let dir = data_root.join("blueprints");
    let closed = dir.canonicalize().ok()?.ancestors().find_map(|dir| {
        let mode = fs::metadata(dir).ok()?.permissions().mode();
        (mode & 0o011 == 0).then(|| (dir.to_owned(), mode & 0o777))
    });
    Some(match closed {
        None => Finding::fine("blueprints", format!("{} can be reached by others", dir.display())),
        Some((closed, mode)) => Finding::warning(
            "blueprints",
            format!("{} has mode {mode:03o}: nobody else gets to {}", closed.display(), dir.display()),
            "let the reader's group in (chgrp, chmod g+rx), see systemd/README.md",
        ),
    })
}

fn space(state: &Path) -> Option<Finding> {
    let output = Command::new("df").args(["-Pk"]).arg(existing(state)?).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let free_mb = text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()? / 1024;
    let seen = format!("{free_mb} MB free at {}", state.display());
    let advice =
        "free space or move the store; a full disk stops the daemon, which comes back when there is room";
    Some(if free_mb < SPACE_MB.0 {
        Finding::wrong("disk", seen, advice)
    } else if free_mb < SPACE_MB.1 {
        Finding::warning("disk", seen, advice)
    } else {
        Finding::fine("disk", seen)
    })
}

fn memory(symbols: u64) -> Option<Finding> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free_mb = line.split_whitespace().next()?.parse::<u64>().ok()? / 1024;
    let needed_mb = MEMORY_MB.0 + MEMORY_MB.1 * symbols;
    let seen = format!("{free_mb} MB available, about {needed_mb} MB needed for {symbols} symbols");
    Some(if free_mb < needed_mb {
        Finding::warning("memory", seen, "follow fewer symbols, or give the machine more")
    } else {
        Finding::fine("memory", seen)
    })
}

fn open_files() -> Option<Finding> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    let limit = if soft == "unlimited" { u64::MAX } else { soft.parse().ok()? };
    Some(if limit < OPEN_FILES {
        let advice = format!("raise it: `ulimit -n {OPEN_FILES}`, or LimitNOFILE= in the unit");
        Finding::warning("open files", format!("at most {soft}"), advice)
    } else {
        Finding::fine("open files", format!("at most {soft}"))
    })
}

/// Opens it, which reads its layout and its newest state; a daemon that has it open is fine too.
fn store(state: &Path) -> Finding {
    if !state.exists() {
        return Finding::fine("store", "none yet; the first start makes one");
    }
    // Nothing is made where there is nothing: only what looks like a store is opened.
    if fs::read_dir(state).is_ok_and(|mut entries| entries.next().is_none()) {
        return Finding::fine("store", "an empty directory; the first start makes one");
    }
    match Store::open(state) {
        Ok(store) => match store.committed() {
            Ok(None) => Finding::fine("store", "sound, nothing computed yet"),
            Ok(Some(bar)) => Finding::fine("store", format!("sound, committed up to {}", bar.close())),
            Err(error) => Finding::wrong("store", error.to_string(), "`backtestd verify` looks closer"),
        },
        Err(error) if error.to_string().contains("in use") => Finding::fine("store", error.to_string()),
        Err(error) => Finding::wrong(
            "store",
            error.to_string(),
            "restore the directory from a copy, or move it away: history is fetched again",
        ),
    }
}

fn socket(path: &Path) -> Finding {
    let shown = path.display();
    let Ok(metadata) = fs::symlink_metadata(path) else {
        let parent = path.parent().unwrap_or(Path::new("."));
        return match directory("socket", parent, "--socket or BACKTESTD_SOCKET") {
            fine if fine.grade == super::Grade::Fine => Finding::fine("socket", format!("{shown} is free")),
            found => found,
        };
    };
    let is_socket = {
        use std::os::unix::fs::FileTypeExt;
        metadata.file_type().is_socket()
    };
    if !is_socket {
        return Finding::wrong(
            "socket",
            format!("{shown} is no socket"),
            "move it away, or choose another --socket",
        );
    }
    match UnixStream::connect(path) {
        Ok(_) => Finding::fine("socket", format!("a daemon answers on {shown}")),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Finding::warning(
            "socket",
            format!("{shown}: {error}"),
            "join the group of the socket, or ask as the daemon's user",
        ),
        Err(_) => Finding::fine("socket", format!("{shown} is left over; the next start replaces it")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_directory_that_can_be_written_is_fine_and_a_file_in_its_place_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        assert_eq!(directory("state", &inner, "--state").grade, Grade::Fine);
        assert!(fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing is left behind");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(directory("state", &file.join("x"), "--state").grade, Grade::Wrong);
    }

    #[test]
    fn closed_folders_hide_the_blueprints() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(blueprints(dir.path()), None, "nothing published, nothing to reach");
        fs::create_dir(dir.path().join("blueprints")).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let found = blueprints(dir.path()).unwrap();
        assert!(found.grade == Grade::Warning && found.seen.contains("700"), "{found:?}");
    }

    #[test]
    fn a_store_that_is_not_there_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        assert_eq!(store(&state).grade, Grade::Fine);
        assert!(!state.exists());
        fs::create_dir(&state).unwrap();
        assert_eq!(store(&state).grade, Grade::Fine);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    }
}
