//! Questions that are refused before they are evaluated: what leaves this registry, and what no purse could bound.

use std::{cell::Cell, collections::HashSet};

use spargebra::{
    Query,
    algebra::{AggregateExpression, AggregateFunction, Expression, Function, GraphPattern},
    term::{NamedNodePattern, TermPattern, TriplePattern, Variable},
};

/// Longest `SEPARATOR` of a `GROUP_CONCAT`, bytes.
const SEPARATOR: usize = 16;
/// Deepest nesting of brackets; the parser tries several readings at each.
const DEPTH: usize = 24;
/// Most patterns, and most parts of expressions: the evaluator's plan takes the square of their number and more.
const PATTERNS: usize = 128;
const PARTS: usize = 1_024;

/// Why a question's text is not even parsed.
pub(super) fn unreadable(text: &str) -> Option<String> {
    let mut open = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'{' | b'(' | b'[' => open += 1,
            b'}' | b')' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > DEPTH {
            return Some(format!("brackets are nested more than {DEPTH} deep"));
        }
    }
    None
}

/// What the rows of a pattern hold.
struct Rows {
    /// Variables bound in every row.
    sure: HashSet<Variable>,
    /// Variables bound in some.
    maybe: HashSet<Variable>,
    /// Whether every row binds something.
    filled: bool,
    /// Whether there may be more than one.
    many: bool,
}

/// Whether a question puts texts together, or why it is refused.
pub(super) fn judged(query: &Query) -> Result<bool, String> {
    if query.dataset().is_some() {
        return Err("FROM names other data; there is one graph here, without a name".to_owned());
    }
    let (Query::Select { pattern, .. }
    | Query::Construct { pattern, .. }
    | Query::Describe { pattern, .. }
    | Query::Ask { pattern, .. }) = query;
    let judge = Judge { patterns: Cell::new(PATTERNS), parts: Cell::new(PARTS), joins: Cell::new(false) };
    judge.rows(pattern)?;
    Ok(judge.joins.get())
}

fn variables(triple: &TriplePattern) -> impl Iterator<Item = Variable> {
    let predicate = match &triple.predicate {
        NamedNodePattern::Variable(variable) => Some(variable.clone()),
        NamedNodePattern::NamedNode(_) => None,
    };
    [&triple.subject, &triple.object].into_iter().filter_map(variable).chain(predicate)
}

fn variable(term: &TermPattern) -> Option<Variable> {
    match term {
        TermPattern::Variable(variable) => Some(variable.clone()),
        // It binds, under a name of its own.
        TermPattern::BlankNode(node) => Some(Variable::new_unchecked(format!("_{}", node.as_str()))),
        _ => None,
    }
}

fn bound(found: impl Iterator<Item = Variable>) -> Rows {
    let sure: HashSet<Variable> = found.collect();
    let some = !sure.is_empty();
    Rows { maybe: sure.clone(), sure, filled: some, many: some }
}

/// Takes one from what is left.
fn spend(left: &Cell<usize>, what: &str) -> Result<(), String> {
    left.set(left.get().checked_sub(1).ok_or_else(|| format!("it has too many {what}"))?);
    Ok(())
}

/// How many patterns and parts of expressions are still allowed.
struct Judge {
    patterns: Cell<usize>,
    parts: Cell<usize>,
    /// Whether a `GROUP_CONCAT` was met.
    joins: Cell<bool>,
}

impl Judge {
    fn rows(&self, pattern: &GraphPattern) -> Result<Rows, String> {
        spend(&self.patterns, "patterns")?;
        match pattern {
            GraphPattern::Bgp { patterns } => {
                patterns.iter().try_for_each(|_| spend(&self.patterns, "patterns"))?;
                Ok(bound(patterns.iter().flat_map(variables)))
            }
            GraphPattern::Path { subject, object, .. } => {
                Ok(bound([subject, object].into_iter().filter_map(variable)))
            }
            GraphPattern::Join { left, right } => {
                let (left, right) = (self.operand(left)?, self.operand(right)?);
                Ok(Rows {
                    sure: &left.sure | &right.sure,
                    maybe: &left.maybe | &right.maybe,
                    filled: left.filled || right.filled,
                    many: left.many || right.many,
                })
            }
            GraphPattern::LeftJoin { left, right, expression } => {
                let (left, right) = (self.operand(left)?, self.operand(right)?);
                expression.as_ref().map_or(Ok(()), |part| self.check(part))?;
                let many = left.many || right.many;
                Ok(Rows { sure: left.sure, maybe: &left.maybe | &right.maybe, filled: left.filled, many })
            }
            GraphPattern::Minus { left, right } => {
                self.operand(right)?;
                self.operand(left)
            }
            GraphPattern::Union { left, right } => {
                let (left, right) = (self.rows(left)?, self.rows(right)?);
                Ok(Rows {
                    sure: &left.sure & &right.sure,
                    maybe: &left.maybe | &right.maybe,
                    filled: left.filled && right.filled,
                    many: true,
                })
            }
            GraphPattern::Values { variables, bindings } => {
                let always = |at: usize| bindings.iter().all(|row| row.get(at).is_some_and(Option::is_some));
                let sure = (0..).zip(variables).filter(|(at, _)| always(*at)).map(|(_, name)| name.clone());
                Ok(Rows {
                    sure: sure.collect(),
                    maybe: variables.iter().cloned().collect(),
                    filled: bindings.iter().all(|row| row.iter().any(Option::is_some)),
                    many: bindings.len() > 1,
                })
            }
            GraphPattern::Filter { expr, inner } => {
                self.check(expr)?;
                self.rows(inner)
            }
            GraphPattern::Extend { inner, variable, expression } => {
                self.check(expression)?;
                let mut rows = self.rows(inner)?;
                rows.maybe.insert(variable.clone());
                Ok(rows)
            }
            GraphPattern::OrderBy { inner, expression } => {
                use spargebra::algebra::OrderExpression::{Asc, Desc};
                for by in expression {
                    let (Asc(by) | Desc(by)) = by;
                    self.check(by)?;
                }
                self.rows(inner)
            }
            GraphPattern::Project { inner, variables } => {
                let inner = self.rows(inner)?;
                let kept: HashSet<Variable> = variables.iter().cloned().collect();
                let sure = &inner.sure & &kept;
                let filled = !sure.is_empty() || (inner.filled && inner.maybe.is_subset(&kept));
                Ok(Rows { sure, maybe: &inner.maybe & &kept, filled, many: inner.many })
            }
            GraphPattern::Group { inner, variables, aggregates } => {
                let inner = self.rows(inner)?;
                for (_, aggregate) in aggregates {
                    self.check_aggregate(aggregate)?;
                }
                let by: HashSet<Variable> = variables.iter().cloned().collect();
                let sure = &inner.sure & &by;
                let named = aggregates.iter().map(|(name, _)| name.clone());
                let maybe = by.iter().cloned().chain(named).collect();
                Ok(Rows { filled: !sure.is_empty(), sure, maybe, many: !by.is_empty() })
            }
            GraphPattern::Distinct { inner } | GraphPattern::Reduced { inner } => self.rows(inner),
            GraphPattern::Slice { inner, .. } | GraphPattern::Graph { inner, .. } => self.rows(inner),
            GraphPattern::Service { .. } => Err("SERVICE asks other machines; this one asks none".to_owned()),
        }
    }

    /// A side of a join. Rows that bind nothing hold no term by which they could be counted.
    fn operand(&self, pattern: &GraphPattern) -> Result<Rows, String> {
        let rows = self.rows(pattern)?;
        if rows.many && !rows.filled {
            return Err("a group that is joined with another may have rows that bind no variable; \
                        let it bind one in every row"
                .to_owned());
        }
        Ok(rows)
    }

    fn check_aggregate(&self, aggregate: &AggregateExpression) -> Result<(), String> {
        let AggregateExpression::FunctionCall { name, expr, .. } = aggregate else { return Ok(()) };
        if let AggregateFunction::GroupConcat { separator } = name {
            self.joins.set(true);
            let plain = matches!(expr, Expression::Variable(_));
            if !plain || separator.as_ref().is_some_and(|text| text.len() > SEPARATOR) {
                return Err(format!(
                    "GROUP_CONCAT takes a variable, and a separator of at most {SEPARATOR} bytes, here"
                ));
            }
        }
        self.check(expr)
    }

    fn check(&self, expression: &Expression) -> Result<(), String> {
        use Expression as E;
        spend(&self.parts, "parts of expressions")?;
        match expression {
            E::NamedNode(_) | E::Literal(_) | E::Variable(_) | E::Bound(_) => Ok(()),
            E::Or(a, b)
            | E::And(a, b)
            | E::Equal(a, b)
            | E::SameTerm(a, b)
            | E::Greater(a, b)
            | E::GreaterOrEqual(a, b)
            | E::Less(a, b)
            | E::LessOrEqual(a, b)
            | E::Add(a, b)
            | E::Subtract(a, b)
            | E::Multiply(a, b)
            | E::Divide(a, b) => {
                self.check(a)?;
                self.check(b)
            }
            E::UnaryPlus(a) | E::UnaryMinus(a) | E::Not(a) => self.check(a),
            E::If(a, b, c) => {
                self.check(a)?;
                self.check(b)?;
                self.check(c)
            }
            E::In(a, all) => {
                self.check(a)?;
                all.iter().try_for_each(|part| self.check(part))
            }
            E::Coalesce(all) => all.iter().try_for_each(|part| self.check(part)),
            E::Exists(pattern) => self.rows(pattern).map(drop),
            E::FunctionCall(Function::Replace, _) => {
                Err("REPLACE can make a text of any length, and is not offered here".to_owned())
            }
            E::FunctionCall(_, all) => all.iter().try_for_each(|part| self.check(part)),
        }
    }
}
