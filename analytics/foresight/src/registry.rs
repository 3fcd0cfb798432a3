//! The query files: those that the product ships, embedded, and those of the user's folder.

use std::fmt::Write;
use std::path::Path;

use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use crate::ForesightError;
use crate::header::{Header, Kind};

static SHIPPED: [(Kind, Dir<'_>); 2] = [
    (Kind::Detector, include_dir!("$CARGO_MANIFEST_DIR/../../queries/detectors")),
    (Kind::Prediction, include_dir!("$CARGO_MANIFEST_DIR/../../queries/predictions")),
];

/// Hex digits of the SHA-256 that name a version.
const VERSION_DIGITS: usize = 12;
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// One detector or prediction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The file's name without `.sql`.
    pub name: String,
    /// Where it comes from, for people: a path.
    pub file: String,
    pub header: Header,
    pub sql: String,
    /// First 12 hex digits of the SHA-256 of the SQL.
    pub version: String,
    /// The text of the test file next to it.
    pub(crate) tests: Option<String>,
}

impl Query {
    /// # Errors
    /// When the name or the header is wrong, or the header's kind is not that of the folder.
    pub(crate) fn parse(kind: Kind, file: &str, sql: &str, tests: Option<String>) -> Result<Self, ForesightError> {
        let name = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".sql");
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            return Err(ForesightError::file(file, 1, "name the file with 1 to 64 of a-z, 0-9 and _, then .sql"));
        }
        let header = Header::parse(file, sql)?;
        if header.kind != kind {
            let message = format!(
                "a {} in the folder {}: move the file or correct its kind",
                header.kind.as_str(),
                kind.folder()
            );
            return Err(ForesightError::file(file, 1, message));
        }
        Ok(Self {
            name: name.to_owned(),
            file: file.to_owned(),
            header,
            sql: sql.to_owned(),
            version: version(sql),
            tests,
        })
    }

    #[must_use]
    pub fn has_tests(&self) -> bool {
        self.tests.is_some()
    }

    /// The path of the test file.
    #[must_use]
    pub fn tests_file(&self) -> String {
        format!("{}.test.toml", self.file.trim_end_matches(".sql"))
    }
}

fn version(sql: &str) -> String {
    let mut hex = String::with_capacity(VERSION_DIGITS);
    for byte in Sha256::digest(sql.as_bytes()).iter().take(VERSION_DIGITS / 2) {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// All query files, ordered by name. A file of the user's folder takes the place of a shipped one of the same kind and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    queries: Vec<Query>,
}

impl Registry {
    /// The shipped queries and those in `user_dir/detectors` and `user_dir/predictions`, where these exist.
    ///
    /// # Errors
    /// With file and line: a header that is wrong. Also when a folder or file cannot be read.
    pub fn load(user_dir: Option<&Path>) -> Result<Self, ForesightError> {
        let mut queries = Vec::new();
        for (kind, folder) in &SHIPPED {
            for file in folder.files() {
                let Some(name) = file.path().to_str().filter(|name| name.ends_with(".sql")) else { continue };
                let path = format!("queries/{}/{name}", kind.folder());
                let text = |name: &str| folder.get_file(name)?.contents_utf8().map(str::to_owned);
                let sql = text(name).unwrap_or_default();
                queries.push(Query::parse(*kind, &path, &sql, text(&name.replace(".sql", ".test.toml")))?);
            }
        }
        for kind in [Kind::Detector, Kind::Prediction] {
            let Some(folder) = user_dir.map(|dir| dir.join(kind.folder())).filter(|folder| folder.is_dir()) else {
                continue;
            };
            for query in read_folder(kind, &folder)? {
                queries.retain(|shipped| (shipped.header.kind, &shipped.name) != (kind, &query.name));
                queries.push(query);
            }
        }
        queries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { queries })
    }

    #[must_use]
    pub fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// The same with one query alone, to test or backtest it.
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        Self { queries: self.queries.iter().filter(|query| query.name == name).cloned().collect() }
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Query> {
        self.queries.iter().find(|query| query.name == name)
    }
}

fn read_folder(kind: Kind, folder: &Path) -> Result<Vec<Query>, ForesightError> {
    let unreadable = |path: &Path, reason: &dyn ToString| ForesightError::Read {
        path: path.display().to_string(),
        reason: reason.to_string(),
    };
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let length = path.metadata().map_err(|error| unreadable(&path, &error))?.len();
        if length > FILE_BYTES_MAX {
            return Err(unreadable(&path, &format!("{length} bytes; a query file has at most {FILE_BYTES_MAX}")));
        }
        let sql = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        let tests = path.with_extension("test.toml");
        let tests = if tests.exists() {
            Some(std::fs::read_to_string(&tests).map_err(|error| unreadable(&tests, &error))?)
        } else {
            None
        };
        queries.push(Query::parse(kind, &path.display().to_string(), &sql, tests)?);
    }
    Ok(queries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_is_embedded_with_its_tests() {
        let shipped = Registry::load(None).unwrap();
        for kind in [Kind::Detector, Kind::Prediction] {
            let folder = Path::new("../../queries").join(kind.folder());
            let on_disk = read_folder(kind, &folder).unwrap();
            assert!(!on_disk.is_empty());
            for query in on_disk {
                let embedded = shipped.get(&query.name).unwrap_or_else(|| panic!("{} is not embedded", query.file));
                assert_eq!((&embedded.sql, embedded.has_tests()), (&query.sql, true), "{}", query.file);
            }
        }
    }

    #[test]
    fn a_users_file_takes_the_place_of_a_shipped_one_and_has_its_own_version() {
        let dir = tempfile::tempdir().unwrap();
        let shipped = Registry::load(Some(dir.path())).unwrap();
        let name = "certificate_expiry";
        std::fs::create_dir(dir.path().join("predictions")).unwrap();
        let own = shipped.get(name).unwrap().sql.replace("<= 30", "<= 60");
        std::fs::write(dir.path().join(format!("predictions/{name}.sql")), &own).unwrap();
        let registry = Registry::load(Some(dir.path())).unwrap();
        assert_eq!(registry.queries().len(), shipped.queries().len());
        assert_eq!(registry.get(name).unwrap().sql, own);
        assert_ne!(registry.get(name).unwrap().version, shipped.get(name).unwrap().version);
        assert!(!registry.get(name).unwrap().has_tests(), "the shipped test belongs to the shipped file");
    }

    #[test]
    fn a_file_in_the_wrong_folder_or_with_a_wrong_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("detectors")).unwrap();
        let prediction = Registry::load(None).unwrap().get("certificate_expiry").unwrap().sql.clone();
        let path = dir.path().join("detectors/expiry.sql");
        std::fs::write(&path, &prediction).unwrap();
        let message = Registry::load(Some(dir.path())).unwrap_err().to_string();
        assert!(message.contains("expiry.sql:1: a prediction in the folder detectors"), "{message}");
        std::fs::rename(&path, dir.path().join("detectors/Expiry 2.sql")).unwrap();
        assert!(Registry::load(Some(dir.path())).unwrap_err().to_string().contains("name the file with"));
    }
}
