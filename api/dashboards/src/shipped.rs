//! The dashboards that come with Kizashi.

use include_dir::{Dir, include_dir};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../dashboards/shipped");

/// Names and texts, by name.
pub(crate) fn all() -> Vec<(String, String)> {
    let text = |file: &include_dir::File<'_>| {
        let name = file.path().file_name()?.to_str()?.strip_suffix(".toml")?;
        Some((name.to_owned(), file.contents_utf8()?.to_owned()))
    };
    let mut found: Vec<_> = FILES.files().filter_map(text).collect();
    found.sort();
    found
}
