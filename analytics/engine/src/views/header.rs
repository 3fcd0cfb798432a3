//! The comment lines at the top of a view.

use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub title: String,
    pub owner: String,
    pub columns: BTreeMap<String, String>,
}

/// # Errors
/// The line, from 1, and what is wrong with it.
pub(super) fn parse(sql: &str) -> Result<Header, (usize, String)> {
    let (mut title, mut owner, mut columns) = (None, None, BTreeMap::new());
    let comments = sql.lines().zip(1..).map_while(|(line, number)| Some((line.strip_prefix("--")?.trim(), number)));
    for (line, number) in comments {
        let Some((key, value)) = line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) else {
            continue;
        };
        let once = |known: bool| if known { Err((number, format!("{key} is given twice"))) } else { Ok(()) };
        match key.split_once(' ') {
            None if key == "title" => {
                once(title.replace(value.to_owned()).is_some())?;
            }
            None if key == "owner" => {
                once(owner.replace(value.to_owned()).is_some())?;
            }
            Some(("column", name)) => {
                if value.is_empty() {
                    return Err((number, format!("the comment of column {name} is empty: say what it means")));
                }
                once(columns.insert(name.trim().to_owned(), value.to_owned()).is_some())?;
            }
            _ => {}
        }
    }
    let need = |value: Option<String>, key: &str| {
        value
            .filter(|v| !v.is_empty())
            .ok_or_else(|| (1, format!("the header has no {key}: begin the file with `-- {key}: ...`")))
    };
    Ok(Header { title: need(title, "title")?, owner: need(owner, "owner")?, columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_and_its_faults_are_located() {
        let header = parse(
            "-- title: A\n-- owner: me\n-- Prose: with a colon\n-- column x: what x is\nselect 1 as x\n-- title: B",
        )
        .unwrap();
        assert_eq!((header.title.as_str(), header.owner.as_str()), ("A", "me"));
        assert_eq!(header.columns, BTreeMap::from([("x".to_owned(), "what x is".to_owned())]));
        assert_eq!(parse("select 1").unwrap_err().0, 1);
        assert_eq!(parse("-- title: A\n-- owner: me\n-- column x:\nselect 1").unwrap_err().0, 3);
        assert!(parse("-- title: A\n-- title: B\n-- owner: me\nselect 1").unwrap_err().1.contains("twice"));
    }
}
