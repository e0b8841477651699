//! Which keys of two recorded settings differ, and what each side has there.

use serde_json::Value;

/// A key that two settings have different values for.
#[derive(Debug, Clone, PartialEq)]
pub struct DifferingKey {
    /// The key with those it lies in, as `risk.max_position` or `agents[0].weight`.
    pub key: String,
    /// Its value on the one side; null if it has none.
    pub left: Value,
    /// Its value on the other side.
    pub right: Value,
}

/// The keys in which two settings differ, in the order of their names. Lists of different lengths differ as a whole.
#[must_use]
pub fn differing_keys(left: &Value, right: &Value) -> Vec<DifferingKey> {
    let mut keys = Vec::new();
    walk("", left, right, &mut keys);
    keys
}

fn walk(path: &str, left: &Value, right: &Value, keys: &mut Vec<DifferingKey>) {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort();
            names.dedup();
            for key in names {
                let missing = &Value::Null;
                walk(&join(key), a.get(key).unwrap_or(missing), b.get(key).unwrap_or(missing), keys);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                walk(&format!("{path}[{index}]"), a, b, keys);
            }
        }
        (a, b) if a == b => {}
        (a, b) => {
            keys.push(DifferingKey { key: path.to_owned(), left: a.clone(), right: b.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_named_with_what_they_lie_in_and_a_missing_one_is_null() {
        let keys = differing_keys(
            &json!({"a": {"b": 1, "c": [1, 2], "d": [1]}}),
            &json!({"a": {"b": 1, "c": [1, 3], "d": []}, "e": 0}),
        );
        let told: Vec<_> = keys.iter().map(|it| format!("{} {} {}", it.key, it.left, it.right)).collect();
        assert_eq!(told, ["a.c[1] 2 3", "a.d [1] []", "e null 0"]);
    }
}
