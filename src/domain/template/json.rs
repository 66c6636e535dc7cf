//! Prints values: in a body as JSON, in a header as text.

use std::fmt::{self, Write};
use std::io;

use minijinja::Error;
use minijinja::value::{ObjectRepr, Value, ValueKind};

use super::failure::{own_error, refuse_missing};
use super::node::Node;
use super::number;
use super::work;

/// Deepest nesting that is printed. What a template makes is never as deep: see `list`.
const MAX_DEPTH: usize = 64;

/// Writes a value as JSON. Parts of the document come as they are, everything else without white space.
///
/// # Errors
/// The value, or one inside, is missing or cannot be written as JSON.
pub(super) fn write(out: &mut dyn Write, value: &Value) -> Result<(), Error> {
    write_nested(&mut Counted(out), value, 0)
}

/// Writes a value as the text of a header: a string without quotes and escapes, everything else as JSON.
///
/// # Errors
/// As [`write()`].
pub(super) fn write_text(out: &mut dyn Write, value: &Value) -> Result<(), Error> {
    let raw = value.downcast_object_ref::<Node>().and_then(Node::string);
    match value.as_str().or(raw.as_deref()) {
        Some(text) => Ok(Counted(out).write_str(text)?),
        None => write(out, value),
    }
}

fn write_nested(out: &mut Counted<'_>, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(own_error("lists and maps are nested too deep to be printed"));
    }
    refuse_missing(value)?;
    if let Some(node) = value.downcast_object_ref::<Node>() {
        return Ok(out.write_str(node.text())?);
    }
    if let Some(text) = value.as_str() {
        return write_string(out, text);
    }
    match value.kind() {
        ValueKind::None => Ok(out.write_str("null")?),
        ValueKind::Bool => Ok(out.write_str(if value.is_true() { "true" } else { "false" })?),
        ValueKind::Number => {
            let text = number::printed(value).ok_or_else(|| {
                own_error("a number is too large to be printed; the same path from `raw` prints it as it came")
            })?;
            // No integer prints otherwise than it came, but for -0.
            if !value.is_integer() || text == "0" {
                work::note_printed(&text);
            }
            Ok(out.write_str(&text)?)
        }
        _ => write_container(out, value, depth),
    }
}

fn write_container(out: &mut Counted<'_>, value: &Value, depth: usize) -> Result<(), Error> {
    let unprintable = || own_error("a namespace, a loop or a function cannot be printed");
    let object = value.as_object().ok_or_else(unprintable)?;
    match object.repr() {
        // The engine's own objects are a namespace, the loop and functions.
        ObjectRepr::Map if !object.type_name().starts_with("minijinja::") => {
            let mut separator = '{';
            for (key, value) in object.try_iter_pairs().into_iter().flatten() {
                out.write_char(separator)?;
                separator = ',';
                write_string(out, key.as_str().unwrap_or_default())?;
                out.write_char(':')?;
                write_nested(out, &value, depth + 1)?;
            }
            Ok(out.write_str(if separator == '{' { "{}" } else { "}" })?)
        }
        ObjectRepr::Seq | ObjectRepr::Iterable => {
            let mut separator = '[';
            for item in object.try_iter().into_iter().flatten() {
                out.write_char(separator)?;
                separator = ',';
                write_nested(out, &item, depth + 1)?;
            }
            Ok(out.write_str(if separator == '[' { "[]" } else { "]" })?)
        }
        _ => Err(unprintable()),
    }
}

fn write_string(out: &mut Counted<'_>, text: &str) -> Result<(), Error> {
    serde_json::to_writer(Bytes(out), text).map_err(|_| Error::from(fmt::Error))
}

/// Counts what is printed as work. A text that a template captures goes nowhere else where it would be bounded.
struct Counted<'a>(&'a mut dyn Write);

impl Write for Counted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        work::spend(text.len() as u64);
        self.0.write_str(text)
    }
}

/// Takes what `serde_json` writes. It writes whole characters.
struct Bytes<'a, 'b>(&'a mut Counted<'b>);

impl io::Write for Bytes<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.write_str(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
