//! Frames that were refused, kept with the reason in a file that rotates: nothing is dropped silently, and
//! nothing fills the disk.
//!
//! One JSON object a line: `{"at":…,"route":…,"reason":…,"frame":…}`. A file that has grown to its size
//! becomes `.1`, and so on; the oldest goes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde_json::json;

use backtestd_binance::RefusedFrame;
use backtestd_core::market::Ts;

/// Name of the file below the state directory.
const FILE: &str = "refused/frames.jsonl";
/// Size at which a file is put aside, bytes.
const FILE_BYTES: u64 = 4 << 20;
/// Files beside the open one.
const FILES: u32 = 4;
/// Frames that may wait for the disk; further ones are only counted.
const QUEUE: usize = 1024;

/// Takes refused frames; writes them on a thread of its own.
#[derive(Debug)]
pub(crate) struct RefusedFrames {
    frames: SyncSender<String>,
}

impl RefusedFrames {
    /// Below the state directory. Nothing is made before the first frame is refused.
    pub(crate) fn start(state: &Path) -> Self {
        let (frames, waiting) = sync_channel(QUEUE);
        let path = state.join(FILE);
        let body = move || write(&path, &waiting);
        if let Err(error) = std::thread::Builder::new().name("refused".to_owned()).spawn(body) {
            tracing::error!(%error, "refused frames cannot be kept");
        }
        Self { frames }
    }

    /// Keeps a frame; says whether there was room.
    pub(crate) fn keep(&self, frame: &RefusedFrame, arrival: Ts) -> bool {
        let RefusedFrame { route, reason, frame } = frame;
        let line =
            json!({ "at": arrival.to_string(), "route": route.name(), "reason": reason, "frame": frame });
        self.frames.try_send(format!("{line}\n")).is_ok()
    }
}

fn write(path: &Path, frames: &Receiver<String>) {
    let mut open: Option<(File, u64)> = None;
    while let Ok(line) = frames.recv() {
        if let Err(error) = append(path, &mut open, &line) {
            tracing::warn!(%error, path = %path.display(), "a refused frame could not be kept");
            open = None;
        }
    }
}

fn append(path: &Path, open: &mut Option<(File, u64)>, line: &str) -> std::io::Result<()> {
    if open.as_ref().is_some_and(|(_, bytes)| *bytes >= FILE_BYTES) {
        *open = None;
        rotate(path)?;
    }
    if open.is_none() {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        *open = Some((file, bytes));
    }
    if let Some((file, bytes)) = open {
        file.write_all(line.as_bytes())?;
        *bytes += line.len() as u64;
    }
    Ok(())
}

/// `frames.jsonl` → `frames.jsonl.1` → … The last one is overwritten.
fn rotate(path: &Path) -> std::io::Result<()> {
    let aside = |n: u32| -> PathBuf { path.with_extension(format!("jsonl.{n}")) };
    for n in (1..FILES).rev() {
        if aside(n).exists() {
            std::fs::rename(aside(n), aside(n + 1))?;
        }
    }
    std::fs::rename(path, aside(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_binance::Route;

    #[test]
    fn frames_are_kept_with_their_reason_and_the_oldest_file_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let mut open = None;
        let line = format!("{}\n", "x".repeat(1 << 20));
        for _ in 0..40 {
            append(&path, &mut open, &line).unwrap();
        }
        let mut names: Vec<String> = std::fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let aside = (1..=FILES).map(|n| format!("frames.jsonl.{n}"));
        assert_eq!(names, ["frames.jsonl".to_owned()].into_iter().chain(aside).collect::<Vec<_>>());
    }

    #[test]
    fn a_frame_is_a_line_of_json() {
        let dir = tempfile::tempdir().unwrap();
        let refused = RefusedFrames::start(dir.path());
        let frame = RefusedFrame {
            route: Route::Spot,
            reason: "k.v: \"no\" is no number".to_owned(),
            frame: "{\"e\":\"kline\"\n".to_owned(),
        };
        assert!(refused.keep(&frame, Ts(0)));
        let path = dir.path().join(FILE);
        let text = (0..200)
            .find_map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))
            })
            .unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["frame"], "{\"e\":\"kline\"\n");
        assert_eq!(value["route"], "spot");
    }
}
