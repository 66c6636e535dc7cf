//! Values: literals, lists and paths.

use super::super::MAX_STEPS;
use super::super::lexer::CANNOT_CALCULATE;
use super::super::paths::Step;
use super::super::program::Source;
use super::*;

impl Parser<'_> {
    /// A literal, a path, or anything in parentheses.
    pub(super) fn primary(&mut self) -> Result<Part, Mistake> {
        let at = self.at;
        if let Some(literal) = self.literal()? {
            return Ok(Part { at, kind: Kind::Operand(Operand::Literal(literal)) });
        }
        match self.token {
            Token::Symbol("(") => {
                let inner = self.nested(Self::any)?;
                self.close(at, ")")?;
                Ok(Part { at, ..inner })
            }
            Token::Name(root @ ("data" | "event")) => {
                self.advance()?;
                let path = self.steps()?;
                let source = if root == "data" { self.data(path) } else { event_field(&path, at)? };
                let reading = Reading { source, lower: false, length: false };
                Ok(Part { at, kind: Kind::Operand(Operand::Read(reading)) })
            }
            _ => Err(self.no_value()),
        }
    }

    /// The literal that is next, if one is.
    fn literal(&mut self) -> Result<Option<Literal>, Mistake> {
        let literal = match &mut self.token {
            Token::Text(text) => Literal::Text(std::mem::take(text).into_boxed_str()),
            Token::Number(number) => Literal::Number((*number).into()),
            Token::Symbol("-") => {
                self.advance()?;
                let Token::Number(number) = self.token else { return Err(Mistake::new(self.at, CANNOT_CALCULATE)) };
                Literal::Number(format!("-{number}").into_boxed_str())
            }
            Token::Name("true" | "True") => Literal::Bool(true),
            Token::Name("false" | "False") => Literal::Bool(false),
            Token::Name("none" | "None") => Literal::None,
            _ => return Ok(None),
        };
        self.advance()?;
        Ok(Some(literal))
    }

    /// The steps of a path after its root.
    fn steps(&mut self) -> Result<Path, Mistake> {
        let mut path = Path::new();
        loop {
            let start = self.at;
            if self.accept(&Token::Symbol("."))? {
                path.push(Step::Key(self.name(hints::AFTER_POINT)?.into()));
            } else if self.accept(&Token::Symbol("["))? {
                path.push(self.subscript()?);
                self.close(start, "]")?;
            } else if self.token == Token::Symbol("(") {
                return Err(Mistake::new(start, hints::METHOD));
            } else {
                return Ok(path);
            }
            if path.len() > MAX_STEPS {
                return Err(Mistake::new(
                    start,
                    format!("a path has at most {MAX_STEPS} steps; no document is deeper"),
                ));
            }
        }
    }

    /// The step between brackets.
    fn subscript(&mut self) -> Result<Step, Mistake> {
        let at = self.at;
        let step = match &mut self.token {
            Token::Text(key) => Step::Key(std::mem::take(key).into_boxed_str()),
            Token::Number(number) => match number.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => return Err(Mistake::new(at, hints::INDEX)),
            },
            Token::Symbol("-") => return Err(Mistake::new(at, hints::FROM_THE_END)),
            _ => return Err(Mistake::new(at, hints::SUBSCRIPT)),
        };
        self.advance()?;
        Ok(step)
    }

    fn data(&mut self, path: Path) -> Source {
        self.paths.push(path);
        Source::Data(self.paths.len() - 1)
    }

    /// A list of literals, whose bracket is next.
    pub(super) fn list(&mut self) -> Result<Vec<Literal>, Mistake> {
        let start = self.at;
        self.advance()?;
        let mut literals = Vec::new();
        while self.token != Token::Symbol("]") {
            literals.push(self.literal()?.ok_or_else(|| Mistake::new(self.at, hints::IN_LIST))?);
            if !self.accept(&Token::Symbol(","))? {
                break;
            }
        }
        self.close(start, "]")?;
        Ok(literals)
    }
}

/// The field of the event at the end of a path that begins with `event`, at `at`.
fn event_field(path: &[Step], at: usize) -> Result<Source, Mistake> {
    let (field, rest) = match path {
        [Step::Key(field), rest @ ..] => (field.as_ref(), rest),
        _ => ("", path),
    };
    let source = match field {
        "type" => Source::EventType,
        "received_at" => Source::ReceivedAt,
        "account_id" => Source::AccountId,
        "id" => return Err(Mistake::new(at, hints::EVENT_ID)),
        _ => return Err(Mistake::new(at, hints::EVENT)),
    };
    if rest.is_empty() {
        Ok(source)
    } else {
        Err(Mistake::new(at, format!("event.{field} is a string and has no parts")))
    }
}
