//! What psql and drivers write about the catalog that neither DataFusion nor datafusion-pg-catalog understands, put in words
//! that mean the same for a server like this one.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArguments, ObjectName, Statement, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::functions::SUBSCRIPTS;
use crate::catalog::CATALOG;

pub(super) fn rewrite(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Rewrite);
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let plain = match &*expr {
            // Options of storage, joined to those of a second storage that no table here has.
            Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right }
                if is_array_of_query(right) || is_null(right) =>
            {
                Some(left.as_ref().clone())
            }
            Expr::Identifier(name)
                if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("current_catalog") =>
            {
                Some(Expr::value(Value::SingleQuotedString(CATALOG.to_owned())))
            }
            // Drivers tell arrays by the function that reads them, which is a name here and not an oid.
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right }
                if is_column(left, "typinput") && !is_text(right) =>
            {
                let name = Box::new(Expr::value(Value::SingleQuotedString("array_in".to_owned())));
                Some(Expr::BinaryOp { left: left.clone(), op: BinaryOperator::Eq, right: name })
            }
            Expr::Function(Function { name, args: FunctionArguments::List(list), .. })
                if is_named(name, "generate_subscripts") =>
            {
                list.args.first().and_then(|array| parsed(&format!("unnest({SUBSCRIPTS}({array}))")))
            }
            Expr::Subquery(query) => known(&query.to_string()).map(Expr::value),
            Expr::Like { negated, any, expr, pattern, escape_char: Some(escape) } => {
                let escape = match &escape.value {
                    Value::SingleQuotedString(escape) => escape.clone(),
                    _ => return ControlFlow::Continue(()),
                };
                let pattern = Box::new(backslashed(pattern, &escape));
                Some(Expr::Like { negated: *negated, any: *any, expr: expr.clone(), pattern, escape_char: None })
            }
            of if is_array_of_query(of) => Some(Expr::value(Value::Null)),
            _ => None,
        };
        if let Some(plain) = plain {
            *expr = plain;
        }
        ControlFlow::Continue(())
    }
}

/// The answer to a correlated question that is the same for every row here.
fn known(query: &str) -> Option<Value> {
    // Defaults, collations and what makes the next number of a column: no column here has one.
    if ["pg_attrdef", "pg_collation", "pg_sequence", "json_build_object", "typcollation"]
        .iter()
        .any(|what| query.contains(what))
    {
        return Some(Value::Null);
    }
    // Whether a type is that of a row which somebody made: none is.
    query.contains("relkind = 'c'").then_some(Value::Boolean(false))
}

/// A pattern of LIKE with backslashes, which is all that DataFusion takes, in place of another sign.
fn backslashed(pattern: &Expr, escape: &str) -> Expr {
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let call = format!("replace({pattern}, {}, {})", text(escape), text("\\"));
    parsed(&call).unwrap_or_else(|| pattern.clone())
}

fn parsed(sql: &str) -> Option<Expr> {
    Parser::new(&GenericDialect {}).try_with_sql(sql).and_then(|mut parser| parser.parse_expr()).ok()
}

/// `ARRAY(SELECT ...)`.
fn is_array_of_query(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_array_of_query(inner),
        Expr::Function(Function { name, args: FunctionArguments::Subquery(_), .. }) => is_named(name, "array"),
        _ => false,
    }
}

fn is_column(expr: &Expr, name: &str) -> bool {
    match expr {
        Expr::Identifier(ident) => ident.value.eq_ignore_ascii_case(name),
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|ident| ident.value.eq_ignore_ascii_case(name)),
        _ => false,
    }
}

fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == Value::Null)
}

fn is_named(name: &ObjectName, word: &str) -> bool {
    name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| ident.value.eq_ignore_ascii_case(word))
}
