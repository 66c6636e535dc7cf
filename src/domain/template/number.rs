//! How a number prints, as JSON and as text alike.

use minijinja::value::Value;

/// A number as it prints. `None` if it is infinite or no number.
pub(super) fn printed(value: &Value) -> Option<String> {
    if value.is_integer() {
        return Some(value.to_string());
    }
    let number = f64::try_from(value.clone()).ok().filter(|number| number.is_finite())?;
    serde_json::to_string(&number).ok()
}
