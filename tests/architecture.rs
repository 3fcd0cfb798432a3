//! The arrows between crates are those that ARCHITECTURE.md allows, and analytics never compiles librdkafka.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The table of ARCHITECTURE.md: crate and what it may look at.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string("ARCHITECTURE.md").unwrap();
    let mut table = BTreeMap::new();
    for row in text.lines().filter(|l| l.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let folder = cells[1].trim_matches('`');
        let Some((_, name)) = folder.split_once('/').filter(|(_, name)| !name.contains('*')) else { continue };
        let looks_at = cells[3].split(',').map(str::trim).filter(|c| !c.is_empty() && !c.contains(' '));
        table.insert(format!("kizashi-{name}"), looks_at.map(|c| format!("kizashi-{c}")).collect());
    }
    table
}

#[test]
fn crates_only_look_where_the_architecture_allows() {
    let metadata = MetadataCommand::new()
        .manifest_path("Cargo.toml")
        .no_deps()
        .other_options(["--offline".into()])
        .exec()
        .unwrap();
    let allowed = allowed();
    let mut seen = BTreeSet::new();
    for package in metadata.workspace_packages().iter().filter(|p| p.name.as_str() != "kizashi") {
        let may = allowed
            .get(package.name.as_str())
            .unwrap_or_else(|| panic!("{} has no row in ARCHITECTURE.md", package.name));
        let ours = package
            .dependencies
            .iter()
            .filter(|d| d.name.starts_with("kizashi-") && d.kind != DependencyKind::Development);
        for dependency in ours {
            assert!(
                may.contains(&dependency.name),
                "{} looks at {}, which ARCHITECTURE.md does not allow",
                package.name,
                dependency.name
            );
        }
        seen.insert(package.name.to_string());
    }
    let missing: Vec<_> = allowed.keys().filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md lists crates that are not there: {missing:?}");
}

#[test]
fn analytics_never_compiles_librdkafka() {
    let metadata =
        MetadataCommand::new().manifest_path("Cargo.toml").other_options(["--offline".into()]).exec().unwrap();
    let resolve = metadata.resolve.as_ref().unwrap();
    let name = |id: &cargo_metadata::PackageId| metadata[id].name.to_string();
    for start in ["kizashi-engine", "kizashi-foresight"] {
        let mut open: Vec<_> = resolve.nodes.iter().filter(|n| name(&n.id) == start).map(|n| n.id.clone()).collect();
        assert_eq!(open.len(), 1);
        let mut reached = BTreeSet::new();
        while let Some(id) = open.pop() {
            let node = resolve.nodes.iter().find(|n| n.id == id).unwrap();
            for dep in &node.deps {
                let normal = dep.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal);
                if normal && reached.insert(dep.pkg.clone()) {
                    open.push(dep.pkg.clone());
                }
            }
        }
        let names: BTreeSet<String> = reached.iter().map(name).collect();
        assert!(!names.contains("rdkafka"), "{start} reaches rdkafka");
        assert!(names.contains("datafusion"), "the walk found DataFusion, so it does walk");
    }
}
