//! The ontology hash: one name for everything in `spec/` that can change a result.

use sha2::{Digest, Sha256};

/// `sha256:<hex>` over paths and canonical contents, in path order.
#[must_use]
pub fn ontology_hash<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut sha = Sha256::new();
    for (path, text) in files {
        let text = canonical(text);
        sha.update(format!("{path}\0{}\0", text.len()));
        sha.update(text);
    }
    named(&sha.finalize())
}

/// `sha256:<hex>` of one file's canonical content.
#[must_use]
pub(super) fn content_hash(text: &str) -> String {
    named(&Sha256::digest(canonical(text)))
}

/// Line ends are LF, a byte order mark and blank space at line ends do not count, one LF ends the text.
fn canonical(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.trim_start_matches('\u{feff}').lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn named(digest: &[u8]) -> String {
    digest.iter().fold("sha256:".to_owned(), |out, byte| format!("{out}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_do_not_change_the_hash_and_anything_else_does() {
        let hash = content_hash("a: 1\nb: 2\n");
        assert_eq!(hash, content_hash("a: 1\r\nb: 2\r\n"));
        assert_eq!(hash, content_hash("a: 1  \nb: 2"));
        assert_ne!(hash, content_hash("a: 1\nb: 3\n"));
        assert_ne!(hash, content_hash("  a: 1\nb: 2\n"));
    }

    #[test]
    fn moving_a_file_changes_the_ontology() {
        assert_ne!(ontology_hash([("a.yaml", "x: 1")]), ontology_hash([("b.yaml", "x: 1")]));
    }
}
