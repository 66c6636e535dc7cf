//! Body and header templates of destinations: Jinja by the `minijinja` crate, made safe against every document and every
//! honest mistake.
//!
//! [`Template::parse`] is the door. It reads the tokens of a template first (`token`), refuses what is too deep to be
//! compiled and names that do not exist (`check`, `names`, `operators`), and puts functions of this server in the place
//! of list and map literals (`rewrite`). [`Template::render`] makes a body or a header value from a
//! [`TemplateContext`], which holds the document (`document`, `node`) and is shared by all templates of one attempt.
//!
//! # What bounds a template
//! The crate counts instructions and bytes (*fuel*), but not what its operators do inside of containers: comparing,
//! printing and repeating them is free, and a list that holds itself twice doubles with each step. So the engine only
//! ever gets containers of this module (`node`, `list`), and these count each visit (`work`). Whoever visits too much is
//! stopped, wherever that happens.

mod check;
mod checker;
mod compiled;
mod context;
mod document;
mod environment;
mod failure;
mod functions;
mod json;
mod list;
mod names;
mod node;
mod number;
mod operators;
mod result;
mod rewrite;
mod scan;
mod text;
mod token;
mod work;

pub use compiled::{MAX_TEMPLATE_BYTES, Template, TemplateKind};
pub use context::{TemplateContext, TemplateInput};
pub use failure::{TemplateError, TemplateFailure};
pub use result::check_json;

#[cfg(test)]
mod tests;
