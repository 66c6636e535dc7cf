//! Makes a program of the text of a filter. Precedence is that of Jinja: `or`, `and`, `not`, comparisons, then filters
//! and tests. A condition is no value: `('a' or 'b') == data.x` is Jinja, but never what its author meant, so it is
//! refused.

use super::lexer::{Lexer, Token};
use super::paths::Path;
use super::program::{Comparison, Condition, Container, Literal, Operand, Program, Reading};
use super::{MAX_NESTING, MAX_WHOLE_READS, Mistake};

mod hints;
mod values;

/// Parses a filter.
pub(super) fn parse(source: &str) -> Result<Program, Mistake> {
    let mut lexer = Lexer::new(source);
    let (at, token) = lexer.next()?;
    let mut parser = Parser { lexer, at, token, nesting: 0, whole_reads: 0, paths: Vec::new() };
    let whole = parser.any()?;
    if parser.token != Token::End {
        return Err(parser.unexpected());
    }
    Ok(Program { condition: whole.into_condition()?, paths: parser.paths })
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    /// The token that is next, and the index of its first byte.
    token: Token<'s>,
    at: usize,
    /// How many parentheses and `not` are around it.
    nesting: usize,
    /// How many parts read the whole of a value.
    whole_reads: usize,
    /// The paths so far.
    paths: Vec<Path>,
}

/// A part of an expression, and the index of its first byte.
struct Part {
    at: usize,
    kind: Kind,
}

enum Kind {
    /// True or false.
    Condition(Condition),
    /// A value.
    Operand(Operand),
}

enum Operator {
    Compare(Comparison),
    In,
    NotIn,
}

impl Part {
    fn into_condition(self) -> Result<Condition, Mistake> {
        match self.kind {
            Kind::Condition(condition) => Ok(condition),
            Kind::Operand(Operand::Literal(literal)) if !matches!(literal, Literal::Bool(_)) => {
                Err(Mistake::new(self.at, hints::LITERAL_ALONE))
            }
            Kind::Operand(operand) => Ok(Condition::True(operand)),
        }
    }

    fn into_operand(self) -> Result<Operand, Mistake> {
        match self.kind {
            Kind::Operand(operand) => Ok(operand),
            Kind::Condition(_) => Err(Mistake::new(self.at, hints::NOT_A_VALUE)),
        }
    }
}

impl<'s> Parser<'s> {
    fn any(&mut self) -> Result<Part, Mistake> {
        self.joined("or", Self::all, Condition::Any)
    }

    fn all(&mut self) -> Result<Part, Mistake> {
        self.joined("and", Self::negated, Condition::All)
    }

    /// One part, or several with `word` between them.
    fn joined(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Part, Mistake>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Result<Part, Mistake> {
        let first = part(self)?;
        if self.token != Token::Name(word) {
            return Ok(first);
        }
        let at = first.at;
        let mut parts = vec![first.into_condition()?];
        while self.accept(&Token::Name(word))? {
            parts.push(part(self)?.into_condition()?);
        }
        Ok(Part { at, kind: Kind::Condition(join(parts)) })
    }

    fn negated(&mut self) -> Result<Part, Mistake> {
        let at = self.at;
        if self.token != Token::Name("not") {
            return self.comparison();
        }
        let condition = self.nested(Self::negated)?.into_condition()?;
        Ok(Part { at, kind: Kind::Condition(Condition::Not(Box::new(condition))) })
    }

    /// Moves over the token that is next and reads what it holds.
    fn nested(&mut self, inner: fn(&mut Self) -> Result<Part, Mistake>) -> Result<Part, Mistake> {
        if self.nesting == MAX_NESTING {
            return Err(Mistake::new(self.at, format!("( and `not` are nested deeper than {MAX_NESTING} levels")));
        }
        self.advance()?;
        self.nesting += 1;
        let part = inner(self)?;
        self.nesting -= 1;
        Ok(part)
    }

    fn comparison(&mut self) -> Result<Part, Mistake> {
        let left = self.filtered()?;
        let Some(operator) = self.operator()? else { return Ok(left) };
        let at = left.at;
        let left = left.into_operand()?;
        let condition = match operator {
            Operator::In => Condition::In(left, self.container()?),
            Operator::NotIn => Condition::Not(Box::new(Condition::In(left, self.container()?))),
            Operator::Compare(comparison) => {
                let right_at = self.at;
                let right = self.filtered()?.into_operand()?;
                if !matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
                    must_have_order(&left, at)?;
                    must_have_order(&right, right_at)?;
                }
                if left.is_of_document() && right.is_of_document() {
                    self.count_whole_read(at)?;
                }
                Condition::Compare(left, comparison, right)
            }
        };
        let chained = self.at;
        match self.operator()? {
            Some(_) => Err(Mistake::new(chained, hints::CHAINED)),
            None => Ok(Part { at, kind: Kind::Condition(condition) }),
        }
    }

    /// The operator that is next, if one is.
    fn operator(&mut self) -> Result<Option<Operator>, Mistake> {
        let operator = match self.token {
            Token::Symbol("==") => Operator::Compare(Comparison::Equal),
            Token::Symbol("!=") => Operator::Compare(Comparison::NotEqual),
            Token::Symbol("<") => Operator::Compare(Comparison::Less),
            Token::Symbol("<=") => Operator::Compare(Comparison::LessOrEqual),
            Token::Symbol(">") => Operator::Compare(Comparison::Greater),
            Token::Symbol(">=") => Operator::Compare(Comparison::GreaterOrEqual),
            Token::Name("in") => Operator::In,
            Token::Name("not") => {
                self.advance()?;
                if self.token != Token::Name("in") {
                    return Err(Mistake::new(self.at, hints::NOT_AFTER_VALUE));
                }
                Operator::NotIn
            }
            _ => return Ok(None),
        };
        self.advance()?;
        Ok(Some(operator))
    }

    /// The right side of `in`.
    fn container(&mut self) -> Result<Container, Mistake> {
        if self.token == Token::Symbol("[") {
            return Ok(Container::List(self.list()?));
        }
        let at = self.at;
        match self.filtered()?.into_operand()? {
            Operand::Literal(Literal::None | Literal::Bool(_) | Literal::Number(_))
            | Operand::Read(Reading { length: true, .. }) => Err(Mistake::new(at, hints::NOT_A_CONTAINER)),
            operand => {
                if operand.is_of_document() {
                    self.count_whole_read(at)?;
                }
                Ok(Container::Value(operand))
            }
        }
    }

    /// Counts a part, at `at`, that reads the whole of a value of the document.
    fn count_whole_read(&mut self, at: usize) -> Result<(), Mistake> {
        self.whole_reads += 1;
        if self.whole_reads > MAX_WHOLE_READS {
            return Err(Mistake::new(at, hints::too_many_whole_reads()));
        }
        Ok(())
    }

    /// A value with the filters and tests after it.
    fn filtered(&mut self) -> Result<Part, Mistake> {
        let mut part = self.primary()?;
        let at = part.at;
        loop {
            let sign = self.at;
            if self.accept(&Token::Symbol("|"))? {
                let Kind::Operand(operand) = part.kind else {
                    return Err(Mistake::new(sign, hints::FILTER_OF_CONDITION));
                };
                part.kind = Kind::Operand(self.filter(operand)?);
            } else if self.accept(&Token::Name("is"))? {
                let Kind::Operand(operand) = part.kind else {
                    return Err(Mistake::new(sign, hints::TEST_OF_CONDITION));
                };
                part.kind = Kind::Condition(self.test(operand)?);
            } else {
                return Ok(Part { at, kind: part.kind });
            }
        }
    }

    /// Applies the filter whose name is next.
    fn filter(&mut self, operand: Operand) -> Result<Operand, Mistake> {
        let at = self.at;
        let name = self.name("the name of a filter comes after |: |length or |lower")?;
        if !matches!(name, "length" | "lower") {
            return Err(Mistake::new(at, hints::filter(name)));
        }
        if self.token == Token::Symbol("(") {
            return Err(Mistake::new(self.at, format!("|{name} has no parentheses after it")));
        }
        match (operand, name) {
            (Operand::Read(reading @ Reading { length: false, .. }), "length") => {
                if reading.is_of_document() {
                    self.count_whole_read(at)?;
                }
                Ok(Operand::Read(Reading { length: true, ..reading }))
            }
            (Operand::Read(reading @ Reading { length: false, .. }), _) => {
                Ok(Operand::Read(Reading { lower: true, ..reading }))
            }
            (Operand::Read(_), _) => Err(Mistake::new(at, hints::AFTER_LENGTH)),
            (Operand::Literal(_), _) => Err(Mistake::new(at, hints::FILTER_OF_LITERAL)),
        }
    }

    /// The test of `operand` that comes after `is`.
    fn test(&mut self, operand: Operand) -> Result<Condition, Mistake> {
        let negated = self.accept(&Token::Name("not"))?;
        let at = self.at;
        let (condition, positive) = match self.name(hints::NO_TEST)? {
            "defined" => (Condition::Defined(operand), true),
            "undefined" => (Condition::Defined(operand), false),
            "none" => (Condition::None(operand), true),
            "startingwith" => (Condition::StartingWith(operand, self.argument()?), true),
            "endingwith" => {
                if operand.is_of_document() {
                    self.count_whole_read(at)?;
                }
                (Condition::EndingWith(operand, self.argument()?), true)
            }
            name => return Err(Mistake::new(at, hints::test(name))),
        };
        Ok(if positive == negated { Condition::Not(Box::new(condition)) } else { condition })
    }

    /// The string after a test, in parentheses or not.
    fn argument(&mut self) -> Result<Box<str>, Mistake> {
        let start = self.at;
        let in_parentheses = self.accept(&Token::Symbol("("))?;
        let Token::Text(text) = &mut self.token else { return Err(Mistake::new(self.at, hints::ARGUMENT)) };
        let text = std::mem::take(text).into_boxed_str();
        self.advance()?;
        if in_parentheses {
            self.close(start, ")")?;
        }
        Ok(text)
    }

    /// The name that is next.
    fn name(&mut self, missing: &str) -> Result<&'s str, Mistake> {
        let Token::Name(name) = self.token else { return Err(Mistake::new(self.at, missing)) };
        self.advance()?;
        Ok(name)
    }

    /// Moves over the bracket that closes the one at `start`.
    fn close(&mut self, start: usize, closing: &'static str) -> Result<(), Mistake> {
        if self.accept(&Token::Symbol(closing))? {
            return Ok(());
        }
        Err(match self.token {
            Token::End => Mistake::new(start, format!("what opens here has no closing {closing}")),
            Token::Symbol(",") if closing == ")" => Mistake::new(self.at, hints::TUPLE),
            _ => self.unexpected(),
        })
    }

    /// Moves over the token if it is next.
    fn accept(&mut self, token: &Token<'_>) -> Result<bool, Mistake> {
        let is_next = self.token == *token;
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn advance(&mut self) -> Result<(), Mistake> {
        (self.at, self.token) = self.lexer.next()?;
        Ok(())
    }

    /// The mistake of a token that cannot follow what is before it.
    fn unexpected(&self) -> Mistake {
        Mistake::new(self.at, hints::unexpected(&self.token))
    }

    /// The mistake of a token that is no value where one is expected.
    fn no_value(&self) -> Mistake {
        let after = self.lexer.clone().next().map_or(Token::End, |(_, token)| token);
        Mistake::new(self.at, hints::no_value(&self.token, after == Token::Symbol("(")))
    }
}

/// Refuses literals that no value is less or greater than.
fn must_have_order(operand: &Operand, at: usize) -> Result<(), Mistake> {
    match operand {
        Operand::Literal(Literal::None | Literal::Bool(_)) => Err(Mistake::new(at, hints::NO_ORDER)),
        _ => Ok(()),
    }
}
