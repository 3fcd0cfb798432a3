//! Views for people: `queries/views/*.sql`, and those of a user's folder, which may add and override.
//!
//! A file is one SELECT below a header of comment lines: `-- title: ...`, `-- owner: ...` and `-- column NAME: ...` for each
//! column. The view's name is the file's name.

mod header;
mod testing;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use datafusion::sql::parser::Statement;
use include_dir::{Dir, include_dir};
use kizashi_model::tables::Table;

use crate::describe::COLUMNS;
use crate::shape::Expanded;
use crate::{EngineError, QueryError, read_only, shape};

pub use testing::{test, test_all};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../queries/views");
const BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub name: String,
    pub sql: String,
    /// One line for people.
    pub title: String,
    /// Who answers for it.
    pub owner: String,
    /// Comments of the columns.
    pub columns: BTreeMap<String, String>,
    pub file: PathBuf,
    /// The text of `NAME.test.toml` beside it.
    pub test: Option<String>,
}

impl View {
    fn parse(name: &str, sql: &str, test: Option<&str>, file: &Path) -> Result<Self, EngineError> {
        let error = |line, message: String| EngineError::View { file: file.to_owned(), line, message };
        let mut letters = name.chars();
        let good = letters.next().is_some_and(|c| c.is_ascii_lowercase())
            && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !good {
            return Err(error(1, format!("a view cannot be named {name:?}: use a-z, 0-9 and _, a letter first")));
        }
        if Table::from_name(name).is_some() || name == COLUMNS {
            return Err(error(1, format!("{name} is a table already: name the file otherwise")));
        }
        let header = header::parse(sql).map_err(|(line, message)| error(line, message))?;
        let view = Self {
            name: name.to_owned(),
            sql: sql.to_owned(),
            title: header.title,
            owner: header.owner,
            columns: header.columns,
            file: file.to_owned(),
            test: test.map(str::to_owned),
        };
        view.statement().map_err(|cause| view.error(&cause))?;
        Ok(view)
    }

    pub(crate) fn statement(&self) -> Result<Statement, QueryError> {
        read_only::parse(shape::tokens(&self.sql, BYTES_MAX)?)
    }

    /// How large it is, written out.
    pub(crate) fn cost(&self, known: &HashMap<String, Expanded>) -> Result<Expanded, QueryError> {
        shape::expansion(&self.statement()?, known)
    }

    pub(crate) fn error(&self, cause: &QueryError) -> EngineError {
        let line = cause.position().map_or(1, |p| usize::try_from(p.line).unwrap_or(1));
        EngineError::View { file: self.file.clone(), line, message: cause.to_string() }
    }
}

/// The embedded views, then the user's on top of them.
///
/// # Errors
/// Names file and line.
pub fn load(user_dir: Option<&Path>) -> Result<BTreeMap<String, View>, EngineError> {
    let mut views = BTreeMap::new();
    for file in EMBEDDED.files() {
        let path = Path::new("queries/views").join(file.path());
        let Some((name, sql)) = stem(file.path(), ".sql").zip(file.contents_utf8()) else {
            continue;
        };
        let test = EMBEDDED.get_file(format!("{name}.test.toml")).and_then(|test| test.contents_utf8());
        views.insert(name.to_owned(), View::parse(name, sql, test, &path)?);
    }
    if let Some(dir) = user_dir.filter(|dir| dir.exists()) {
        for path in files(dir)? {
            let Some(name) = stem(&path, ".sql") else {
                continue;
            };
            let test_path = path.with_file_name(format!("{name}.test.toml"));
            let test = if test_path.exists() { Some(read(&test_path)?) } else { None };
            views.insert(name.to_owned(), View::parse(name, &read(&path)?, test.as_deref(), &path)?);
        }
    }
    Ok(views)
}

fn stem<'p>(path: &'p Path, ending: &str) -> Option<&'p str> {
    path.file_name()?.to_str()?.strip_suffix(ending)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, EngineError> {
    let failed = |error: std::io::Error| EngineError::Io { path: dir.to_owned(), reason: error.to_string() };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String, EngineError> {
    std::fs::read_to_string(path).map_err(|error| EngineError::Io { path: path.to_owned(), reason: error.to_string() })
}
