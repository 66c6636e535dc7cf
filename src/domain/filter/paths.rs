//! The paths that filters ask for, as one tree, so that one pass over a document finds the values of all of them.

use super::text::Text;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// To the member of an object.
    Key(Box<str>),
    /// To the element of a list, counted from 0.
    Index(u32),
}

/// The steps from the document to a value. Without steps it is the document itself.
pub(super) type Path = Vec<Step>;

/// Index of a node of the tree.
pub(super) type NodeId = usize;

/// All paths. A beginning that several have in common is there once.
#[derive(Default)]
pub(super) struct PathTree {
    /// The document first, and each node before those below it. Empty if there is no path.
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    /// The node above. The document is its own.
    parent: NodeId,
    /// Members that are asked for, in the order of their keys.
    members: Vec<(Box<str>, NodeId)>,
    /// Elements that are asked for, in their order.
    elements: Vec<(u32, NodeId)>,
}

impl PathTree {
    /// The node of the document.
    pub(super) const ROOT: NodeId = 0;

    /// Adds a path and returns the node at its end. The same path has the same node.
    pub(super) fn insert(&mut self, path: &[Step]) -> NodeId {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        path.iter().fold(Self::ROOT, |above, step| self.insert_below(above, step))
    }

    fn insert_below(&mut self, above: NodeId, step: &Step) -> NodeId {
        let new = self.nodes.len();
        let Node { members, elements, .. } = &mut self.nodes[above];
        match step {
            Step::Key(key) => match members.binary_search_by(|(known, _)| known.cmp(key)) {
                Ok(at) => return members[at].1,
                Err(at) => members.insert(at, (key.clone(), new)),
            },
            Step::Index(index) => match elements.binary_search_by_key(index, |(known, _)| *known) {
                Ok(at) => return elements[at].1,
                Err(at) => elements.insert(at, (*index, new)),
            },
        }
        self.nodes.push(Node { parent: above, ..Node::default() });
        new
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn parent(&self, node: NodeId) -> NodeId {
        self.nodes[node].parent
    }

    /// Whether a member of the object at `node` is asked for.
    pub(super) fn has_members(&self, node: NodeId) -> bool {
        !self.nodes[node].members.is_empty()
    }

    /// The node of the member `key` of the object at `node`, if it is asked for.
    pub(super) fn member(&self, node: NodeId, key: Text<'_>) -> Option<NodeId> {
        let members = &self.nodes[node].members;
        members.binary_search_by(|(known, _)| Text::plain(known).order(key)).ok().map(|at| members[at].1)
    }

    /// The node of an element of the list at `node`, if it is asked for.
    pub(super) fn element(&self, node: NodeId, index: u32) -> Option<NodeId> {
        let elements = &self.nodes[node].elements;
        elements.binary_search_by_key(&index, |(known, _)| *known).ok().map(|at| elements[at].1)
    }

    /// How many elements of the list at `node` have to be read until all that are asked for are found.
    pub(super) fn elements(&self, node: NodeId) -> u32 {
        self.nodes[node].elements.last().map_or(0, |(index, _)| index.saturating_add(1))
    }
}
