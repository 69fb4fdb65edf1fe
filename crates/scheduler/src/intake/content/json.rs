//! What a line of NDJSON says about itself when it cannot be taken as it is.

use std::collections::BTreeSet;

use crate::intake::text::DAMAGED;

/// The recipients of a line that is no JSON: whoever it was for is held back. An id that is
/// cut off may be anybody's, so it is none.
pub fn ids_in(text: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for after in text.split("\"recipient_id\"").skip(1) {
        let Some(value) = after.trim_start().strip_prefix(':').map(str::trim_start) else {
            continue;
        };
        let id = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').map(|(id, _)| id),
            None => value.find(|c: char| !c.is_ascii_digit()).map(|end| &value[..end]),
        };
        let id = id.map(str::trim).filter(|id| !id.is_empty() && !id.contains(['\\', DAMAGED]));
        ids.extend(id.map(str::to_owned));
    }
    ids
}

/// A key that an object of this line has twice.
pub fn twice(text: &str) -> Option<String> {
    struct Keys(Option<String>);
    impl<'de> serde::de::Visitor<'de> for &mut Keys {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let mut seen = BTreeSet::new();
            while let Some(key) = map.next_key::<String>()? {
                if !seen.insert(key.clone()) {
                    self.0.get_or_insert(key);
                }
                map.next_value_seed(&mut *self)?;
            }
            Ok(())
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
            while list.next_element_seed(&mut *self)?.is_some() {}
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
    }
    impl<'de> serde::de::DeserializeSeed<'de> for &mut Keys {
        type Value = ();
        fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
            from.deserialize_any(self)
        }
    }
    let mut keys = Keys(None);
    let mut from = serde_json::Deserializer::from_str(text);
    serde::de::DeserializeSeed::deserialize(&mut keys, &mut from).ok()?;
    keys.0
}
