//! Takes what can be read of a body whose parts are not all well: a part costs itself, not
//! its neighbours. What is lost is named, never dropped in silence.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Lists of a change whose elements stand each for themselves.
const LISTS: &[&str] =
    &["statuses", "messages", "errors", "message_echoes", "calls", "user_preferences", "groups"];

/// The elements of an array.
pub fn items<'a>(raw: &'a RawValue, what: &str, odd: &mut Vec<String>) -> Vec<&'a RawValue> {
    serde_json::from_str(raw.get()).unwrap_or_else(|_| {
        odd.push(format!("{what} is no list"));
        Vec::new()
    })
}

/// The fields of an object, also those that are there twice.
pub fn fields<'a>(
    raw: &'a RawValue,
    what: &str,
    odd: &mut Vec<String>,
) -> Vec<(String, &'a RawValue)> {
    serde_json::from_str::<Pairs<'a>>(raw.get()).map(|pairs| pairs.0).unwrap_or_else(|_| {
        odd.push(format!("{what} is no object"));
        Vec::new()
    })
}

/// One change. The common one is read in one go; one with a part that cannot be read, or with
/// a list that is there twice, part by part.
pub fn change(raw: &RawValue, odd: &mut Vec<String>) -> Value {
    let text = raw.get();
    let twice = LISTS.iter().any(|list| text.matches(&format!("\"{list}\":")).count() > 1);
    if !twice
        && let Ok(change) = serde_json::from_str::<Value>(text)
        && is_plain(&change["value"])
    {
        if change.is_object() {
            return change;
        }
        odd.push("a change is no object".to_owned());
        return Value::Null;
    }
    let mut change = Map::new();
    for (key, raw) in fields(raw, "a change", odd) {
        if key == "value" {
            change.insert(key, Value::Object(value(raw, odd)));
        } else if let Some(field) = whole(&key, raw, odd) {
            change.insert(key, field);
        }
    }
    Value::Object(change)
}

/// Every list is one, and its elements are objects.
fn is_plain(value: &Value) -> bool {
    let plain = |list: &&str| match value.get(*list) {
        None => true,
        Some(Value::Array(items)) => items.iter().all(Value::is_object),
        Some(_) => false,
    };
    LISTS.iter().all(plain)
}

fn value(raw: &RawValue, odd: &mut Vec<String>) -> Map<String, Value> {
    let mut value = Map::new();
    for (key, raw) in fields(raw, "a value", odd) {
        if !LISTS.contains(&key.as_str()) {
            if let Some(field) = whole(&key, raw, odd) {
                value.entry(key).or_insert(field);
            }
            continue;
        }
        let good = items(raw, &key, odd).into_iter().filter_map(|item| {
            let item = whole(&key, item, odd)?;
            if !item.is_object() {
                odd.push(format!("an element of {key} is no object"));
            }
            item.is_object().then_some(item)
        });
        let good: Vec<Value> = good.collect();
        if let Value::Array(held) = value.entry(key).or_insert(Value::Array(Vec::new())) {
            held.extend(good);
        }
    }
    value
}

/// One part, or its name among what was lost. Names of fields are the sender's: only known
/// ones are repeated.
fn whole(key: &str, raw: &RawValue, odd: &mut Vec<String>) -> Option<Value> {
    let read = serde_json::from_str(raw.get());
    if let Err(error) = &read {
        let key = if LISTS.contains(&key) { key } else { "a field" };
        odd.push(format!("{key}: {:?} error at column {}", error.classify(), error.column()));
    }
    read.ok()
}

struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        from.deserialize_map(Each).map(Pairs)
    }
}
