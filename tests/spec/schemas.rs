//! The checked-in JSON Schemas: current, true of every shipped file, and sharp enough to refuse a misspelt
//! key.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use backtestd_core::spec::schemas;
use backtestd_store::spec_files;
use serde_json::{Value, json};

use crate::common::recorded::skipped;
use crate::{shipped, shipped_dir};

/// How to bring `spec/schemas/` up to date.
const REGENERATE: &str = "regenerate with: cargo run -- spec schema --out spec/schemas";

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(shipped_dir().join(path)).unwrap()).unwrap()
}

/// The schema of a kind.
fn schema(kind: &str) -> Value {
    schemas().into_iter().find(|s| s.kind == kind).unwrap().schema
}

/// The kind of a file, by its path below the spec directory: a file of its own goes before the pattern of its
/// folder.
pub(crate) fn schema_kind(path: &str) -> Option<&'static str> {
    let folder = path.split_once('/').map(|(folder, _)| format!("{folder}/*.yaml"));
    let all = schemas();
    let of = |files: &str| all.iter().find(|schema| schema.files == files).map(|schema| schema.kind);
    of(path).or_else(|| of(&folder?))
}

#[test]
fn the_checked_in_schemas_are_those_of_the_types() {
    for schema in schemas() {
        let path = shipped_dir().join("schemas").join(schema.file_name());
        let checked_in = fs::read_to_string(&path).unwrap_or_default();
        assert!(checked_in == schema.text(), "{} is stale; {REGENERATE}", path.display());
    }
}

#[test]
fn no_schema_is_left_over() {
    let known: Vec<String> = schemas().iter().map(backtestd_core::spec::SpecSchema::file_name).collect();
    for entry in fs::read_dir(shipped_dir().join("schemas")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "blueprint.schema.json" || known.contains(&name), "{name} is of no kind");
    }
}

#[test]
fn every_shipped_file_fits_its_schema() {
    for file in spec_files(shipped_dir()).unwrap() {
        let kind = schema_kind(&file).unwrap_or_else(|| panic!("{file} is of no kind"));
        assert_eq!(misfits(&schema(kind), &yaml(&file)), Vec::<String>::new(), "{file} ({kind})");
    }
}

/// A key that no type knows is refused at the top of every file, and in every mapping below it that has a
/// fixed set of keys. (In mappings from names to something, any key is a name.)
#[test]
fn a_misspelt_key_does_not_fit() {
    let mut refused = 0;
    for file in spec_files(shipped_dir()).unwrap() {
        let schema = schema(schema_kind(&file).unwrap());
        for value in misspelt(&yaml(&file)) {
            refused += usize::from(!misfits(&schema, &value).is_empty());
        }
        let mut value = yaml(&file);
        value.as_object_mut().unwrap().insert("hoziron".into(), Value::from(1));
        assert!(!misfits(&schema, &value).is_empty(), "{file}: a misspelt key at the top is accepted");
    }
    assert!(refused > 57, "{refused} misspelt keys below the top were refused");
}

/// The value with the first key of one of its sections misspelt, for every section.
fn misspelt(value: &Value) -> Vec<Value> {
    let sections = value.as_object().unwrap().iter().filter_map(|(section, inner)| {
        let key = inner.as_object()?.keys().next()?.clone();
        let mut changed = value.clone();
        let inner = changed[section].as_object_mut()?;
        let moved = inner.remove(&key)?;
        inner.insert(format!("{key}_"), moved);
        Some(changed)
    });
    sections.collect()
}

#[test]
fn a_wrong_type_a_missing_key_and_a_foreign_choice_do_not_fit() {
    let event = schema("event");
    let fits = |change: &dyn Fn(&mut Value)| {
        let mut value = yaml("events/vol_shock.yaml");
        change(&mut value);
        misfits(&event, &value)
    };
    assert_eq!(fits(&|_| ()), Vec::<String>::new());
    assert_eq!(
        fits(&|v| v["detect"]["spacing_bars"] = "12".into()),
        ["/detect/spacing_bars: not of type integer"]
    );
    assert_eq!(fits(&|v| v["detect"]["spacing_bars"] = (-1).into()), ["/detect/spacing_bars: below 0"]);
    assert_eq!(fits(&|v| v["detect"]["onset"] = "rise".into()), ["/detect/onset: none of the choices"]);
    assert_eq!(
        fits(&|v| drop(v["detect"].as_object_mut().unwrap().remove("when"))),
        ["/detect: 'when' is missing"]
    );
}

/// The same questions to an independent validator, where a Python with one is at hand.
#[test]
fn another_validator_agrees() {
    const SCRIPT: &str = "import json, sys\n\
        from jsonschema import Draft202012Validator as V\n\
        cases = json.load(sys.stdin)\n\
        [V.check_schema(c['schema']) for c in cases]\n\
        print(json.dumps([V(c['schema']).is_valid(c['value']) for c in cases]))";
    let mut cases = Vec::new();
    for file in spec_files(shipped_dir()).unwrap() {
        let schema = schema(schema_kind(&file).unwrap());
        for value in misspelt(&yaml(&file)).into_iter().chain([yaml(&file)]) {
            cases.push((schema.clone(), value));
        }
    }
    let input: Vec<Value> = cases.iter().map(|(s, v)| json!({"schema": s, "value": v})).collect();
    let mut python = Command::new("python3");
    python.arg("-c").arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = python.spawn() else {
        skipped("python3 is not at hand, so no other validator was asked");
        return;
    };
    child.stdin.take().unwrap().write_all(Value::from(input).to_string().as_bytes()).unwrap_or_default();
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        skipped("python3 has no jsonschema, so no other validator was asked");
        return;
    }
    let theirs: Vec<bool> = serde_json::from_slice(&output.stdout).unwrap();
    let ours: Vec<bool> = cases.iter().map(|(s, v)| misfits(s, v).is_empty()).collect();
    assert_eq!(ours, theirs);
}

/// What of a value does not fit a schema. Knows the keywords that our schemas use, and panics at any other:
/// it may not accept what it does not understand.
fn misfits(root: &Value, value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    check(root, root, value, "", &mut out);
    out
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, out: &mut Vec<String>) {
    let rules = match schema {
        Value::Bool(true) => return,
        Value::Bool(false) => return out.push(format!("{at}: not allowed")),
        Value::Object(rules) => rules,
        other => panic!("not a schema: {other}"),
    };
    let fits = |schema: &Value| {
        let mut misfits = Vec::new();
        check(root, schema, value, at, &mut misfits);
        misfits.is_empty()
    };
    for (keyword, rule) in rules {
        let refused = match keyword.as_str() {
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap();
                check(root, target, value, at, out);
                None
            }
            "type" => {
                let types: Vec<&str> = rule.as_array().map_or_else(
                    || vec![rule.as_str().unwrap()],
                    |l| l.iter().map(|t| t.as_str().unwrap()).collect(),
                );
                (!types.iter().any(|t| is_of_type(value, t)))
                    .then(|| format!("not of type {}", types.join(" or ")))
            }
            "const" => (rule != value).then(|| "not the one choice".to_owned()),
            "enum" => (!rule.as_array().unwrap().contains(value)).then(|| "none of the choices".to_owned()),
            "oneOf" => (rule.as_array().unwrap().iter().filter(|s| fits(s)).count() != 1)
                .then(|| "none of the choices".to_owned()),
            "anyOf" => (!rule.as_array().unwrap().iter().any(fits)).then(|| "none of the choices".to_owned()),
            "minimum" => {
                value.as_f64().filter(|v| *v < rule.as_f64().unwrap()).map(|_| format!("below {rule}"))
            }
            "maximum" => {
                value.as_f64().filter(|v| *v > rule.as_f64().unwrap()).map(|_| format!("above {rule}"))
            }
            "required" => {
                let missing = rule
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|k| value.is_object() && value.get(k.as_str().unwrap()).is_none());
                missing.map(|key| format!("'{}' is missing", key.as_str().unwrap()))
            }
            "properties" => {
                for (key, schema) in rule.as_object().unwrap() {
                    if let Some(inner) = value.get(key) {
                        check(root, schema, inner, &format!("{at}/{key}"), out);
                    }
                }
                None
            }
            "additionalProperties" => {
                let known = rules.get("properties").and_then(Value::as_object);
                for (key, inner) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| !known.contains_key(key)) {
                        check(root, rule, inner, &format!("{at}/{key}"), out);
                    }
                }
                None
            }
            "items" => {
                let first = rules.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                for (i, inner) in value.as_array().into_iter().flatten().enumerate().skip(first) {
                    check(root, rule, inner, &format!("{at}/{i}"), out);
                }
                None
            }
            "prefixItems" => {
                for (i, (schema, inner)) in
                    rule.as_array().unwrap().iter().zip(value.as_array().into_iter().flatten()).enumerate()
                {
                    check(root, schema, inner, &format!("{at}/{i}"), out);
                }
                None
            }
            "minItems" => value
                .as_array()
                .filter(|l| (l.len() as u64) < rule.as_u64().unwrap())
                .map(|_| format!("fewer than {rule} items")),
            "maxItems" => value
                .as_array()
                .filter(|l| (l.len() as u64) > rule.as_u64().unwrap())
                .map(|_| format!("more than {rule} items")),
            // The one pattern is that of an event's name; Python's validator reads it.
            "pattern" => None,
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => None,
            other => panic!("the keyword '{other}' is not known here"),
        };
        out.extend(refused.map(|why| format!("{at}: {why}")));
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|v| v.fract() == 0.0),
        other => panic!("the type '{other}' is not known here"),
    }
}

#[test]
fn a_description_stands_beside_every_key() {
    fn walk(schema: &Value, path: &str, bare: &mut Vec<String>) {
        match schema {
            Value::Object(map) => {
                if let Some(Value::Object(properties)) = map.get("properties") {
                    // A choice with a value of its own is described as a whole.
                    let is_choice =
                        properties.len() == 1 && map.contains_key("description") && path.contains("oneOf");
                    for (key, property) in properties.iter().filter(|_| !is_choice) {
                        let described =
                            property.get("description").is_some() || property.get("$ref").is_some();
                        if !described {
                            bare.push(format!("{path}.{key}"));
                        }
                    }
                }
                map.iter().for_each(|(key, value)| walk(value, &format!("{path}.{key}"), bare));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, path, bare)),
            _ => {}
        }
    }
    for schema in schemas() {
        let mut bare = Vec::new();
        walk(&schema.schema, schema.kind, &mut bare);
        // Overrides of thresholds are described where the thresholds are.
        bare.retain(|path| !path.contains("Phase2Override"));
        assert_eq!(bare, Vec::<String>::new());
    }
}

#[test]
fn schemas_and_guide_do_not_count_into_the_ontology() {
    let hash = shipped().hash;
    let copy = crate::copy::Copy::new();
    for folder in ["schemas", "guide"] {
        fs::create_dir_all(copy.path(folder)).unwrap();
        fs::write(copy.path(folder).join("note.md"), "anything").unwrap();
        fs::write(copy.path(folder).join("event.schema.json"), "{}").unwrap();
    }
    assert_eq!(copy.load().hash, hash);
}
