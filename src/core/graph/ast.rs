//! What an expression looks like, with the stretch of text each part came from.

use std::fmt;

/// A stretch of an expression's text, in bytes. `text` says which expression: an index that the caller of the
/// parser chose (the spec room keeps file and offset per index).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Which expression of the program it is in.
    pub text: u32,
    /// The first byte of the stretch.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// From the start of `self` to the end of `other`.
    #[must_use]
    pub const fn to(self, other: Self) -> Self {
        Self { text: self.text, start: self.start, end: other.end }
    }
}

/// A problem in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LangError {
    /// The place that the caret points at.
    pub span: Span,
    /// What is wrong, one sentence.
    pub message: String,
    /// Short note under the caret; may be empty.
    pub label: String,
    /// What to do.
    pub help: Vec<String>,
}

impl LangError {
    /// An error with neither a label nor advice yet.
    #[must_use]
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), label: String::new(), help: Vec::new() }
    }

    /// With a note under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same error with advice on what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

/// An expression and where it stands.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A literal, never negative.
    Number(f64),
    /// A feature, state, source, let-binding, macro parameter, calendar, event or symbol: position decides.
    Name(String),
    /// `-x`, `not c`
    Unary(Unary, Box<Expr>),
    /// `a + b` and the like
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// A call, as `f(x, window=3)`.
    Call(Call),
}

/// A call of an operator or a macro.
#[derive(Clone, Debug)]
pub struct Call {
    /// Operator or macro.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// In order as written; named ones after positional ones.
    pub args: Vec<Arg>,
}

/// An argument of a call.
#[derive(Clone, Debug)]
pub struct Arg {
    /// `window` in `window=3`.
    pub name: Option<(String, Span)>,
    /// What is given for the parameter.
    pub value: Expr,
}

/// Equal when they say the same, wherever they stand.
impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.args == other.args
    }
}

impl PartialEq for Arg {
    fn eq(&self, other: &Self) -> bool {
        let name = |arg: &Self| arg.name.as_ref().map(|(name, _)| name.clone());
        name(self) == name(other) && self.value == other.value
    }
}

/// Operators with one operand.
#[allow(missing_docs, reason = "the names say it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    Neg,
    Not,
}

/// Operators with two operands.
#[allow(missing_docs, reason = "the names say it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Or,
    And,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    Add,
    Sub,
    Mul,
    Div,
    Pow,
}

impl Binary {
    /// How tightly it binds; larger binds tighter. `not` is 3, unary minus is 7.
    #[must_use]
    pub const fn strength(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Lt | Self::Le | Self::Gt | Self::Ge | Self::Eq | Self::Ne => 4,
            Self::Add | Self::Sub => 5,
            Self::Mul | Self::Div => 6,
            Self::Pow => 8,
        }
    }

    /// The operator as it is written in a spec.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Pow => "^",
        }
    }
}

/// How tightly `not` binds.
pub(super) const NOT_STRENGTH: u8 = 3;
/// How tightly unary minus binds.
pub(super) const NEG_STRENGTH: u8 = 7;

impl Expr {
    fn strength(&self) -> u8 {
        match &self.kind {
            ExprKind::Binary(op, ..) => op.strength(),
            ExprKind::Unary(Unary::Not, _) => NOT_STRENGTH,
            ExprKind::Unary(Unary::Neg, _) => NEG_STRENGTH,
            _ => u8::MAX,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, least: u8) -> fmt::Result {
        if self.strength() < least {
            return write!(f, "({self})");
        }
        match &self.kind {
            ExprKind::Number(value) => write!(f, "{value}"),
            ExprKind::Name(name) => f.write_str(name),
            ExprKind::Unary(Unary::Neg, x) => {
                f.write_str("-")?;
                x.write(f, NEG_STRENGTH)
            }
            ExprKind::Unary(Unary::Not, c) => {
                f.write_str("not ")?;
                c.write(f, NOT_STRENGTH)
            }
            ExprKind::Binary(op, a, b) => {
                let s = op.strength();
                // Comparisons do not chain, `^` groups to the right, everything else to the left.
                let (left, right) = match s {
                    4 => (s + 1, s + 1),
                    8 => (s + 1, NEG_STRENGTH),
                    _ => (s, s + 1),
                };
                a.write(f, left)?;
                if *op == Binary::Pow {
                    f.write_str("^")?;
                } else {
                    write!(f, " {} ", op.symbol())?;
                }
                b.write(f, right)
            }
            ExprKind::Call(call) => {
                write!(f, "{}(", call.name)?;
                for (i, arg) in call.args.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    if let Some((name, _)) = &arg.name {
                        write!(f, "{name}=")?;
                    }
                    arg.value.write(f, 0)?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
