//! Control messages: SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY, and their error
//! frames.

use serde_json::{Value, json};

use super::stream::Route;

/// Streams that one connection may carry.
pub(crate) const MAX_STREAMS: usize = 1024;

/// The names a connection listens to, in order of subscription, and its wrapping.
#[derive(Clone, Debug)]
pub(crate) struct Subscriptions {
    route: Route,
    names: Vec<String>,
    /// True: frames are wrapped as `{"stream":..,"data":..}`.
    pub(crate) is_combined: bool,
    /// Times are told in microseconds (spot, `timeUnit=MICROSECOND`).
    pub(crate) in_microseconds: bool,
}

impl Subscriptions {
    pub(crate) const fn new(route: Route, is_combined: bool) -> Self {
        Self { route, names: Vec::new(), is_combined, in_microseconds: false }
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Adds names; false if that would be too many.
    pub(crate) fn add(&mut self, names: impl IntoIterator<Item = String>) -> bool {
        for name in names {
            if self.names.contains(&name) {
                continue;
            }
            if self.names.len() >= MAX_STREAMS {
                return false;
            }
            self.names.push(name);
        }
        true
    }

    /// Acts on a text message and says what to answer.
    pub(crate) fn handle(&mut self, text: &str) -> Value {
        let message: Value = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => {
                let place = format!("expected value at line {} column {}", error.line(), error.column());
                return refusal(3, &format!("Invalid JSON: {place}"));
            }
        };
        let Some(object) = message.as_object() else {
            return refusal(2, "Invalid request: request must be an object");
        };
        if let Some(key) = object.keys().find(|key| !matches!(key.as_str(), "method" | "params" | "id")) {
            return refusal(2, &format!("Invalid request: unknown field `{key}`"));
        }
        let Some(method) = object.get("method").and_then(Value::as_str) else {
            return refusal(2, "Invalid request: missing field `method` at line 1 column 1");
        };
        let id = match self.check_id(object.get("id")) {
            Ok(id) => id,
            Err(answer) => return answer,
        };
        let params = object.get("params").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        match method {
            "SUBSCRIBE" | "UNSUBSCRIBE" => {
                let names: Option<Vec<String>> =
                    params.iter().map(|p| p.as_str().map(str::to_owned)).collect();
                let Some(names) = names else {
                    return refusal(2, "Invalid request: params must be an array of strings");
                };
                if method == "UNSUBSCRIBE" {
                    self.names.retain(|name| !names.contains(name));
                } else if !self.add(names) {
                    return refusal(2, "Invalid request: too many streams, at most 1024 per connection");
                }
                json!({ "result": null, "id": id })
            }
            "LIST_SUBSCRIPTIONS" => json!({ "result": self.names, "id": id }),
            "SET_PROPERTY" | "GET_PROPERTY" => self.property(method, params, &id),
            other => refusal(
                2,
                &format!(
                    "Invalid request: unknown variant {other}, expected one of SUBSCRIBE, UNSUBSCRIBE, \
                     LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY at line 1 column 28"
                ),
            ),
        }
    }

    fn property(&mut self, method: &str, params: &[Value], id: &Value) -> Value {
        match params.first() {
            Some(Value::String(name)) if name == "combined" => {}
            Some(Value::String(_)) | None => return refusal(0, "Unknown property"),
            Some(_) => return refusal(2, "Invalid request: property name must be a string"),
        }
        let expected = if method == "SET_PROPERTY" { 2 } else { 1 };
        if params.len() > expected {
            return refusal(2, "Invalid request: too many parameters");
        }
        if method == "GET_PROPERTY" {
            return json!({ "result": self.is_combined, "id": id });
        }
        let Some(value) = params.get(1).and_then(Value::as_bool) else {
            return refusal(1, "Invalid value type: expected Boolean");
        };
        self.is_combined = value;
        json!({ "result": null, "id": id })
    }

    /// Futures want an unsigned integer, says their documentation; the official SDK sends a UUID there, so
    /// short strings pass. Spot also takes signed integers and null.
    fn check_id(&self, id: Option<&Value>) -> Result<Value, Value> {
        let id = id.cloned().unwrap_or(Value::Null);
        let is_fine = match (&id, self.route) {
            (Value::Number(n), _) if n.is_u64() => true,
            (Value::Number(n), Route::Spot) => n.is_i64(),
            (Value::String(text), _) => text.len() <= 36,
            (Value::Null, Route::Spot) => true,
            _ => false,
        };
        if is_fine {
            Ok(id)
        } else {
            Err(refusal(2, "Invalid request: request ID must be an unsigned integer"))
        }
    }
}

fn refusal(code: i32, msg: &str) -> Value {
    json!({ "code": code, "msg": msg })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut subscriptions = Subscriptions::new(Route::Market, true);
        assert_eq!(subscriptions.handle(text).to_string(), expected, "{text}");
    }

    #[test]
    fn control_messages_are_answered_as_the_venue_does() {
        check(r#"{"method":"SUBSCRIBE","params":["nonsense@stream"],"id":1}"#, r#"{"id":1,"result":null}"#);
        check(r#"{"method":"GET_PROPERTY","params":["combined"],"id":6}"#, r#"{"id":6,"result":true}"#);
        check(
            r#"{"method":"SET_PROPERTY","params":["x",true],"id":6}"#,
            r#"{"code":0,"msg":"Unknown property"}"#,
        );
        check(
            r#"{"method":"SET_PROPERTY","params":["combined",1],"id":6}"#,
            r#"{"code":1,"msg":"Invalid value type: expected Boolean"}"#,
        );
        check(
            r#"{"method":"SUBSCRIBE","params":[],"id":1.5}"#,
            r#"{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}"#,
        );
        check("nope", r#"{"code":3,"msg":"Invalid JSON: expected value at line 1 column 2"}"#);
    }

    #[test]
    fn subscriptions_are_listed_once_and_can_be_dropped() {
        let mut subscriptions = Subscriptions::new(Route::Market, false);
        let _ = subscriptions.handle(r#"{"method":"SUBSCRIBE","params":["a@b","c@d","a@b"],"id":1}"#);
        let _ = subscriptions.handle(r#"{"method":"UNSUBSCRIBE","params":["c@d"],"id":2}"#);
        let listed = subscriptions.handle(r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#);
        assert_eq!(listed["result"], json!(["a@b"]));
    }
}
