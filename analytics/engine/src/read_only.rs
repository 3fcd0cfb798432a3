//! What may be asked: one statement that reads. Checked on the syntax tree, and again on the plan.

use std::ops::ControlFlow;

use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParserBuilder, ParserInput, Statement};
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Select, SetExpr, Statement as Sql, Visit, Visitor};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use crate::{Position, QueryError};

/// How deep the parser itself may recurse.
const RECURSION_MAX: usize = 100;

/// Parses one statement and refuses whatever does not read.
pub(crate) fn parse(tokens: Vec<TokenWithSpan>) -> Result<Statement, QueryError> {
    let end =
        tokens.iter().rev().find(|token| !matches!(token.token, Token::Whitespace(_))).map(|token| token.span.end);
    let parsed = DFParserBuilder::new(ParserInput::Tokens(tokens))
        .with_recursion_limit(RECURSION_MAX)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| located(QueryError::of(&error), end))?;
    only(parsed)
}

/// The one statement that there is, if it reads.
pub(crate) fn only(parsed: impl IntoIterator<Item = Statement>) -> Result<Statement, QueryError> {
    let mut statements = parsed.into_iter();
    let Some(statement) = statements.next() else {
        return Err(QueryError::user("there is no statement"));
    };
    if statements.next().is_some() {
        return Err(QueryError::user("there is more than one statement: send them one at a time"));
    }
    check(&statement)?;
    described(statement)
}

/// Of a statement that ends too early the parser does not say where: at its end.
fn located(error: QueryError, end: Option<Location>) -> QueryError {
    match (error, end) {
        (QueryError::User { message, position: None, hint }, Some(end)) => {
            QueryError::User { message, position: Some(Position { line: end.line, column: end.column }), hint }
        }
        (error, _) => error,
    }
}

fn check(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Statement(sql) => match sql.as_ref() {
            Sql::Query(_) => match sql.visit(&mut Reads) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(what) => Err(refused(what)),
            },
            Sql::ShowTables { .. } | Sql::ShowColumns { .. } | Sql::ExplainTable { .. } => Ok(()),
            _ => Err(refused("this statement")),
        },
        Statement::Explain(explain) => check(&explain.statement),
        Statement::CreateExternalTable(_) => Err(refused("CREATE EXTERNAL TABLE")),
        Statement::CopyTo(_) => Err(refused("COPY")),
        Statement::Reset(_) => Err(refused("RESET")),
    }
}

fn refused(what: &str) -> QueryError {
    QueryError::hinted(
        format!("{what} is refused: SQL here only reads"),
        "use SELECT, WITH, EXPLAIN, SHOW TABLES, SHOW COLUMNS or DESCRIBE",
    )
}

/// `DESCRIBE x` answers with the comments too.
fn described(statement: Statement) -> Result<Statement, QueryError> {
    let Statement::Statement(sql) = &statement else {
        return Ok(statement);
    };
    let Sql::ExplainTable { table_name, .. } = sql.as_ref() else {
        return Ok(statement);
    };
    let name = last_part(table_name).replace('\'', "''");
    let query = format!(
        "select column_name, data_type, is_nullable, comment from information_schema.columns where table_name = '{name}'"
    );
    parse(crate::shape::tokens(&query, usize::MAX)?)
}

fn last_part(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.clone()).unwrap_or_default()
}

/// Finds what writes inside a query.
struct Reads;

impl Visitor for Reads {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        if !query.locks.is_empty() {
            return ControlFlow::Break("FOR UPDATE");
        }
        match query.body.as_ref() {
            SetExpr::Insert(_) => ControlFlow::Break("INSERT"),
            SetExpr::Update(_) => ControlFlow::Break("UPDATE"),
            SetExpr::Delete(_) => ControlFlow::Break("DELETE"),
            SetExpr::Merge(_) => ControlFlow::Break("MERGE"),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        if select.into.is_some() { ControlFlow::Break("SELECT INTO") } else { ControlFlow::Continue(()) }
    }
}

/// The same, on the plan: nothing in it writes, defines or sets.
pub(crate) fn verify(plan: &LogicalPlan) -> Result<(), QueryError> {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan)
        .map_err(|error| refused(error.message().split(':').next_back().unwrap_or("this statement").trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(sql: &str) -> Result<Statement, QueryError> {
        parse(crate::shape::tokens(sql, 65_536)?)
    }

    #[test]
    fn what_reads_is_taken() {
        for sql in [
            "select 1",
            "select 1;",
            "with a as (select 1) select * from a",
            "explain select 1",
            "explain analyze select 1",
            "show tables",
            "show columns from samples",
            "describe samples",
            "values (1), (2)",
            "(select 1) union all select 2",
        ] {
            parsed(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        }
    }

    #[test]
    fn everything_else_is_refused_with_what_to_use() {
        for sql in [
            "insert into samples select * from samples",
            "update samples set value = 0",
            "delete from samples",
            "drop table samples",
            "create table x as select 1",
            "create view x as select 1",
            "create external table x stored as csv location '/etc/passwd'",
            "copy samples to '/tmp/x'",
            "copy (select 1) to 's3://x/y'",
            "set datafusion.execution.batch_size = 1",
            "reset x",
            "show all",
            "show functions",
            "explain insert into samples values (1)",
            "explain analyze copy samples to '/tmp/x'",
            "with x as (select 1) insert into samples select * from x",
            "select * into x from samples",
            "truncate table samples",
            "begin",
            "prepare p as select 1",
            "execute p",
            "select 1 from samples for update",
            "use kizashi",
            "call x()",
            "create function f() returns int return 1",
            "load 'x'",
            "attach database x as y",
            "grant select on samples to x",
        ] {
            let error = parsed(sql).expect_err(sql);
            assert!(matches!(error, QueryError::User { .. }), "{sql}: {error:?}");
        }
        assert!(parsed("select 1; drop table samples").is_err_and(|e| e.to_string().contains("one at a time")));
        assert!(parsed("").is_err());
        let error = parsed("select 1\n +").unwrap_err();
        assert_eq!(error.position().map(|p| p.line), Some(2), "{error}");
    }
}
