//! What psql and drivers write about the catalog that neither DataFusion nor datafusion-pg-catalog understands, put in words
//! that mean the same for a server like this one.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArguments, ObjectName, Statement, Value, VisitMut, VisitorMut,
};

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
            of if is_array_of_query(of) => Some(Expr::value(Value::Null)),
            _ => None,
        };
        if let Some(plain) = plain {
            *expr = plain;
        }
        ControlFlow::Continue(())
    }
}

/// `ARRAY(SELECT ...)`.
fn is_array_of_query(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_array_of_query(inner),
        Expr::Function(Function { name, args: FunctionArguments::Subquery(_), .. }) => is_named(name, "array"),
        _ => false,
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == Value::Null)
}

fn is_named(name: &ObjectName, word: &str) -> bool {
    name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| ident.value.eq_ignore_ascii_case(word))
}
