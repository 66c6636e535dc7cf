//! A template that exists is valid and compiled, and renders.

use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use minijinja::{Environment, Error};

use super::context::TemplateContext;
use super::environment::{self, BODY, HEADER};
use super::failure::{TOO_MUCH, TemplateError, TemplateFailure, own_error};
use super::rewrite::Rewritten;
use super::work::{self, Stopped};
use super::{check, result, token};

/// Longest template in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 32_768;

/// Fuel of a rendering: about that many steps, or 64 times as many bytes.
const FUEL: u64 = 50_000;

/// Units of `work` of a rendering.
const WORK: u64 = 4 << 20;

/// What a template makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateKind {
    /// A body, in which every printed value is JSON by itself.
    Body,
    /// The value of a header, in which a printed string is its text.
    Header,
}

/// A checked and compiled template. Clones share it. Two are equal when their sources and kinds are.
#[derive(Clone)]
pub struct Template(Arc<Compiled>);

struct Compiled {
    kind: TemplateKind,
    source: Box<str>,
    /// Holds the template under the name of its kind. Made when it is first needed, since many templates are read from
    /// the database and never rendered.
    environment: OnceLock<Result<Environment<'static>, TemplateError>>,
}

impl Template {
    /// Compiles a template of 1 to [`MAX_TEMPLATE_BYTES`] bytes. That takes little stack, so it can be done anywhere.
    ///
    /// # Errors
    /// What is wrong first, and where.
    pub fn parse(source: &str, kind: TemplateKind) -> Result<Self, TemplateError> {
        let template = Self::from_stored(source, kind);
        template.0.environment().map_err(Clone::clone)?;
        Ok(template)
    }

    /// A template that was valid when it was stored. It is compiled when it is first rendered.
    pub fn from_stored(source: &str, kind: TemplateKind) -> Self {
        Self(Arc::new(Compiled { kind, source: source.into(), environment: OnceLock::new() }))
    }

    fn compile(source: &str, kind: TemplateKind) -> Result<Environment<'static>, TemplateError> {
        if source.is_empty() || source.len() > MAX_TEMPLATE_BYTES {
            let message = format!("a template has 1 to {MAX_TEMPLATE_BYTES} bytes");
            return Err(TemplateError::at(source, 0, message));
        }
        let tokens = token::tokens(source)?;
        let rewritten = Rewritten::new(source, &check::check(source, &tokens)?);
        let mut environment = environment::environment();
        let add = || environment.add_template_owned(name(kind), rewritten.text.clone());
        match catch_unwind(AssertUnwindSafe(add)) {
            Ok(Ok(())) => Ok(environment),
            Ok(Err(error)) => Err(syntax_error(source, &rewritten, &error)),
            Err(_) => Err(TemplateError::at(source, 0, "cannot be compiled, by a fault of the template engine")),
        }
    }

    /// The source.
    pub fn as_str(&self) -> &str {
        &self.0.source
    }

    /// What it makes.
    pub fn kind(&self) -> TemplateKind {
        self.0.kind
    }

    /// Makes a body or the value of a header of at most `max_bytes`. Time and memory are bounded, by the size of the
    /// document too. A header value is ASCII without control characters and white space at its ends.
    ///
    /// # Errors
    /// What the template asked for and is not there, or went beyond a bound.
    pub fn render(&self, context: &TemplateContext, max_bytes: usize) -> Result<Vec<u8>, TemplateFailure> {
        let mut out = Bounded { bytes: Vec::new(), max_bytes, is_full: false };
        let rendered = work::limited(WORK + 8 * context.length() as u64, || self.render_into(context, &mut out));
        context.rendered();
        match rendered {
            _ if out.is_full => {
                return Err(TemplateFailure::new(None, &format!("what is made is longer than {max_bytes} bytes")));
            }
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(TemplateFailure::of(&error)),
            Err(Stopped::Spent) => return Err(TemplateFailure::new(None, TOO_MUCH)),
            Err(Stopped::Missing) => {
                let what = "a list or map that becomes a text has something missing or unprintable in it";
                return Err(TemplateFailure::new(None, what));
            }
            Err(Stopped::Panicked) => {
                return Err(TemplateFailure::new(None, "stopped by a fault of the template engine"));
            }
        }
        match self.0.kind {
            TemplateKind::Body => Ok(out.bytes),
            TemplateKind::Header => result::header_value(out.bytes),
        }
    }

    fn render_into(&self, context: &TemplateContext, out: &mut Bounded) -> Result<(), Error> {
        let environment = self.0.environment().map_err(|error| own_error(error.to_string()))?;
        let mut environment = environment.clone();
        // Printing a part of the document costs a bit more than a quarter of a step for each byte. What is added lets a
        // template print all of it once.
        environment.set_fuel(Some(FUEL + context.length() as u64 / 3));
        let template = environment.get_template(name(self.0.kind))?;
        template.render_captured_to(context.values(), out).map(|_| ())
    }
}

impl Compiled {
    fn environment(&self) -> Result<&Environment<'static>, &TemplateError> {
        self.environment.get_or_init(|| Template::compile(&self.source, self.kind)).as_ref()
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.0.kind == other.0.kind && self.0.source == other.0.source
    }
}

impl Eq for Template {}

/// A source may hold a secret, such as a token of the receiver.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?}, {} bytes)", self.0.kind, self.0.source.len())
    }
}

fn name(kind: TemplateKind) -> &'static str {
    match kind {
        TemplateKind::Body => BODY,
        TemplateKind::Header => HEADER,
    }
}

fn syntax_error(source: &str, rewritten: &Rewritten, error: &Error) -> TemplateError {
    let at = error.range().map_or(0, |range| rewritten.original(range.start));
    let detail = error.detail().unwrap_or("is no template");
    // A literal is a call by now.
    let message = detail.replace("__list", "[").replace("__map", "{").replace("end of block", "%}");
    TemplateError::at(source, at, message.replace("end of variable block", "}}"))
}

/// Takes what is made, up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    max_bytes: usize,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.max_bytes - self.bytes.len() {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            // Never more than may be made.
            let capacity = needed.max(2 * self.bytes.len()).min(self.max_bytes);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
