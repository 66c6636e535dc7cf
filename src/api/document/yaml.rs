//! Writes JSON as YAML 1.2 in block style. Every string value is quoted as in JSON, so that no reader mistakes a string
//! for a number, a boolean or a date. YAML accepts all escapes of JSON.

use serde_json::Value;

/// `value` as YAML, with a line feed at its end.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    node(&mut text, value, 0);
    text.trim_start().to_owned()
}

/// Writes what follows a key or a dash, including the end of the line.
fn node(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            text.push('\n');
            for (name, value) in members {
                indent(text, depth);
                key(text, name);
                text.push(':');
                node(text, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            for item in items {
                indent(text, depth);
                text.push('-');
                node(text, item, depth + 1);
            }
        }
        scalar => {
            text.push(' ');
            text.push_str(&scalar.to_string());
            text.push('\n');
        }
    }
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// Writes a key, without quotes if no reader can mistake it for anything but a string.
fn key(text: &mut String, name: &str) {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&name.to_lowercase().as_str());
    if plain {
        text.push_str(name);
    } else {
        text.push_str(&Value::from(name).to_string());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_keeps_its_type() {
        let value = json!({"a": {"200": [1, "1", null, {}, [], true, {"no": "x: \"y\"\n# z"}]}, "b-c": []});
        let yaml = "a:\n  \"200\":\n    - 1\n    - \"1\"\n    - null\n    - {}\n    - []\n    - true\n    -\n      \
                    \"no\": \"x: \\\"y\\\"\\n# z\"\nb-c: []\n";
        assert_eq!(write(&value), yaml);
    }
}
