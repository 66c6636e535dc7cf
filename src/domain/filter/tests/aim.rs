//! Aims expressions at a document. Without it hardly any path would lead to something, and hardly any comparison hold.

use super::documents::{Style, Tree};
use super::expressions::{Container, Expr, Operand, Root, Step};

/// What a document has.
#[derive(Default)]
pub(super) struct Targets {
    /// All paths.
    paths: Vec<Vec<Step>>,
    /// The numbers and strings, and their paths.
    scalars: Vec<(Vec<Step>, Tree)>,
    /// The paths of lists and objects, with a scalar or key that is in them.
    holders: Vec<(Vec<Step>, Tree)>,
}

impl Targets {
    pub(super) fn of(document: &Tree) -> Self {
        let mut targets = Self::default();
        targets.add(document, &[]);
        targets
    }

    fn add(&mut self, tree: &Tree, path: &[Step]) {
        self.paths.push(path.to_vec());
        let below = |step| [path, &[step]].concat();
        match tree {
            Tree::Number(_) | Tree::Text(_) => self.scalars.push((path.to_vec(), tree.clone())),
            Tree::List(elements) => {
                for (index, element) in (0..).zip(elements) {
                    if !matches!(element, Tree::List(_) | Tree::Object(_)) {
                        self.holders.push((path.to_vec(), element.clone()));
                    }
                    self.add(element, &below(Step::Index(index)));
                }
            }
            Tree::Object(members) => {
                for (key, member) in members {
                    self.holders.push((path.to_vec(), Tree::Text(key.clone())));
                    self.add(member, &below(Step::Key(key.clone())));
                }
            }
            Tree::Null | Tree::Bool(_) => {}
        }
    }

    /// Lets most paths of the expression lead to something, and literals be what is there.
    pub(super) fn aim(&self, expr: &mut Expr, style: &mut Style<'_>) {
        match expr {
            Expr::All(parts) | Expr::Any(parts) => parts.iter_mut().for_each(|part| self.aim(part, style)),
            Expr::Not(inner) => self.aim(inner, style),
            Expr::Alone(operand) | Expr::Test { operand, .. } => self.aim_operand(operand, style),
            Expr::Compare(left, _, right) => match style.pick(&self.scalars).filter(|_| style.choose(3) != 1) {
                Some((path, value)) => {
                    *left = read(path);
                    *right = Operand::Literal(value.clone());
                    if style.choose(2) == 1 {
                        self.aim_operand(right, style);
                    }
                }
                None => {
                    self.aim_operand(left, style);
                    self.aim_operand(right, style);
                }
            },
            Expr::In { part, container: Container::List(literals), .. } => {
                self.aim_operand(part, style);
                if let Some((path, value)) = style.pick(&self.scalars).filter(|_| style.choose(3) != 1) {
                    *part = read(path);
                    literals.push(value.clone());
                }
                literals.iter_mut().for_each(|literal| self.aim_literal(literal, style));
            }
            Expr::In { part, container: Container::Operand(container), .. } => {
                self.aim_operand(part, style);
                match style.pick(&self.holders).filter(|_| style.choose(3) != 1) {
                    Some((path, held)) => {
                        *container = read(path);
                        *part = Operand::Literal(held.clone());
                        self.aim_operand(part, style);
                    }
                    None => self.aim_operand(container, style),
                }
            }
        }
    }

    fn aim_operand(&self, operand: &mut Operand, style: &mut Style<'_>) {
        match operand {
            Operand::Read { root: Root::Data(steps), .. } if style.choose(5) != 1 => {
                *steps = style.pick(&self.paths).expect("the document itself").clone();
            }
            Operand::Read { .. } => {}
            Operand::Literal(literal) => self.aim_literal(literal, style),
        }
    }

    /// Makes of some literals another value of the same type that the document has.
    fn aim_literal(&self, literal: &mut Tree, style: &mut Style<'_>) {
        let same_type = |there: &&Tree| std::mem::discriminant(*there) == std::mem::discriminant(literal);
        let there: Vec<&Tree> = self.scalars.iter().map(|(_, value)| value).filter(same_type).collect();
        if let Some(there) = style.pick(&there).filter(|_| style.choose(3) == 1) {
            *literal = (*there).clone();
        }
    }
}

fn read(path: &[Step]) -> Operand {
    Operand::Read { root: Root::Data(path.to_vec()), lower: false, length: false }
}
