//! Reads the fields of a request body and collects all errors, so that one response lists all of them. What a field
//! means belongs in `domain`.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use serde_json::value::RawValue;

use super::json_tree::Json;
use crate::error::{Error, FieldError, MAX_FIELD_ERRORS, Result, beginning};

/// Errors of one field: a message about the field itself, or errors that name their own fields.
pub struct FieldErrors(Vec<FieldError>);

impl From<String> for FieldErrors {
    fn from(message: String) -> Self {
        Self(vec![FieldError::new("", message)])
    }
}

impl From<&str> for FieldErrors {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

impl From<Vec<FieldError>> for FieldErrors {
    fn from(faults: Vec<FieldError>) -> Self {
        Self(faults)
    }
}

impl FieldErrors {
    /// The errors. Those about the field itself get the name `field`.
    fn at(self, field: &str) -> impl Iterator<Item = FieldError> {
        self.0.into_iter().map(move |mut fault| {
            if fault.field.is_empty() {
                field.clone_into(&mut fault.field);
            }
            fault
        })
    }

    /// The value of `whole`, if neither `self` nor `whole` has errors.
    ///
    /// # Errors
    /// The errors of both.
    pub fn and<T>(mut self, whole: Result<T, impl Into<Self>>) -> Result<T, Self> {
        match whole {
            Ok(value) if self.0.is_empty() => Ok(value),
            Ok(_) => Err(self),
            Err(wrong) => {
                self.0.extend(wrong.into().0);
                Err(self)
            }
        }
    }
}

/// The fields of a body. Each reading method returns `None` for a field with an error, and notes the error.
pub struct Fields {
    members: Vec<(String, Json)>,
    /// The body as it came, where a field is needed byte for byte. Otherwise empty.
    source: Vec<u8>,
    asked: Vec<&'static str>,
    faults: Vec<FieldError>,
}

impl Fields {
    /// The fields of a body, which must be an object. `source` is the body as it came, for [`Self::raw`].
    ///
    /// # Errors
    /// Invalid, if the body is not an object.
    pub fn of(body: Json, source: Vec<u8>) -> Result<Self> {
        match body {
            Json::Object(members) => Ok(Self { members, source, asked: Vec::new(), faults: Vec::new() }),
            other => Err(Error::invalid(vec![FieldError::new(
                "",
                format!("The body must be an object, not {}.", kind(&other)),
            )])),
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Json> {
        self.asked.push(name);
        let mut value = None;
        let mut count = 0;
        self.members.retain_mut(|(member, given)| {
            let is_it = member == name;
            if is_it {
                count += 1;
                value = Some(std::mem::replace(given, Json::Null));
            }
            !is_it
        });
        if count > 1 {
            self.fault(name, "is given more than once");
        }
        value
    }

    fn fault(&mut self, name: &str, message: &str) {
        self.faults.push(FieldError::new(name, message));
    }

    fn note<T>(&mut self, name: &str, read: Result<T, FieldErrors>) -> Option<T> {
        read.map_err(|wrong| self.faults.extend(wrong.at(name))).ok()
    }

    /// Reads a field that must be given.
    pub fn required<T>(&mut self, name: &'static str, read: impl FnOnce(Json) -> Result<T, FieldErrors>) -> Option<T> {
        match self.take(name) {
            Some(value) => self.note(name, read(value)),
            None => {
                self.fault(name, "is missing");
                None
            }
        }
    }

    /// Reads a field that may be missing or `null`.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Json) -> Result<T, FieldErrors>,
    ) -> Option<Option<T>> {
        match self.take(name) {
            None | Some(Json::Null) => Some(None),
            Some(value) => self.note(name, read(value)).map(Some),
        }
    }

    /// Reads a field of any value as the bytes that it came as. A missing field is `Some(None)`; `null` is a value.
    pub fn raw(&mut self, name: &'static str) -> Option<Option<Box<RawValue>>> {
        if self.take(name).is_none() {
            return Some(None);
        }
        let members: serde_json::Result<HashMap<String, Box<RawValue>>> = serde_json::from_slice(&self.source);
        let read = members.map_err(|error| FieldErrors::from(format!("cannot be read: {error}")));
        self.note(name, read.map(|mut members| members.remove(name)))
    }

    /// Reads a field that may be missing but not `null`: in a merge patch, a field that cannot be cleared.
    pub fn change<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Json) -> Result<T, FieldErrors>,
    ) -> Option<Option<T>> {
        match self.take(name) {
            None => Some(None),
            Some(Json::Null) => {
                self.fault(name, "cannot be cleared; give it a value or leave it out");
                None
            }
            Some(value) => self.note(name, read(value)).map(Some),
        }
    }

    /// Reads a field of a merge patch that `null` clears. A missing field does not change.
    pub fn clearable<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Json) -> Result<T, FieldErrors>,
    ) -> Option<Option<Option<T>>> {
        match self.take(name) {
            None => Some(None),
            Some(Json::Null) => Some(Some(None)),
            Some(value) => self.note(name, read(value)).map(|value| Some(Some(value))),
        }
    }

    /// Notes an error between fields that are each correct alone.
    pub fn add_error(&mut self, name: &str, message: &str) {
        self.fault(name, message);
    }

    /// What was read, if nothing in the body is wrong. A field that nothing reads is an error too.
    ///
    /// # Errors
    /// Invalid, with every error.
    pub fn finish<T>(mut self, read: Option<T>) -> Result<T> {
        let message = format!("is not a field of this body; known are {}", self.asked.join(", "));
        let mut unknown = HashSet::new();
        for (name, _) in std::mem::take(&mut self.members) {
            if self.faults.len() <= MAX_FIELD_ERRORS && !unknown.contains(&name) {
                self.fault(&beginning(&name), &message);
                unknown.insert(name);
            }
        }
        match read {
            Some(read) if self.faults.is_empty() => Ok(read),
            _ => Err(Error::invalid(self.faults)),
        }
    }
}

/// The type of a value with an article, for messages.
fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Whole(_) | Json::Number => "a number",
        Json::Text(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

/// Reads a string, as it is.
pub fn text(value: Json) -> Result<String, FieldErrors> {
    match value {
        Json::Text(text) => Ok(text),
        other => Err(format!("must be a string, not {}", kind(&other)).into()),
    }
}

/// Reads a string that is a `T`.
pub fn parsed<T: FromStr<Err = String>>(value: Json) -> Result<T, FieldErrors> {
    Ok(text(value)?.parse::<T>()?)
}

/// Reads `true` or `false`.
pub fn boolean(value: Json) -> Result<bool, FieldErrors> {
    match value {
        Json::Bool(value) => Ok(value),
        other => Err(format!("must be true or false, not {}", kind(&other)).into()),
    }
}

/// Reads a whole number from `lowest` to `highest`.
pub fn whole(lowest: u64, highest: u64) -> impl FnOnce(Json) -> Result<u64, FieldErrors> {
    move |value| match value {
        Json::Whole(number) if (lowest..=highest).contains(&number) => Ok(number),
        Json::Whole(_) | Json::Number => Err(format!("must be a whole number from {lowest} to {highest}").into()),
        other => Err(format!("must be a number, not {}", kind(&other)).into()),
    }
}

/// Reads an array. Returns the elements that `read` accepts, and the errors of the others by index.
///
/// # Errors
/// The value is not an array.
pub fn list<T>(
    value: Json,
    name: &str,
    read: impl Fn(Json) -> Result<T, FieldErrors>,
) -> Result<(Vec<T>, FieldErrors), FieldErrors> {
    let Json::Array(items) = value else { return Err(format!("must be an array, not {}", kind(&value)).into()) };
    Ok(collect(items.into_iter().enumerate().map(|(index, item)| (format!("{name}[{index}]"), read(item)))))
}

/// Reads an object. Returns the members that `read` accepts, and the errors of the others by key.
///
/// # Errors
/// The value is not an object.
pub fn members<T>(
    value: Json,
    name: &str,
    read: impl Fn(String, Json) -> Result<T, FieldErrors>,
) -> Result<(Vec<T>, FieldErrors), FieldErrors> {
    let Json::Object(members) = value else { return Err(format!("must be an object, not {}", kind(&value)).into()) };
    Ok(collect(members.into_iter().map(|(key, value)| (format!("{name}.{}", beginning(&key)), read(key, value)))))
}

/// Names, and their new values; `None` removes a name.
pub type MemberChanges = Vec<(String, Option<String>)>;

/// Reads an object of a merge patch: a string sets a member, and `null` (`None`) removes it.
///
/// # Errors
/// The value is not an object.
pub fn member_changes(value: Json, name: &str) -> Result<(MemberChanges, FieldErrors), FieldErrors> {
    members(value, name, |name, value| match value {
        Json::Null => Ok((name, None)),
        value => Ok((name, Some(text(value)?))),
    })
}

fn collect<T>(items: impl Iterator<Item = (String, Result<T, FieldErrors>)>) -> (Vec<T>, FieldErrors) {
    let (mut values, mut faults) = (Vec::new(), Vec::new());
    for (path, read) in items {
        match read {
            Ok(value) => values.push(value),
            Err(wrong) if faults.len() <= MAX_FIELD_ERRORS => faults.extend(wrong.at(&path)),
            Err(_) => {}
        }
    }
    (values, FieldErrors(faults))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::Email;

    fn fields(text: &str) -> Fields {
        Fields::of(serde_json::from_str(text).unwrap(), text.as_bytes().to_vec()).unwrap()
    }

    fn faults<T>(result: Result<T>) -> Vec<String> {
        let faults = result.err().map(|error| error.field_errors().to_vec()).unwrap_or_default();
        faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.message)).collect()
    }

    #[test]
    fn every_fault_is_found_at_once() {
        let mut fields = fields(r#"{"email":"nobody","name":5,"dry_run":"yes","seconds":301,"extra":1,"extra":2}"#);
        fields.required("email", parsed::<Email>);
        fields.required("name", text);
        fields.required("url", text);
        fields.optional("dry_run", boolean);
        fields.optional("seconds", whole(1, 300));
        let found = faults(fields.finish(Some(())));
        assert_eq!(
            found,
            [
                "email must be an e-mail address such as ada@example.com",
                "name must be a string, not a number",
                "url is missing",
                "dry_run must be true or false, not a string",
                "seconds must be a whole number from 1 to 300",
                "extra is not a field of this body; known are email, name, url, dry_run, seconds",
            ]
        );
    }

    #[test]
    fn a_field_given_twice_is_refused() {
        let mut fields = fields(r#"{"email":"ada@example.com","email":"bob@example.com"}"#);
        let read = fields.required("email", parsed::<Email>);
        assert_eq!(faults(fields.finish(read)), ["email is given more than once"]);
    }

    #[test]
    fn a_merge_patch_tells_missing_from_null() {
        let mut fields = fields(r#"{"a":null,"b":null,"c":"x"}"#);
        assert_eq!(fields.clearable("a", text), Some(Some(None)));
        assert_eq!(fields.change("b", text), None);
        assert_eq!(fields.clearable("c", text), Some(Some(Some("x".to_owned()))));
        assert_eq!(fields.clearable("d", text), Some(None));
        assert_eq!(faults(fields.finish(Some(()))), ["b cannot be cleared; give it a value or leave it out"]);
    }

    #[test]
    fn faults_inside_lists_and_objects_name_their_place() {
        let value = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        let Ok((tags, FieldErrors(faults))) = list(value(r#"["a",1]"#), "tags", text) else { panic!("refused") };
        assert_eq!((tags, faults[0].field.as_str()), (vec!["a".to_owned()], "tags[1]"));
        let read = members(value(r#"{"X-A":"1","X-B":true}"#), "headers", |_, value| text(value));
        let Ok((_, wrong)) = read else { panic!("refused") };
        let Err(FieldErrors(faults)) = wrong.and(Err::<(), _>("is too long")) else { panic!("taken") };
        let boolean = FieldError::new("headers.X-B", "must be a string, not a boolean");
        assert_eq!(faults, [boolean, FieldError::new("", "is too long")]);
    }

    #[test]
    fn a_raw_field_is_read_byte_for_byte() {
        let mut fields = fields(r#"{"data": {"a" : 1.50, "b":[ ]} ,"none":null}"#);
        let text = |read: Option<Option<Box<RawValue>>>| read.unwrap().map(|raw| raw.get().to_owned());
        assert_eq!(text(fields.raw("data")).unwrap(), r#"{"a" : 1.50, "b":[ ]}"#);
        assert_eq!(text(fields.raw("none")).unwrap(), "null");
        assert_eq!(text(fields.raw("other")), None);
    }

    #[test]
    fn a_body_is_an_object() {
        assert_eq!(
            faults(Fields::of(Json::Array(Vec::new()), Vec::new())),
            [" The body must be an object, not an array."]
        );
    }
}
