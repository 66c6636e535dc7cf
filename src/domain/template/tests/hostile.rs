//! Nothing that a template does ends the process, whatever the document is. What is asserted are results and bounds;
//! the example `cost` prints times and memory.

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

#[test]
fn every_template_of_the_corpus_ends_beside_every_document() {
    on_a_small_stack(|| {
        let contexts: Vec<_> = documents().iter().map(|(_, document)| context(document)).collect();
        let mut made = 0;
        for source in templates() {
            for kind in [TemplateKind::Body, TemplateKind::Header] {
                let Ok(template) = Template::parse(&source, kind) else { continue };
                for context in &contexts {
                    match template.render(context, MAX_BODY) {
                        Ok(bytes) => {
                            assert!(bytes.len() <= MAX_BODY);
                            made += 1;
                        }
                        Err(failure) => {
                            let fault = failure.detail.contains("fault of the template engine");
                            assert!(!fault, "{}: {failure:?}", &source[..source.len().min(200)]);
                        }
                    }
                }
            }
        }
        assert!(made > 0);
    });
}

#[test]
fn what_doubles_fails_and_says_so() {
    for (source, part) in
        [("{% set x = 'x' %}SET{{ x }}", "longer than 1048576 bytes"), ("{% set x = [0] %}LIST{{ x }}", "values")]
    {
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
        "{% for i in [1] %}{{ [loop] }}{% endfor %}",
    ] {
        let failure = body(source, "{}").expect_err(source);
        assert!(failure.detail.contains("a namespace, a loop or a function cannot be put into"), "{failure:?}");
    }
}

#[test]
fn a_long_document_can_be_printed_whole_and_no_result_is_longer_than_allowed() {
    for (name, document) in documents() {
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
    let (_, document) = documents().swap_remove(3);
    let source = "{% for i in range(4000) %}{% if raw.items.k69999 is defined and data.text %}{% endif %}{% endfor %}{{ raw['items'].k7 }}";
    makes(source, &document, "7");
}
