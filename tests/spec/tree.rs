//! A spec file as its scalars: where each stands in the text, by which path, and what its schema says of it.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

/// A scalar of a file.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// File below the spec directory.
    pub file: String,
    /// Its place in the kind of file: names are `*`, positions `[]`.
    pub path: String,
    /// Its place in this file.
    pub place: String,
    pub value: Value,
    /// Where it stands, quotes included.
    pub bytes: Range<usize>,
    /// What else it may be, where the schema lists the choices.
    pub choices: Vec<String>,
}

#[derive(Debug)]
enum Node {
    Scalar(Value),
    List(Vec<Spanned<Self>>),
    Map(Vec<(String, Spanned<Self>)>),
}

/// Every scalar of a file but null.
pub(crate) fn leaves(file: &str, kind: &str, text: &str, schema: &Value) -> Vec<Leaf> {
    let root: Spanned<Node> = serde_saphyr::from_str(text).unwrap();
    let mut walk = Walk { file, root: schema, out: Vec::new() };
    walk.visit(&root, &options(schema, schema), kind.to_owned(), String::new());
    walk.out
}

struct Walk<'a> {
    file: &'a str,
    root: &'a Value,
    out: Vec<Leaf>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, node: &Spanned<Node>, schema: &[&'a Value], path: String, place: String) {
        match &node.value {
            Node::Scalar(Value::Null) => {}
            Node::Scalar(value) => {
                let span = node.referenced.span();
                let (start, len) = (span.byte_offset().unwrap(), span.byte_len().unwrap());
                let choice = |s: &&Value| s["const"].as_str().map(str::to_owned);
                let listed = schema.iter().filter_map(|s| s["enum"].as_array()).flatten();
                let listed = listed.filter_map(|c| c.as_str().map(str::to_owned));
                self.out.push(Leaf {
                    file: self.file.to_owned(),
                    path,
                    place,
                    value: value.clone(),
                    bytes: start as usize..(start + len) as usize,
                    choices: schema.iter().filter_map(choice).chain(listed).collect(),
                });
            }
            Node::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    let inner = schema.iter().find_map(|s| {
                        s.get("items").filter(|i| i.is_object()).or_else(|| s["prefixItems"].get(at))
                    });
                    let inner = inner.unwrap_or_else(|| panic!("{}: no schema of {place}[{at}]", self.file));
                    let inner = options(inner, self.root);
                    self.visit(item, &inner, format!("{path}[]"), format!("{place}[{at}]"));
                }
            }
            Node::Map(entries) => {
                for (key, value) in entries {
                    let known =
                        schema.iter().find_map(|s| s["properties"].get(key)).map(|s| (s, key.as_str()));
                    let named =
                        schema.iter().find_map(|s| s.get("additionalProperties").filter(|a| a.is_object()));
                    let (inner, step) = known
                        .or(named.map(|s| (s, "*")))
                        .unwrap_or_else(|| panic!("{}: no schema of {place}.{key}", self.file));
                    let inner = options(inner, self.root);
                    self.visit(value, &inner, format!("{path}.{step}"), format!("{place}.{key}"));
                }
            }
        }
    }
}

/// The schemas that a schema is one of, references followed.
fn options<'a>(schema: &'a Value, root: &'a Value) -> Vec<&'a Value> {
    let mut out = vec![schema];
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        out.extend(options(&root["$defs"][name], root));
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        out.extend(schema[key].as_array().into_iter().flatten().flat_map(|s| options(s, root)));
    }
    out
}

/// The paths of every scalar that a kind of file may have.
pub(crate) fn paths(kind: &str, root: &Value) -> Vec<String> {
    let mut out = Vec::new();
    below(root, root, kind.to_owned(), &mut out);
    out.sort();
    out.dedup();
    out
}

fn below(schema: &Value, root: &Value, path: String, out: &mut Vec<String>) {
    for schema in options(schema, root) {
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            below(inner, root, format!("{path}.{key}"), out);
        }
        if schema["additionalProperties"].is_object() {
            below(&schema["additionalProperties"], root, format!("{path}.*"), out);
        }
        let items = schema.get("items").filter(|i| i.is_object()).into_iter();
        for inner in items.chain(schema["prefixItems"].as_array().into_iter().flatten()) {
            below(inner, root, format!("{path}[]"), out);
        }
        let types =
            schema["type"].as_array().map_or_else(|| vec![&schema["type"]], |all| all.iter().collect());
        let is_scalar = types
            .iter()
            .any(|t| ["string", "number", "integer", "boolean"].contains(&t.as_str().unwrap_or("")));
        if is_scalar || schema.get("const").is_some() || schema.get("enum").is_some() {
            out.push(path.clone());
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
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
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Scalar(Value::Null))
            }
        }
        deserializer.deserialize_any(Nodes)
    }
}
