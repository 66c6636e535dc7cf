//! Nothing that a template does ends the process, whatever the document is. What is asserted are results and bounds;
//! times and memory are measured by `cargo bench --bench shaping`.

use std::thread;

use super::corpus::{documents, templates};
use super::*;

/// The stack of a thread of a blocking pool is 2 MiB. Everything has to do with a quarter of that, in a debug build too.
const STACK: usize = 512 * 1024;

fn on_a_small_stack(work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).expect("a thread");
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Renders `source` beside each document. What it ends with is its own affair, but the engine must not have panicked.
fn ends(source: &str, kind: TemplateKind, contexts: &[TemplateContext]) -> usize {
    let Ok(template) = Template::parse(source, kind) else { return 0 };
    let mut made = 0;
    for context in contexts {
        match template.render(context, MAX_BODY) {
            Ok(bytes) => {
                assert!(bytes.len() <= MAX_BODY);
                made += 1;
            }
            Err(failure) => {
                let is_fault = failure.detail.contains("fault of the template engine");
                assert!(!is_fault, "{}: {failure:?}", &source[..source.len().min(200)]);
            }
        }
    }
    made
}

fn contexts(size: usize) -> Vec<TemplateContext> {
    documents(size).iter().map(|(_, document)| context(document)).collect()
}

#[test]
fn every_template_of_the_corpus_ends_beside_every_document() {
    on_a_small_stack(|| {
        let contexts = contexts(4 * 1024);
        let made: usize = templates().iter().map(|source| ends(source, TemplateKind::Body, &contexts)).sum();
        assert!(made > 100, "{made}");
    });
}

#[test]
fn every_template_of_the_corpus_ends_beside_a_document_of_a_mebibyte() {
    on_a_small_stack(|| {
        // All of them beside all takes minutes in a debug build; the benchmark `shaping` does that.
        let contexts = contexts(MAX_BODY);
        for (place, source) in templates().iter().enumerate() {
            let place = place % contexts.len();
            ends(source, TemplateKind::Header, &contexts[place..=place]);
        }
    });
}

#[test]
fn what_doubles_fails_and_says_so() {
    for (source, part) in [
        ("{% set x = 'x' %}SET{{ x }}", "a text of more than 262144 bytes"),
        ("{% set x = [0] %}LIST{{ x }}", "values"),
    ] {
        let source = source
            .replace("SET", &"{% set x = x ~ x %}".repeat(40))
            .replace("LIST", &"{% set x = [x, x] %}".repeat(25));
        let failure = body(&source, "{}").expect_err(&source);
        assert!(failure.detail.contains(part) || failure.detail.contains("does too much"), "{failure:?}");
    }
    for source in [
        "{{ ([0] * 10 ** 8) ~ '' }}",
        "{{ [[0] * 10 ** 8] == 1 }}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    ] {
        let failure = body(source, "{}").expect_err(source);
        assert!(failure.detail.contains("does too much") || failure.detail.contains("items"), "{source}: {failure:?}");
    }
}

#[test]
fn what_holds_itself_is_refused() {
    for source in [
        "{% set ns = namespace() %}{% set ns.a = ns %}",
        "{% set ns = namespace() %}{% set ns.a = [ns] %}",
        "{% set ns = namespace() %}{% set x = namespace(a=ns) %}",
        "{% set ns = namespace() %}{% set x = namespace({'a': ns}) %}",
        "{% for i in [1] %}{{ [loop] }}{% endfor %}",
    ] {
        let failure = body(source, "{}").expect_err(source);
        assert!(failure.detail.contains("a namespace, a loop or a function cannot be put into"), "{failure:?}");
    }
}

#[test]
fn a_long_document_can_be_printed_whole_and_no_result_is_longer_than_allowed() {
    for (name, document) in documents(MAX_BODY) {
        let made = body("{\"all\": {{ raw }}}", &document).map(|made| made.len());
        if document.len() + 9 <= MAX_BODY {
            assert_eq!(made, Ok(document.len() + 9), "{name}");
        }
        let failure = parsed("{{ data }}", TemplateKind::Body).render(&context(&document), document.len() - 1);
        assert!(failure.expect_err(name).detail.contains("is longer than"), "{name}");
    }
}

#[test]
fn many_lookups_in_a_long_document_take_one_reading_of_it() {
    // A scan for each would be 4,000 MiB.
    let (_, document) = documents(MAX_BODY).swap_remove(3);
    let source = "{% for i in range(4000) %}{% if raw.items.k60000 is defined and data.text %}{% endif %}{% endfor %}{{ raw['items'].k7 }}";
    makes(source, &document, "7");
}
