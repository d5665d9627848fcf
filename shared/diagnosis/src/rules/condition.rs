//! One CEL expression of a rule: compiled for its truth, and read as a tree of `&&`, `||` and comparisons, from which the
//! score and the sentence are made. What the tree cannot express is kept as one opaque branch.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use cel::{Context, ExecutionError, IdedExpr, Program, Value as CelValue};

use crate::catalogue::{Better, Catalogue};
use crate::limits::EXPRESSION_BYTES_MAX;

/// A compiled expression and what it reads.
#[derive(Debug)]
pub(crate) struct Condition {
    /// As it was written.
    pub(crate) source: String,
    /// Ids of the signals that it reads, in alphabetical order.
    pub(crate) signals: Vec<String>,
    /// Its structure.
    pub(crate) shape: Shape,
    program: Program,
}

/// The structure of a condition.
#[derive(Debug)]
pub(crate) enum Shape {
    /// All must hold.
    And(Vec<Shape>),
    /// One must hold.
    Or(Vec<Shape>),
    /// A signal beside a constant.
    Compare(Comparison),
    /// Anything else.
    Opaque(IdedExpr),
}

/// A signal beside a constant.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// Id of the signal.
    pub(crate) signal: String,
    /// The signal stands on the left of it.
    pub(crate) operator: Operator,
    /// The constant.
    pub(crate) threshold: Threshold,
    /// What the comparison is in the rule for.
    pub(crate) role: Role,
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Less,
    AtMost,
    Greater,
    AtLeast,
    Equal,
    NotEqual,
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Threshold {
    Number(f64),
    Bool(bool),
    Text(String),
}

/// What a comparison is in the rule for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It holds when the signal gets worse.
    Fault,
    /// It holds while the signal is good: it tells this cause from another one, and says nothing about quality.
    Guard,
    /// The signal knows no better or worse.
    Context,
}

impl Condition {
    /// Compiles an expression. The error says what is wrong with it.
    pub(crate) fn compile(source: &str, catalogue: &Catalogue) -> Result<Self, Vec<String>> {
        if source.len() > EXPRESSION_BYTES_MAX {
            return Err(vec![format!("is longer than {EXPRESSION_BYTES_MAX} bytes")]);
        }
        let program = Program::compile(source).map_err(|errors| {
            errors.errors.iter().map(|error| error.to_string().replace('\n', " ")).collect::<Vec<_>>()
        })?;
        let mut reader = Reader { catalogue, signals: BTreeSet::new(), problems: Vec::new() };
        reader.collect(program.expression());
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        let shape = shape_of(program.expression(), catalogue);
        Ok(Self { source: source.to_owned(), signals: reader.signals.into_iter().collect(), shape, program })
    }

    /// The truth of the condition; an error means that it cannot be told.
    pub(crate) fn truth(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        match self.program.execute(context) {
            Ok(CelValue::Bool(truth)) => Ok(truth),
            Ok(other) => Err(format!("gives a {} where true or false is due", other.type_of())),
            Err(error) => Err(in_words(&error)),
        }
    }

    /// The number that the expression gives; an error means that it cannot be told.
    pub(crate) fn number(&self, context: &Context<'_, '_>) -> Result<f64, String> {
        match self.program.execute(context) {
            Ok(value) => number_of(&value).ok_or_else(|| format!("gives a {} where a number is due", value.type_of())),
            Err(error) => Err(in_words(&error)),
        }
    }
}

/// The truth of an opaque branch; `None` if it cannot be told.
pub(crate) fn opaque_truth(expression: &IdedExpr, context: &Context<'_, '_>) -> Option<bool> {
    match CelValue::resolve(expression, context) {
        Ok(CelValue::Bool(truth)) => Some(truth),
        Ok(_) | Err(_) => None,
    }
}

fn in_words(error: &ExecutionError) -> String {
    // The engine prints whole values into some messages; one line of bounded length is enough to find the mistake.
    crate::text::clean(&error.to_string(), 200)
}

fn number_of(value: &CelValue) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "integers of rules and signals are far below 2^53")]
    match value {
        CelValue::Float(number) => Some(*number).filter(|number| number.is_finite()),
        CelValue::Int(number) => Some(*number as f64),
        CelValue::UInt(number) => Some(*number as f64),
        _ => None,
    }
}

/// Collects the signals that an expression reads, and complains about everything that is none.
struct Reader<'a> {
    catalogue: &'a Catalogue,
    signals: BTreeSet<String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn collect(&mut self, node: &IdedExpr) {
        match &node.expr {
            Expr::Select(select) => {
                if let Expr::Ident(prefix) = &select.operand.expr {
                    self.signal(&format!("{prefix}.{}", select.field));
                } else {
                    self.collect(&select.operand);
                }
            }
            Expr::Call(call) => {
                call.target.iter().for_each(|target| self.collect(target));
                call.args.iter().for_each(|argument| self.collect(argument));
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.collect(element)),
            Expr::Comprehension(comprehension) => {
                self.collect(&comprehension.iter_range);
                self.collect(&comprehension.loop_step);
            }
            Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
            Expr::Map(_) | Expr::Struct(_) => self.problems.push("a rule builds no maps and no structs".to_owned()),
        }
    }

    fn signal(&mut self, id: &str) {
        if self.catalogue.signal(id).is_some() {
            self.signals.insert(id.to_owned());
        } else {
            let near = self.catalogue.nearest(id).map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
            self.problems.push(format!("reads '{id}', which is not in the catalogue{near}"));
        }
    }
}

fn shape_of(node: &IdedExpr, catalogue: &Catalogue) -> Shape {
    let Expr::Call(call) = &node.expr else {
        return Shape::Opaque(node.clone());
    };
    match call.func_name.as_str() {
        operators::LOGICAL_AND => Shape::And(operands(node, operators::LOGICAL_AND, catalogue)),
        operators::LOGICAL_OR => Shape::Or(operands(node, operators::LOGICAL_OR, catalogue)),
        _ => comparison_of(call, catalogue).map_or_else(|| Shape::Opaque(node.clone()), Shape::Compare),
    }
}

/// The operands of a chain of one operator, which the parser nests as it likes.
fn operands(node: &IdedExpr, operator: &str, catalogue: &Catalogue) -> Vec<Shape> {
    match &node.expr {
        Expr::Call(call) if call.func_name == operator => {
            call.args.iter().flat_map(|argument| operands(argument, operator, catalogue)).collect()
        }
        _ => vec![shape_of(node, catalogue)],
    }
}

fn comparison_of(call: &CallExpr, catalogue: &Catalogue) -> Option<Comparison> {
    let [left, right] = call.args.as_slice() else { return None };
    let operator = Operator::of(&call.func_name)?;
    let (signal, operator, threshold) = match (signal_of(left), literal_of(right)) {
        (Some(signal), Some(threshold)) => (signal, operator, threshold),
        _ => (signal_of(right)?, operator.mirrored(), literal_of(left)?),
    };
    let better = catalogue.signal(&signal)?.better;
    let role = role_of(better, operator, &threshold);
    Some(Comparison { signal, operator, threshold, role })
}

fn signal_of(node: &IdedExpr) -> Option<String> {
    let Expr::Select(select) = &node.expr else { return None };
    match &select.operand.expr {
        Expr::Ident(prefix) if !select.test => Some(format!("{prefix}.{}", select.field)),
        _ => None,
    }
}

fn literal_of(node: &IdedExpr) -> Option<Threshold> {
    let Expr::Literal(literal) = &node.expr else { return None };
    #[expect(clippy::cast_precision_loss, reason = "thresholds are far below 2^53")]
    match literal {
        LiteralValue::Boolean(value) => Some(Threshold::Bool(*value.inner())),
        LiteralValue::Double(value) => Some(Threshold::Number(*value.inner())),
        LiteralValue::Int(value) => Some(Threshold::Number(*value.inner() as f64)),
        LiteralValue::UInt(value) => Some(Threshold::Number(*value.inner() as f64)),
        LiteralValue::String(value) => Some(Threshold::Text(value.inner().to_owned())),
        LiteralValue::Bytes(_) | LiteralValue::Null => None,
    }
}

fn role_of(better: Better, operator: Operator, threshold: &Threshold) -> Role {
    let grows = match operator {
        Operator::Greater | Operator::AtLeast => Some(true),
        Operator::Less | Operator::AtMost => Some(false),
        Operator::Equal | Operator::NotEqual => None,
    };
    let holds_when_true = match (operator, threshold) {
        (Operator::Equal, Threshold::Bool(value)) => Some(*value),
        (Operator::NotEqual, Threshold::Bool(value)) => Some(!*value),
        _ => None,
    };
    let is_fault = match better {
        Better::Lower => grows,
        Better::Higher => grows.map(|grows| !grows),
        Better::True => holds_when_true.map(|truth| !truth),
        Better::False => holds_when_true,
        Better::None => None,
    };
    match is_fault {
        Some(true) => Role::Fault,
        Some(false) => Role::Guard,
        None => Role::Context,
    }
}

impl Operator {
    fn of(function: &str) -> Option<Self> {
        Some(match function {
            operators::LESS => Self::Less,
            operators::LESS_EQUALS => Self::AtMost,
            operators::GREATER => Self::Greater,
            operators::GREATER_EQUALS => Self::AtLeast,
            operators::EQUALS => Self::Equal,
            operators::NOT_EQUALS => Self::NotEqual,
            _ => return None,
        })
    }

    /// The operator with its sides exchanged.
    fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::AtMost => Self::AtLeast,
            Self::Greater => Self::Less,
            Self::AtLeast => Self::AtMost,
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
        }
    }

    /// How it reads before a threshold.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Less => "under",
            Self::AtMost => "at most",
            Self::Greater => "over",
            Self::AtLeast => "at least",
            Self::Equal => "exactly",
            Self::NotEqual => "not",
        }
    }
}

impl Comparison {
    /// The truth of the comparison for a value; `None` if the types do not fit.
    pub(crate) fn holds(&self, value: &serde_json::Value) -> Option<bool> {
        match &self.threshold {
            Threshold::Number(threshold) => value.as_f64().map(|value| match self.operator {
                Operator::Less => value < *threshold,
                Operator::AtMost => value <= *threshold,
                Operator::Greater => value > *threshold,
                Operator::AtLeast => value >= *threshold,
                Operator::Equal => value == *threshold,
                Operator::NotEqual => value != *threshold,
            }),
            Threshold::Bool(threshold) => value.as_bool().and_then(|value| self.equality(value == *threshold)),
            Threshold::Text(threshold) => value.as_str().and_then(|value| self.equality(value == threshold)),
        }
    }

    fn equality(&self, equal: bool) -> Option<bool> {
        match self.operator {
            Operator::Equal => Some(equal),
            Operator::NotEqual => Some(!equal),
            Operator::Less | Operator::AtMost | Operator::Greater | Operator::AtLeast => None,
        }
    }
}
