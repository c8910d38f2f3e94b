//! Versions on disk: when one appears, crashes on the way, and what a reader sees.

use std::fs;
use std::io;

use super::*;
use crate::publish::version::{Step, publish_stepwise};

#[test]
fn the_first_publication_may_be_empty_and_says_why() {
    let root = tempfile::tempdir().unwrap();
    let published = publish_version(root.path(), &[], &context(1)).unwrap();
    assert!(published.changed);
    assert_eq!(published.version, "v000001");
    assert_eq!(published.manifest.reasons, ["no candidate passed"]);
    assert!(read_current(root.path()).unwrap().unwrap().blueprints.is_empty());
    assert!(!publish_version(root.path(), &[], &context(2)).unwrap().changed);
}

#[test]
fn a_version_appears_only_when_the_content_changed() {
    let root = tempfile::tempdir().unwrap();
    let mut blueprint = example();
    publish_version(root.path(), std::slice::from_ref(&blueprint), &context(1)).unwrap();
    // A later run with the same content: only its provenance differs.
    blueprint.lineage.run_id = "later".to_owned();
    blueprint.lineage.data_watermark_ns += 1;
    blueprint.discovered_through_ns = blueprint.discovered_through_ns.map(|ns| ns + 1);
    let second = publish_version(root.path(), std::slice::from_ref(&blueprint), &context(2)).unwrap();
    assert!(!second.changed);
    assert_eq!(second.version, "v000001");

    blueprint.evidence.n_events += 1;
    let third = publish_version(root.path(), std::slice::from_ref(&blueprint), &context(3)).unwrap();
    assert!(third.changed);
    assert_eq!(third.manifest.parent.as_deref(), Some("v000001"));
    assert_eq!(third.manifest.changed[0].why, "evidence.n_events 312 -> 313");
    assert_eq!(third.blueprints[0].revision, 2);
    assert_eq!(third.blueprints[0].lineage.first_published.as_deref(), Some("v000001"));
    assert_eq!(third.blueprints[0].lineage.run_id, "later");
}

#[test]
fn a_retired_blueprint_is_listed_once_more_and_then_gone() {
    let root = tempfile::tempdir().unwrap();
    let blueprint = example();
    publish_version(root.path(), std::slice::from_ref(&blueprint), &context(1)).unwrap();
    let second = publish_version(root.path(), &[], &context(2)).unwrap();
    assert_eq!(second.blueprints[0].status, Status::Retired);
    assert_eq!(second.manifest.retired[0].why, "the run no longer tests it");
    assert_eq!(second.manifest.counts.retired, 1);
    let third = publish_version(root.path(), &[], &context(3)).unwrap();
    assert!(third.changed && third.blueprints.is_empty());
    assert!(!publish_version(root.path(), &[], &context(4)).unwrap().changed);
    // Should it return, its revision goes on and it remembers when it was first seen.
    let fourth = publish_version(root.path(), std::slice::from_ref(&blueprint), &context(5)).unwrap();
    assert_eq!(fourth.blueprints[0].revision, 3);
    assert_eq!(fourth.blueprints[0].lineage.first_published.as_deref(), Some("v000001"));
    assert!(fourth.manifest.departed.is_empty());
}

#[test]
fn a_crash_at_any_step_leaves_the_old_version_or_the_new_one_and_the_next_publication_cleans_up() {
    let steps =
        [Step::FilesWritten, Step::FolderSynced, Step::LinkWritten, Step::FolderRenamed, Step::LinkSwapped];
    let (old, new) = (with_horizon(12), with_horizon(24));
    for crash in steps {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        publish_version(dir, std::slice::from_ref(&old), &context(1)).unwrap();
        let both = [old.clone(), new.clone()];
        let stopped = publish_stepwise(dir, &both, &context(2), &mut |step| {
            if step == crash { Err(io::Error::other("power cut")) } else { Ok(()) }
        });
        assert!(stopped.is_err());
        let seen = read_current(dir).unwrap().unwrap();
        let expected = if crash == Step::LinkSwapped { 2 } else { 1 };
        assert_eq!(seen.blueprints.len(), expected, "after a crash at {crash:?}");

        let after = publish_version(dir, &both, &context(3)).unwrap();
        assert_eq!(after.version, "v000002", "after a crash at {crash:?}");
        // Had the version existed, it is the one in force now; else it was made anew.
        let survived = crash >= Step::FolderRenamed;
        assert_eq!(after.manifest.published_at_ns, if survived { 2_000_000 } else { 3_000_000 });
        assert_eq!(names(dir), [".lock", "current", "v000001", "v000002"]);
        assert_eq!(ids(&read_current(dir).unwrap().unwrap()).len(), 2);
    }
}

#[test]
fn a_crash_during_the_very_first_publication_leaves_no_version() {
    for crash in [Step::FilesWritten, Step::LinkWritten] {
        let root = tempfile::tempdir().unwrap();
        let stopped = publish_stepwise(root.path(), &[example()], &context(1), &mut |step| {
            if step == crash { Err(io::Error::other("power cut")) } else { Ok(()) }
        });
        assert!(stopped.is_err());
        assert!(read_current(root.path()).unwrap().is_none());
        assert_eq!(publish_version(root.path(), &[], &context(2)).unwrap().version, "v000001");
    }
}

#[test]
fn an_operator_who_goes_back_to_an_older_version_is_not_overruled() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path();
    let (old, new) = (with_horizon(12), with_horizon(24));
    publish_version(dir, std::slice::from_ref(&old), &context(1)).unwrap();
    publish_version(dir, &[old.clone(), new], &context(2)).unwrap();
    fs::remove_file(dir.join("current")).unwrap();
    std::os::unix::fs::symlink("v000001", dir.join("current")).unwrap();
    let same = publish_version(dir, std::slice::from_ref(&old), &context(3)).unwrap();
    assert!(!same.changed);
    assert_eq!(same.version, "v000001");
    let third = publish_version(dir, &[with_horizon(3)], &context(4)).unwrap();
    assert_eq!(third.version, "v000003", "a version number is never used twice");
    assert_eq!(third.manifest.parent.as_deref(), Some("v000001"));
}

#[test]
fn a_torn_version_is_refused_with_the_file_and_the_reason() {
    let root = tempfile::tempdir().unwrap();
    publish_version(root.path(), &[example()], &context(1)).unwrap();
    let lines = root.path().join("v000001/blueprints.jsonl");
    let text = fs::read_to_string(&lines).unwrap();
    fs::write(&lines, text.replace("\"n_events\":312", "\"n_events\":999")).unwrap();
    let error = read_current(root.path()).unwrap_err().to_string();
    assert!(error.contains("blueprints.jsonl: sha256 is"), "{error}");
    fs::write(&lines, &text[..text.len() / 2]).unwrap();
    let error = read_current(root.path()).unwrap_err().to_string();
    assert!(error.contains("length is"), "{error}");
    assert!(publish_version(root.path(), &[], &context(2)).is_err(), "nothing is published on damage");
}

#[test]
fn a_number_is_never_used_twice_even_when_the_directory_is_lost() {
    let root = tempfile::tempdir().unwrap();
    let (dir, memory) = (root.path().join("data/blueprints"), root.path().join("state/last_version"));
    let with_memory = |at: i64| PublishContext { memory: Some(memory.clone()), ..context(at) };
    let publish = |context: &PublishContext| publish_version(&dir, &[], context).unwrap().version;
    assert_eq!(publish(&with_memory(1)), "v000001");
    // Versions are removed, the directory stays: it remembers by itself.
    fs::remove_dir_all(dir.join("v000001")).unwrap();
    fs::remove_file(dir.join("current")).unwrap();
    assert_eq!(publish(&context(2)), "v000002");
    fs::remove_file(dir.join("current")).unwrap();
    assert_eq!(publish(&with_memory(3)), "v000003");
    fs::remove_dir_all(root.path().join("data")).unwrap();
    assert_eq!(publish(&with_memory(4)), "v000004");
    // A memory that says nothing is not taken for "none".
    fs::write(&memory, "garbage").unwrap();
    fs::remove_dir_all(root.path().join("data")).unwrap();
    let error = publish_version(&dir, &[], &with_memory(5)).unwrap_err().to_string();
    assert!(error.contains("last_version") && error.contains("garbage"), "{error}");
}
