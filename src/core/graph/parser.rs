//! Tokens to an expression.
//!
//! From loose to tight: `or`, `and`, `not`, comparisons (which do not chain), `+ -`, `* /`, unary `-`, `^`
//! (groups to the right, so `-x^2` is `-(x^2)`).

use super::ast::{Arg, Binary, Call, Expr, ExprKind, LangError, NEG_STRENGTH, NOT_STRENGTH, Span, Unary};
use super::lexer::{Token, tokens};

/// Deepest nesting of brackets: far beyond any readable spec, far below the stack.
const MAX_DEPTH: u32 = 64;

/// Parses one expression. `id` goes into every [`Span`].
///
/// # Errors
/// The first place where the text stops making sense.
pub fn parse(text: &str, id: u32) -> Result<Expr, LangError> {
    let mut parser = Parser { tokens: tokens(text, id)?, at: 0, depth: 0 };
    let expr = parser.expr(0)?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected("an operator or the end of the expression")),
    }
}

/// Parses the head of a macro: `tq(x, p)`.
///
/// # Errors
/// When it is not a name with a list of distinct names.
pub fn parse_macro_head(text: &str, id: u32) -> Result<(String, Vec<String>), LangError> {
    let head = parse(text, id)?;
    let bad = |span| LangError::new(span, "a macro is named like `tq(x, p)`");
    let ExprKind::Call(call) = head.kind else { return Err(bad(head.span)) };
    let mut params: Vec<String> = Vec::new();
    for arg in call.args {
        match arg.value.kind {
            ExprKind::Name(name) if arg.name.is_none() && !params.contains(&name) => params.push(name),
            _ => return Err(bad(arg.value.span).label("each parameter is a name of its own")),
        }
    }
    Ok((call.name, params))
}

struct Parser {
    tokens: Vec<(Token, Span)>,
    at: usize,
    depth: u32,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn span(&self) -> Span {
        self.tokens[self.at].1
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn eat(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Token::Mark(m) if *m == mark);
        if found {
            self.advance();
        }
        found
    }

    fn unexpected(&self, expected: &str) -> LangError {
        let found = match self.peek() {
            Token::Number(n) => format!("the number {n}"),
            Token::Name(name) => format!("'{name}'"),
            Token::Mark(mark) => format!("'{mark}'"),
            Token::End => "the end of the expression".to_owned(),
        };
        let error = LangError::new(self.span(), format!("expected {expected}, found {found}"));
        match self.peek() {
            Token::Mark("=") => error.help("equality is written `==`; `=` only names an argument of a call"),
            Token::Mark("^") => error.help("power is written `x^2`"),
            Token::End if self.at == 0 => error.help("write an expression, as in `close > lag(close, 12)`"),
            Token::End => error.help("close what is open, or take the last operator away"),
            _ => error.help("spec/guide/ has every operator with examples"),
        }
    }

    fn binary(&self) -> Option<Binary> {
        Some(match self.peek() {
            Token::Name(name) => match name.as_str() {
                "or" => Binary::Or,
                "and" => Binary::And,
                _ => return None,
            },
            Token::Mark(mark) => match *mark {
                "<" => Binary::Lt,
                "<=" => Binary::Le,
                ">" => Binary::Gt,
                ">=" => Binary::Ge,
                "==" => Binary::Eq,
                "!=" => Binary::Ne,
                "+" => Binary::Add,
                "-" => Binary::Sub,
                "*" => Binary::Mul,
                "/" => Binary::Div,
                "^" => Binary::Pow,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// An expression of operators that bind at least as tightly as `least`.
    fn expr(&mut self, least: u8) -> Result<Expr, LangError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(LangError::new(self.span(), "this expression is nested too deeply")
                .help("give a part of it a name with `let`"));
        }
        let mut left = self.operand()?;
        while let Some(op) = self.binary() {
            let strength = op.strength();
            if strength < least {
                break;
            }
            self.advance();
            let right = match op {
                Binary::Pow => self.expr(NEG_STRENGTH)?,
                _ => self.expr(strength + 1)?,
            };
            if strength == Binary::Lt.strength()
                && self.binary().is_some_and(|next| next.strength() == strength)
            {
                return Err(
                    LangError::new(self.span(), "comparisons do not chain").help("write `a < b and b < c`")
                );
            }
            let span = left.span.to(right.span);
            left = Expr { kind: ExprKind::Binary(op, left.into(), right.into()), span };
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operand(&mut self) -> Result<Expr, LangError> {
        let start = self.span();
        match self.peek().clone() {
            Token::Number(value) => {
                self.advance();
                Ok(Expr { kind: ExprKind::Number(value), span: start })
            }
            Token::Mark("-") => {
                self.advance();
                let x = self.expr(NEG_STRENGTH)?;
                let span = start.to(x.span);
                Ok(Expr { kind: ExprKind::Unary(Unary::Neg, x.into()), span })
            }
            Token::Mark("(") => {
                self.advance();
                let inner = self.expr(0)?;
                let end = self.span();
                if !self.eat(")") {
                    return Err(self.unexpected("')'"));
                }
                Ok(Expr { span: start.to(end), ..inner })
            }
            Token::Name(name) if name == "not" => {
                self.advance();
                let c = self.expr(NOT_STRENGTH)?;
                let span = start.to(c.span);
                Ok(Expr { kind: ExprKind::Unary(Unary::Not, c.into()), span })
            }
            Token::Name(name) if name != "and" && name != "or" => {
                self.advance();
                if self.eat("(") {
                    self.call(name, start)
                } else {
                    Ok(Expr { kind: ExprKind::Name(name), span: start })
                }
            }
            _ => Err(self.unexpected("a number, a name or '('")),
        }
    }

    fn call(&mut self, name: String, name_span: Span) -> Result<Expr, LangError> {
        let mut args: Vec<Arg> = Vec::new();
        let mut end = self.span();
        if self.eat(")") {
            let kind = ExprKind::Call(Call { name, name_span, args });
            return Ok(Expr { kind, span: name_span.to(end) });
        }
        loop {
            let arg = self.argument()?;
            if arg.name.is_none() && args.last().is_some_and(|a| a.name.is_some()) {
                let error = LangError::new(arg.value.span, "positional arguments stand before named ones");
                return Err(error.help("name this one too, as in `window=288`"));
            }
            args.push(arg);
            end = self.span();
            if self.eat(")") {
                break;
            }
            if !self.eat(",") {
                return Err(self.unexpected("',' or ')'"));
            }
        }
        Ok(Expr { kind: ExprKind::Call(Call { name, name_span, args }), span: name_span.to(end) })
    }

    fn argument(&mut self) -> Result<Arg, LangError> {
        let named = match (self.peek(), self.tokens.get(self.at + 1)) {
            (Token::Name(name), Some((Token::Mark("="), _))) => Some((name.clone(), self.span())),
            _ => None,
        };
        if named.is_some() {
            self.advance();
            self.advance();
        }
        Ok(Arg { name: named, value: self.expr(0)? })
    }
}
