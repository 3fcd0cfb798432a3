//! The shape of a statement, judged before anything that recurses or multiplies gets hold of it.
//!
//! Three things make a short statement expensive to *plan*, where no timeout helps: nesting (the planner recurses), long
//! chains of operators (each one nests the tree by one), and common table expressions or views that name each other twice
//! (each level doubles the plan).

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, GroupByWithModifier, ObjectName, Query, Select, SelectItem, Visit, Visitor, visit_expressions,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::{Limit, QueryError};

/// Nested parentheses and brackets.
const DEPTH_MAX: usize = 64;
/// Operators, and keywords that work like one.
const TERMS_MAX: usize = 1_000;
/// Tables read, with every view and common table expression counted as often as it is named.
const RELATIONS_MAX: u64 = 200;
/// Columns in one expression, once every expression below that it names is written out: the planner does write them out.
const REFERENCES_MAX: u64 = 100_000;
/// Values in one IN list.
const LIST_MAX: usize = 10_000;
/// Columns of CUBE: each one doubles the work.
const CUBE_MAX: usize = 8;

/// The statement's tokens, if there are not too many of them.
pub(crate) fn tokens(sql: &str, bytes_max: usize) -> Result<Vec<TokenWithSpan>, QueryError> {
    if sql.len() > bytes_max {
        let message = format!("the statement is {} bytes long; at most {bytes_max} are accepted", sql.len());
        return Err(QueryError::limit(Limit::StatementBytes, message));
    }
    let tokens =
        Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().map_err(|error| QueryError::User {
            message: error.message,
            position: Some(crate::Position { line: error.location.line, column: error.location.column }),
            hint: None,
        })?;
    let (mut depth, mut terms) = (0_usize, 0_usize);
    for token in &tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            other if is_term(other) => terms += 1,
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(QueryError::limit(
                Limit::Depth,
                format!(
                    "the statement nests parentheses more than {DEPTH_MAX} deep: use common table expressions (WITH)"
                ),
            ));
        }
        if terms > TERMS_MAX {
            return Err(QueryError::limit(
                Limit::Terms,
                format!("the statement has more than {TERMS_MAX} operators: use IN (...) or join with VALUES"),
            ));
        }
    }
    Ok(tokens)
}

fn is_term(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::XOR
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::IS
                | Keyword::BETWEEN
                | Keyword::CASE
                | Keyword::WHEN
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::JOIN
                | Keyword::COLLATE
                | Keyword::INTERVAL
                | Keyword::AT
        ),
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Comma
        | Token::Period
        | Token::Whitespace(_)
        | Token::SemiColon
        | Token::Placeholder(_)
        | Token::EOF => false,
        _ => true,
    }
}

/// How large a query is once everything that it names is written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    /// Tables read.
    pub relations: u64,
    /// Columns in its largest expression.
    pub references: u64,
}

/// What `statement` comes to. `views` gives the same for each view.
pub(crate) fn expansion(statement: &Statement, views: &HashMap<String, Expanded>) -> Result<Expanded, QueryError> {
    let mut counter = Expansion { views, open: Vec::new(), cube: 0, total: Expanded::default() };
    let flow = match statement {
        Statement::Statement(inner) => inner.visit(&mut counter),
        Statement::Explain(explain) => return expansion(&explain.statement, views),
        _ => ControlFlow::Continue(()),
    };
    match flow {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(counter.total),
    }
}

/// Counts while the syntax tree is walked: one frame for each query being visited.
struct Expansion<'v> {
    views: &'v HashMap<String, Expanded>,
    open: Vec<Frame>,
    cube: usize,
    total: Expanded,
}

#[derive(Default)]
struct Frame {
    relations: u64,
    /// Columns in the largest expression of its own, and in those of the queries that it reads.
    own_references: u64,
    inner_references: u64,
    wildcards: u64,
    /// Common table expressions of this query: by where their query stands in the tree, and by name once counted.
    pending: HashMap<*const Query, String>,
    known: HashMap<String, Expanded>,
}

impl Frame {
    fn read(&mut self, inner: Expanded) {
        self.relations = self.relations.saturating_add(inner.relations);
        self.inner_references = self.inner_references.max(inner.references);
    }
}

impl Expansion<'_> {
    fn cost(&self, name: &str) -> Expanded {
        let known = self.open.iter().rev().find_map(|frame| frame.known.get(name));
        known.or_else(|| self.views.get(name)).copied().unwrap_or(Expanded { relations: 1, references: 1 })
    }

    fn check(&self, so_far: Expanded) -> ControlFlow<Box<QueryError>> {
        let references = so_far.references <= REFERENCES_MAX;
        if so_far.relations <= RELATIONS_MAX && references && self.cube <= CUBE_MAX {
            return ControlFlow::Continue(());
        }
        let message = if self.cube > CUBE_MAX {
            format!("CUBE over more than {CUBE_MAX} columns: use GROUPING SETS with the sets that are needed")
        } else if !references {
            "expressions that name each other grow too large once they are written out".to_owned()
        } else {
            format!(
                "the statement reads more than {RELATIONS_MAX} tables once its views and WITH queries are written out"
            )
        };
        ControlFlow::Break(Box::new(QueryError::limit(Limit::Relations, message)))
    }
}

/// Columns named in one item of a select list.
fn references(item: &SelectItem) -> u64 {
    let mut count = 0;
    let _: ControlFlow<()> = visit_expressions(item, |expr| {
        count += u64::from(matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
        ControlFlow::Continue(())
    });
    count
}

impl Visitor for Expansion<'_> {
    type Break = Box<QueryError>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let mut frame = Frame::default();
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            frame.pending.insert(std::ptr::from_ref(cte.query.as_ref()), cte.alias.name.value.to_lowercase());
        }
        self.open.push(frame);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let frame = self.open.pop().unwrap_or_default();
        // `select a.*, b.*` can double the columns just as naming a table twice doubles the rows.
        let cost = Expanded {
            relations: frame.relations.max(1).saturating_mul(frame.wildcards.max(1)),
            references: frame.own_references.max(1).saturating_mul(frame.inner_references.max(1)),
        };
        self.check(cost)?;
        match self.open.last_mut() {
            None => self.total = cost,
            Some(outer) => match outer.pending.remove(&std::ptr::from_ref(query)) {
                Some(name) => {
                    outer.known.insert(name, cost);
                }
                None => outer.read(cost),
            },
        }
        self.check(self.total)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        let wildcard = |item: &&SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        let wildcards = select.projection.iter().filter(wildcard).count() as u64;
        if let Some(frame) = self.open.last_mut() {
            frame.wildcards = frame.wildcards.max(wildcards);
            let references = select.projection.iter().map(references).max();
            frame.own_references = frame.own_references.max(references.unwrap_or(0));
        }
        if let GroupByExpr::Expressions(columns, modifiers) = &select.group_by
            && modifiers.contains(&GroupByWithModifier::Cube)
        {
            self.cube += columns.len();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Cube(columns) => self.cube += columns.len(),
            Expr::InList { list, .. } if list.len() > LIST_MAX => {
                let message =
                    format!("an IN list has {} values; at most {LIST_MAX} are accepted: join with VALUES", list.len());
                return ControlFlow::Break(Box::new(QueryError::limit(Limit::Terms, message)));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Self::Break> {
        let name = relation.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase());
        let cost = self.cost(name.as_deref().unwrap_or_default());
        let Some(frame) = self.open.last_mut() else {
            return ControlFlow::Continue(());
        };
        frame.read(cost);
        let so_far = Expanded { relations: frame.relations, references: frame.inner_references };
        self.check(so_far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(sql: &str) -> Result<u64, QueryError> {
        let views = HashMap::from([("big".to_owned(), Expanded { relations: 7, references: 1 })]);
        expansion(&crate::read_only::parse(tokens(sql, 65_536)?)?, &views).map(|expanded| expanded.relations)
    }

    #[test]
    fn tables_are_counted_as_often_as_they_are_read() {
        assert_eq!(cost("select 1"), Ok(1));
        assert_eq!(cost("select * from a join b using (x) where y in (select z from c)"), Ok(3));
        assert_eq!(cost("select 1 from big, big"), Ok(14));
        assert_eq!(cost("with t as (select 1 from a, b) select 1 from t, t"), Ok(4));
        assert_eq!(
            cost("with a as (select 1 from a) select 1 from (with b as (select 1 from a, a) select 1 from b) x"),
            Ok(2)
        );
    }

    #[test]
    fn doubling_at_every_level_is_refused() {
        let levels: Vec<String> =
            (1..30).map(|i| format!("t{i} as (select a.* from t{} a, t{} b)", i - 1, i - 1)).collect();
        let sql = format!("with t0 as (select 1), {} select count(*) from t29", levels.join(", "));
        assert!(matches!(cost(&sql), Err(QueryError::Limit { which: Limit::Relations, .. })));
        let columns: Vec<String> = (1..30).map(|i| format!("t{i} as (select a.*, a.* from t{} a)", i - 1)).collect();
        let sql = format!("with t0 as (select 1), {} select count(*) from t29", columns.join(", "));
        assert!(matches!(cost(&sql), Err(QueryError::Limit { which: Limit::Relations, .. })));
        let crossed: Vec<String> =
            (1..30).map(|i| format!("t{i} as (select x + y as x, x - y as y from t{})", i - 1)).collect();
        let sql = format!("with t0 as (select 1 as x, 2 as y), {} select x from t29", crossed.join(", "));
        assert!(cost(&sql).is_err_and(|e| e.to_string().contains("name each other")));
        let list = |values: usize| format!("select 1 from t where x in ({}0)", "0,".repeat(values - 1));
        assert!(cost(&list(LIST_MAX)).is_ok());
        assert!(cost(&list(LIST_MAX + 1)).is_err_and(|e| e.to_string().contains("IN list")));
        assert!(cost("select 1 from t group by cube(a,b,c,d,e,f,g,h,i)").is_err());
    }

    #[test]
    fn what_stands_in_a_string_or_comment_is_not_counted() {
        let parens = "(".repeat(1_000);
        assert!(cost(&format!("select '{parens}' -- {parens}\n /* {parens} */")).is_ok());
        assert!(matches!(cost(&format!("select {parens}1")), Err(QueryError::Limit { which: Limit::Depth, .. })));
    }
}
