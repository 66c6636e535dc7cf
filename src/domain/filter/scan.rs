//! Finds the values of all paths of a tree in one pass over a document, in place. What no path enters is passed over
//! without a look at its keys.

use std::ops::Range;

use super::paths::{NodeId, PathTree};
use super::reader::Reader;
use super::value::Value;

/// The value at each node of the tree; `None` where the document has none.
pub(super) fn find<'d>(tree: &PathTree, document: &'d str) -> Vec<Option<Value<'d>>> {
    let mut scan = Scan { tree, reader: Reader::new(document), open: Vec::new(), found: vec![None; tree.len()] };
    if !tree.is_empty() {
        // `None` only says that the document ends too early; what was found until then counts.
        let _ = scan.run();
    }
    scan.values(document)
}

struct Scan<'t, 'd> {
    tree: &'t PathTree,
    reader: Reader<'d>,
    /// The lists and objects around the reader's place that are entered. They are at most as many as a path has steps.
    open: Vec<Open>,
    /// Where the last value of each node is.
    found: Vec<Option<Range<usize>>>,
}

/// A list or an object that is entered.
struct Open {
    node: NodeId,
    /// Index of its bracket in the document.
    start: usize,
    inside: Inside,
}

enum Inside {
    Object,
    /// In a list, before the element with this index.
    List(u32),
}

impl Scan<'_, '_> {
    fn run(&mut self) -> Option<()> {
        self.value(PathTree::ROOT)?;
        while let Some(open) = self.open.last_mut() {
            if let b'}' | b']' = self.reader.peek()? {
                self.reader.step();
                self.close();
                continue;
            }
            let asked = match &mut open.inside {
                Inside::Object => self.tree.member(open.node, self.reader.key()?),
                Inside::List(index) if *index == self.tree.elements(open.node) => {
                    self.reader.rest_of_container()?;
                    self.close();
                    continue;
                }
                Inside::List(index) => {
                    *index += 1;
                    self.tree.element(open.node, *index - 1)
                }
            };
            match asked {
                Some(node) => self.value(node)?,
                None => {
                    self.reader.value()?;
                }
            }
        }
        Some(())
    }

    /// Enters the value that is next, which is that of `node`, or moves over it if no path leads into it.
    fn value(&mut self, node: NodeId) -> Option<()> {
        let first = self.reader.peek()?;
        let start = self.reader.at();
        let inside = match first {
            b'{' if self.tree.has_members(node) => Inside::Object,
            b'[' if self.tree.elements(node) > 0 => Inside::List(0),
            _ => {
                self.reader.value()?;
                self.found[node] = Some(start..self.reader.at());
                return Some(());
            }
        };
        self.reader.step();
        self.open.push(Open { node, start, inside });
        Some(())
    }

    /// Leaves the innermost list or object, whose end has been read.
    fn close(&mut self) {
        if let Some(open) = self.open.pop() {
            self.found[open.node] = Some(open.start..self.reader.at());
        }
    }

    /// The values at the places that were found.
    ///
    /// Of members with equal keys the last one counts. It has replaced the place of an earlier one, but not all places
    /// inside that one. Those are outside of their parent's place now, and are dropped; parents come first.
    fn values<'d>(mut self, document: &'d str) -> Vec<Option<Value<'d>>> {
        for node in PathTree::ROOT + 1..self.found.len() {
            let parent = self.found[self.tree.parent(node)].clone().unwrap_or_default();
            if self.found[node].as_ref().is_some_and(|place| !parent.contains(&place.start)) {
                self.found[node] = None;
            }
        }
        self.found.into_iter().map(|place| Value::read(document.get(place?)?)).collect()
    }
}
