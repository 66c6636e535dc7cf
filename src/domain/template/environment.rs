//! The engine as templates find it: its filters, tests and functions, and how it prints.
//!
//! Filters that the engine brings are used where fuel pays for what they do, or where they do it by visits that `work`
//! counts. Left out are `batch`, `slice`, `groupby`, `zip`, `chain`, `pprint`, `format`, `indent`, `dict`, `debug` and
//! the tests of upper and lower case.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior, filters, tests};

use super::failure::{own_error, refuse_missing};
use super::list::{MAX_ITEMS, held};
use super::{functions, json, text, work};

/// Name of the template in the environment of a body.
pub(super) const BODY: &str = "body";

/// Name of the template in the environment of a header.
pub(super) const HEADER: &str = "header";

/// What can be called in a template.
pub(super) const FUNCTIONS: [&str; 3] = ["range", "namespace", "loop"];

/// Deepest recursion of a `recursive` loop and nesting of blocks. It takes no stack of the thread.
const RECURSION_LIMIT: usize = 200;

struct Engine {
    environment: Environment<'static>,
    filters: BTreeSet<&'static str>,
    tests: BTreeSet<&'static str>,
}

static ENGINE: LazyLock<Engine> = LazyLock::new(build);

/// An environment without a template. Cloning shares filters, tests and functions.
pub(super) fn environment() -> Environment<'static> {
    ENGINE.environment.clone()
}

pub(super) fn has_filter(name: &str) -> bool {
    ENGINE.filters.contains(name)
}

pub(super) fn has_test(name: &str) -> bool {
    ENGINE.tests.contains(name)
}

/// All filters, for messages.
pub(super) fn filter_names() -> String {
    ENGINE.filters.iter().copied().collect::<Vec<_>>().join(", ")
}

/// All tests, for messages.
pub(super) fn test_names() -> String {
    ENGINE.tests.iter().copied().collect::<Vec<_>>().join(", ")
}

fn build() -> Engine {
    let mut environment = Environment::empty();
    // With this `data.a.b|default('x')` holds where `a` is missing; what is printed is checked below.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_recursion_limit(RECURSION_LIMIT);
    // Errors then name what is missing.
    environment.set_debug(true);
    // Anything but `None` makes a `{% set %}` block a text that prints as it is.
    environment.set_auto_escape_callback(|name| AutoEscape::Custom(name.to_owned().into()));
    environment.set_formatter(print);
    functions::add_to(&mut environment);
    let filters = add_filters(&mut environment);
    let tests = add_tests(&mut environment);
    Engine { environment, filters, tests }
}

/// Prints a value where a template has `{{ … }}`.
fn print(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) if value.is_safe() => {
            // Blocks that capture each other's text would double it for a quarter of this in fuel.
            work::spend(4 * text.len() as u64);
            Ok(out.write_str(text)?)
        }
        _ if state.name() == HEADER => json::write_text(out, value),
        _ => json::write(out, value),
    }
}

fn add_filters(environment: &mut Environment<'static>) -> BTreeSet<&'static str> {
    let default = Value::from_function(filters::default);
    let length = Value::from_function(filters::length);
    let mut names = BTreeSet::from(["default", "d", "length", "count", "join", "replace", "tojson", "string"]);
    for name in ["default", "d"] {
        environment.add_filter(name, plain(default.clone()));
    }
    for name in ["length", "count"] {
        environment.add_filter(name, present(length.clone()));
    }
    environment.add_filter("join", text::join);
    environment.add_filter("replace", text::replace);
    environment.add_filter("tojson", text::to_json);
    environment.add_filter("string", text::string);
    for (name, filter) in of_one_value() {
        names.insert(name);
        environment.add_filter(name, present(filter));
    }
    for (name, filter) in of_lists() {
        names.insert(name);
        environment.add_filter(name, bounded(filter));
    }
    names
}

/// Filters whose work is bounded by the length of a text, which fuel pays for.
fn of_one_value() -> [(&'static str, Value); 13] {
    [
        ("abs", Value::from_function(filters::abs)),
        ("attr", Value::from_function(filters::attr)),
        ("bool", Value::from_function(filters::bool)),
        ("capitalize", Value::from_function(filters::capitalize)),
        ("first", Value::from_function(filters::first)),
        ("float", Value::from_function(filters::float)),
        ("int", Value::from_function(filters::int)),
        ("lower", Value::from_function(filters::lower)),
        ("round", Value::from_function(filters::round)),
        ("safe", Value::from_function(filters::safe)),
        ("title", Value::from_function(filters::title)),
        ("trim", Value::from_function(filters::trim)),
        ("upper", Value::from_function(filters::upper)),
    ]
}

/// Filters that collect items.
fn of_lists() -> [(&'static str, Value); 17] {
    [
        ("dictsort", Value::from_function(filters::dictsort)),
        ("items", Value::from_function(filters::items)),
        ("last", Value::from_function(filters::last)),
        ("lines", Value::from_function(filters::lines)),
        ("list", Value::from_function(filters::list)),
        ("map", Value::from_function(filters::map)),
        ("max", Value::from_function(filters::max)),
        ("min", Value::from_function(filters::min)),
        ("reject", Value::from_function(filters::reject)),
        ("rejectattr", Value::from_function(filters::rejectattr)),
        ("reverse", Value::from_function(filters::reverse)),
        ("select", Value::from_function(filters::select)),
        ("selectattr", Value::from_function(filters::selectattr)),
        ("sort", Value::from_function(filters::sort)),
        ("split", Value::from_function(filters::split)),
        ("sum", Value::from_function(filters::sum)),
        ("unique", Value::from_function(filters::unique)),
    ]
}

/// A filter or test as a function of all its arguments, the value first and named ones last.
type Filter = Box<dyn Fn(&mut State, Rest<ValueOrKwargs>) -> Result<Value, Error> + Send + Sync>;

fn plain(filter: Value) -> Filter {
    Box::new(move |state: &mut State, arguments: Rest<ValueOrKwargs>| filter.call(state, &arguments.into_values()))
}

/// A filter that refuses what is missing.
fn present(filter: Value) -> Filter {
    Box::new(move |state: &mut State, arguments: Rest<ValueOrKwargs>| {
        let arguments = arguments.into_values();
        arguments.first().map_or(Ok(()), refuse_missing)?;
        filter.call(state, &arguments)
    })
}

/// As [`present`]. It refuses very long lists too, and what it makes is a list of this module.
fn bounded(filter: Value) -> Filter {
    Box::new(move |state: &mut State, arguments: Rest<ValueOrKwargs>| {
        let arguments = arguments.into_values();
        arguments.first().map_or(Ok(()), refuse_missing)?;
        let bytes = |value: &Value| value.as_str().map(str::len).or_else(|| value.len());
        if arguments.first().and_then(bytes).is_some_and(|length| length > MAX_ITEMS) {
            let message = format!("a filter of lists takes at most {MAX_ITEMS} items, or a text of as many bytes");
            return Err(own_error(message));
        }
        let made = filter.call(state, &arguments)?;
        held(state, made)
    })
}

fn add_tests(environment: &mut Environment<'static>) -> BTreeSet<&'static str> {
    let all = [
        ("boolean", Value::from_function(tests::is_boolean)),
        ("defined", Value::from_function(tests::is_defined)),
        ("divisibleby", Value::from_function(tests::is_divisibleby)),
        ("endingwith", Value::from_function(tests::is_endingwith)),
        ("eq", Value::from_function(tests::is_eq)),
        ("equalto", Value::from_function(tests::is_eq)),
        ("even", Value::from_function(tests::is_even)),
        ("false", Value::from_function(tests::is_false)),
        ("float", Value::from_function(tests::is_float)),
        ("ge", Value::from_function(tests::is_ge)),
        ("gt", Value::from_function(tests::is_gt)),
        ("in", Value::from_function(tests::is_in)),
        ("integer", Value::from_function(tests::is_integer)),
        ("iterable", Value::from_function(tests::is_iterable)),
        ("le", Value::from_function(tests::is_le)),
        ("lt", Value::from_function(tests::is_lt)),
        ("mapping", Value::from_function(tests::is_mapping)),
        ("ne", Value::from_function(tests::is_ne)),
        ("none", Value::from_function(tests::is_none)),
        ("number", Value::from_function(tests::is_number)),
        ("odd", Value::from_function(tests::is_odd)),
        ("sequence", Value::from_function(tests::is_sequence)),
        ("startingwith", Value::from_function(tests::is_startingwith)),
        ("string", Value::from_function(tests::is_string)),
        ("true", Value::from_function(tests::is_true)),
        ("undefined", Value::from_function(tests::is_undefined)),
    ];
    all.into_iter()
        .map(|(name, test)| {
            environment.add_test(name, plain(test));
            name
        })
        .collect()
}
