//! Where every key and value of a YAML file stands, by its path: `costs.fee_schedule[2].from`. What a check
//! that looks at compiled values needs to underline the text that it speaks of.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::diagnostic::SourceFile;
use super::yaml::{Spanned, byte_range};

/// The nodes of a file. A file that is no YAML has none, which its reader has said already.
#[derive(Debug)]
pub(super) struct Outline<'f> {
    file: &'f SourceFile,
    root: Option<Spanned<Node>>,
}

/// A value without its content.
#[derive(Debug)]
enum Node {
    Scalar,
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'f> Outline<'f> {
    pub(super) fn of(file: &'f SourceFile) -> Self {
        let read = |text: &str| serde_saphyr::from_str::<Spanned<Node>>(text).ok();
        // What is no finite number is nothing to a reader that expects no type; of it, too, only the place is
        // asked for.
        let finite = || file.text.replace(".nan", "0000").replace(".inf", "0000");
        Self { file, root: read(&file.text).or_else(|| read(&finite())) }
    }

    /// The bytes of what is at the end of a path: a scalar, else its key, else the first key in it. Where the
    /// file leaves keys of the path out, of the last one that is there; `None` where not even the first is.
    pub(super) fn bytes(&self, path: &str) -> Option<Range<usize>> {
        let range = |at| byte_range(self.file, at);
        let (mut node, mut rest) = (self.root.as_ref()?, path);
        let mut found = None;
        while let Some(step) = step(&node.value, rest) {
            (node, rest) = (step.value, step.rest);
            found = match (&node.value, step.key) {
                (Node::Scalar, _) => Some(range(node.referenced)),
                (_, Some(key)) => Some(range(key.referenced)),
                (Node::Map(entries), None) => entries.first().map(|(key, _)| range(key.referenced)),
                (Node::List(_), None) => found,
            };
        }
        found
    }

    /// The text of a scalar, as it is written.
    pub(super) fn scalar(&self, path: &str) -> Option<&'f str> {
        self.bytes(path).map(|bytes| &self.file.text[bytes])
    }
}

/// One step along a path.
struct Step<'n, 'p> {
    /// The key, where the step is one of a mapping.
    key: Option<&'n Spanned<String>>,
    value: &'n Spanned<Node>,
    rest: &'p str,
}

/// The value that the path names next. Names may have dots in them: the longest key that fits is the one.
fn step<'n, 'p>(node: &'n Node, path: &'p str) -> Option<Step<'n, 'p>> {
    match node {
        Node::Scalar => None,
        Node::List(items) => {
            let (number, rest) = path.strip_prefix('[')?.split_once(']')?;
            let value = items.get(number.parse::<usize>().ok()?)?;
            Some(Step { key: None, value, rest: rest.strip_prefix('.').unwrap_or(rest) })
        }
        Node::Map(entries) => {
            let fits = |key: &str| {
                let rest = path.strip_prefix(key)?;
                let ends = rest.is_empty() || rest.starts_with(['.', '[']);
                ends.then(|| rest.strip_prefix('.').unwrap_or(rest))
            };
            let fitting = entries.iter().filter_map(|(key, value)| Some((key, value, fits(&key.value)?)));
            let (key, value, rest) = fitting.max_by_key(|(key, _, _)| key.value.len())?;
            Some(Step { key: Some(key), value, rest })
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Nodes)
    }
}

struct Nodes;

impl<'de> Visitor<'de> for Nodes {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "a: 1\nlists:\n  - { name: x, at: \"2025-01-01\" }\n  - [1, 22]\nA:\n  b: 3\nA.b:\n  c: 4 # no\n";

    fn at(path: &str) -> Option<String> {
        let file = SourceFile { path: "spec/sample.yaml".into(), text: TEXT.into() };
        let bytes = Outline::of(&file).bytes(path)?;
        Some(format!("{}:{}", bytes.start, &TEXT[bytes.clone()]))
    }

    #[test]
    fn every_key_and_value_is_found_by_its_path() {
        let found = |path| at(path).unwrap();
        assert_eq!(found("a"), "3:1");
        assert_eq!(found("lists"), "5:lists");
        assert_eq!(found("lists[0].name"), "24:x");
        assert!(found("lists[0].at").contains("2025-01-01"));
        assert!(found("lists[0]").ends_with(":name"));
        assert!(found("lists[1][1]").ends_with(":22"));
        assert!(found("A.b.c").ends_with(":4"), "a name may have a dot in it");
    }

    #[test]
    fn of_what_a_file_leaves_out_the_last_key_that_is_there_is_found() {
        assert_eq!(at("lists.more.than").unwrap(), "5:lists");
        assert!(at("A.b.d").unwrap().ends_with(":A.b"));
        assert_eq!(at("gone"), None);
    }
}
