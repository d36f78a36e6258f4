//! How long an expression of HCL may get, before it is evaluated: variables that double each other, and loops in loops, are
//! short to write.

use std::collections::BTreeMap;

use hcl::expr::{ObjectKey, Operation, TraversalOperator};
use hcl::template::{Directive, Element};
use hcl::{Expression, Template};

/// A number as text.
const NUMBER: usize = 400;

/// The most characters and steps that `expr` makes, where `lengths` are those of the variables; `None` for what is not
/// evaluated: functions and unknown variables. The parser's own limit bounds the depth.
pub(super) fn most(expr: &Expression, lengths: &BTreeMap<String, usize>) -> Option<usize> {
    let of = |expr: &Expression| most(expr, lengths);
    let own = match expr {
        Expression::Null | Expression::Bool(_) => 5,
        Expression::Number(_) => NUMBER,
        Expression::String(text) => text.len(),
        Expression::Array(values) => sum(values.iter().map(of))?,
        Expression::Object(object) => sum(object.iter().map(|(key, value)| {
            let key = match key {
                ObjectKey::Expression(key) => of(key)?,
                key => key.to_string().len(),
            };
            Some(key.saturating_add(of(value)?))
        }))?,
        Expression::TemplateExpr(template) => of_template(&Template::from_expr(template).ok()?, lengths)?,
        Expression::Variable(variable) => *lengths.get(variable.as_str())?,
        Expression::Traversal(traversal) => {
            let operators = traversal.operators.iter().map(|operator| match operator {
                TraversalOperator::Index(index) => of(index),
                _ => Some(1),
            });
            of(&traversal.expr)?.saturating_add(sum(operators)?)
        }
        Expression::Parenthesis(inner) => of(inner)?,
        Expression::Conditional(one) => sum([&one.cond_expr, &one.true_expr, &one.false_expr].map(of))?,
        Expression::Operation(operation) => match &**operation {
            Operation::Unary(one) => of(&one.expr)?.saturating_add(NUMBER),
            Operation::Binary(one) => sum([of(&one.lhs_expr), of(&one.rhs_expr), Some(NUMBER)])?,
        },
        Expression::ForExpr(each) => {
            let variables = [each.key_var.as_ref(), Some(&each.value_var)];
            let variables = variables.into_iter().flatten().map(|name| name.as_str());
            let inner = [each.key_expr.as_ref(), Some(&each.value_expr), each.cond_expr.as_ref()];
            repeated(&each.collection_expr, variables, lengths, |lengths| {
                sum(inner.into_iter().flatten().map(|expr| most(expr, lengths)))
            })?
        }
        _ => return None,
    };
    Some(own.saturating_add(1))
}

fn of_template(template: &Template, lengths: &BTreeMap<String, usize>) -> Option<usize> {
    let elements = template.elements().iter().map(|element| match element {
        Element::Literal(text) => Some(text.len()),
        Element::Interpolation(one) => most(&one.expr, lengths),
        Element::Directive(directive) => match &**directive {
            Directive::If(one) => {
                let otherwise =
                    one.false_template.as_ref().map_or(Some(0), |other| of_template(other, lengths));
                sum([most(&one.cond_expr, lengths), of_template(&one.true_template, lengths), otherwise])
            }
            Directive::For(each) => {
                let variables = [each.key_var.as_ref(), Some(&each.value_var)];
                let variables = variables.into_iter().flatten().map(|name| name.as_str());
                repeated(&each.collection_expr, variables, lengths, |lengths| {
                    of_template(&each.template, lengths)
                })
            }
        },
    });
    Some(sum(elements)?.saturating_add(1))
}

/// What is made once for each element of `collection`: there are no more of them than it is long.
fn repeated<'a>(
    collection: &Expression,
    variables: impl Iterator<Item = &'a str>,
    lengths: &BTreeMap<String, usize>,
    inner: impl Fn(&BTreeMap<String, usize>) -> Option<usize>,
) -> Option<usize> {
    let count = most(collection, lengths)?;
    let mut lengths = lengths.clone();
    lengths.extend(variables.map(|name| (name.to_owned(), count)));
    Some(count.saturating_mul(inner(&lengths)?).saturating_add(count))
}

fn sum(parts: impl IntoIterator<Item = Option<usize>>) -> Option<usize> {
    parts.into_iter().try_fold(0_usize, |sum, part| Some(sum.saturating_add(part?)))
}
