//! Dashboards as people write, break and keep them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use kizashi_dashboards::{Dashboards, Name, PanelKind, Source, StoreError, Words, judge, written};

const GOOD: &str = r#"
title = { en = "Disks", ja = "ディスク" }
range = "1h"
[[variable]]
name = "check"
query = "SELECT check_id FROM current_state"
[[panel]]
title = "Use"
kind = "time_series"
at = { x = 0, y = 0, width = 6, height = 4 }
unit = "%"
warning = 80
sql = '''
SELECT slot, value
FROM samples
WHERE check_id = $check'''
[[panel]]
title = "Note"
kind = "text"
at = { x = 6, y = 0, width = 6, height = 4 }
text = "what \"this\" is\n\nfor"
"#;

fn name(text: &str) -> Name {
    Name::try_from(text.to_owned()).unwrap()
}

#[test]
fn a_dashboard_is_written_as_it_was_read() {
    let dashboard = Source(GOOD).parse().unwrap();
    assert_eq!(dashboard.title.ja, "ディスク");
    assert_eq!(dashboard.panel[0].title, Words::same("Use"));
    let text = written(&dashboard);
    assert_eq!(Source(&text).parse().unwrap(), dashboard, "{text}");
    assert!(text.contains("at = { x = 0, y = 0, width = 6, height = 4 }"), "{text}");
    assert!(text.contains("sql = '''\nSELECT slot, value\nFROM samples"), "{text}");
    let json = serde_json::to_value(&dashboard).unwrap();
    assert_eq!(json["title"]["en"], "Disks");
    assert_eq!(json["panel"][0]["title"], "Use");
    assert_eq!(serde_json::from_value::<kizashi_dashboards::Dashboard>(json).unwrap(), dashboard);
}

#[test]
fn statements_of_any_shape_survive_the_file() {
    for sql in
        ["SELECT '''x'''", "SELECT 1\n-- it's\n", "SELECT 'a\\b'\n", "SELECT 1\r\nFROM t", "SELECT\t'\u{7}'", "x'\ny'"]
    {
        let mut dashboard = Source(GOOD).parse().unwrap();
        dashboard.panel[0].sql = Some(sql.to_owned());
        let text = written(&dashboard);
        assert_eq!(Source(&text).parse().unwrap(), dashboard, "{sql:?} in {text}");
    }
}

#[test]
fn a_fault_names_its_line_and_its_key() {
    let cases = [
        ("range = \"1h\"", "range = \"1h\"\ncolour = 1", 4, "colour", "unknown field"),
        ("range = \"1h\"", "range = \"soon\"", 3, "range", "30s"),
        ("kind = \"time_series\"", "kind = \"pie\"", 9, "panel.0.kind", "heat_map"),
        ("width = 6, height = 4 }\nunit", "width = 14, height = 4 }\nunit", 10, "panel.0.at.width", "12 columns"),
        ("x = 6", "x = 3", 20, "panel.1.at", "lies over panel 0"),
        ("name = \"check\"", "name = \"from\"", 5, "variable.0.name", "there already"),
        ("name = \"check\"", "name = \"The check\"", 5, "variable.0.name", "a-z"),
        ("text = \"what", "sql = \"SELECT 1\"\ntext = \"what", 21, "panel.1.sql", "text panel"),
        ("title = \"Note\"", "title = \" \"", 18, "panel.1.title", "empty"),
        ("query = \"SELECT check_id FROM current_state\"", "", 4, "variable.0", "values"),
    ];
    for (old, new, line, key, words) in cases {
        assert!(GOOD.contains(old), "{old}");
        let text = GOOD.replacen(old, new, 1);
        let faults = Source(&text).parse().unwrap_err();
        let found = faults.iter().any(|f| f.line == line && f.key == key && f.message.contains(words));
        assert!(found, "{new}: {faults:?}");
    }
    assert_eq!(Source("title = ").parse().unwrap_err()[0].line, 1);
    let none = Source("title = \"x\"").parse().unwrap_err();
    assert!(none[0].message.contains("[[panel]]"), "{none:?}");
}

#[test]
fn a_fault_within_a_statement_is_counted_from_its_first_line() {
    let fault = Source(GOOD).fault("panel.0.sql", 2, "no such table");
    assert_eq!((fault.line, fault.key.as_str()), (15, "panel.0.sql"));
    assert_eq!(Source(GOOD).fault("variable.0.query", 1, "x").line, 6);
    assert_eq!(Source(GOOD).fault("panel.0.sql", 0, "x").line, 13);
}

#[test]
fn a_panel_needs_the_columns_that_it_draws() {
    let time = || Field::new("slot", DataType::Timestamp(TimeUnit::Microsecond, None), false);
    let (value, state) = (Field::new("value", DataType::Float64, true), Field::new("state", DataType::Utf8View, true));
    let name = Field::new("check_id", DataType::Utf8, true);
    let of = |fields: Vec<Field>| Schema::new(fields);
    let good = [
        (PanelKind::TimeSeries, of(vec![time(), value.clone()])),
        (PanelKind::HeatMap, of(vec![time(), name, value.clone()])),
        (PanelKind::StateTimeline, of(vec![time(), state])),
        (PanelKind::Stat, of(vec![value.clone()])),
    ];
    for (kind, columns) in &good {
        judge(Some(*kind), columns).unwrap();
    }
    let wrong = judge(Some(PanelKind::TimeSeries), &of(vec![value.clone()])).unwrap_err();
    assert!(wrong.contains("a column of times") && wrong.contains("value (number)"), "{wrong}");
    assert!(judge(Some(PanelKind::StateTimeline), &of(vec![time(), value])).unwrap_err().contains("called state"));
    assert!(judge(None, &of(vec![])).is_err());
}

#[test]
fn what_is_shipped_is_valid_and_cannot_be_changed_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let all = Dashboards::new(folder.path().join("dashboards"));
    let shipped = all.list().unwrap();
    assert!(shipped.len() >= 2);
    for found in &shipped {
        assert!(found.shipped && found.parsed.is_ok(), "{:?}", found.parsed);
        let refused = all.write(&found.name, GOOD, &|_| false).unwrap_err();
        assert!(matches!(refused, StoreError::Shipped(_)), "{refused}");
        assert!(all.remove(&found.name, &|_| false).is_err());
    }
}

#[test]
fn a_file_is_written_whole_on_terms_and_one_with_a_fault_stays_in_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("dashboards");
    let all = Dashboards::new(place.clone());
    let written = all.write(&name("mine"), GOOD, &|there| there.is_some()).unwrap();
    assert_eq!(std::fs::read_to_string(place.join("mine.toml")).unwrap(), GOOD);
    assert_eq!(all.read(&name("mine")).unwrap().tag(), written.tag());
    let refused = all.write(&name("mine"), "", &|there| there.is_some()).unwrap_err();
    assert!(matches!(refused, StoreError::Changed(_)), "{refused}");
    std::fs::write(place.join("broken.toml"), "title = \"x\"\nno = 1\n").unwrap();
    std::fs::write(place.join("Not A Name.toml"), GOOD).unwrap();
    let list = all.list().unwrap();
    let broken = list.iter().find(|one| one.name == name("broken")).unwrap();
    assert_eq!(broken.parsed.as_ref().unwrap_err()[0].key, "no");
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 3, "nothing is left beside the files");
    all.remove(&name("mine"), &|_| false).unwrap();
    assert!(matches!(all.read(&name("mine")), Err(StoreError::NotFound(_))));
    for bad in ["", "../x", "A", "a/b", "x.toml", &"x".repeat(61)] {
        assert!(Name::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}
