//! How large the crates are, and what they use.

use std::collections::{BTreeMap, BTreeSet};

use crate::files;

/// The folders of our crates, the inner ones first: a file belongs to the first that holds it.
const CRATES: [&str; 10] = [
    "analyzer/stats",
    "collector/client",
    "collector/lake",
    "collector/schema",
    "collector/wal",
    "analyzer",
    "api",
    "collector",
    "corpus-versions",
    "report",
];

/// Modules that are compiled for tests alone, as paths without their ending.
fn test_modules(sources: &[(String, String)]) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for (name, text) in sources {
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let [attribute, item] = pair else { continue };
            let module = item.trim_start_matches("pub(crate) ").strip_prefix("mod ");
            if let (true, Some(module)) =
                (attribute.starts_with("#[cfg(test)]"), module.and_then(|m| m.strip_suffix(';')))
            {
                let stem = name.trim_end_matches(".rs").trim_end_matches("/lib").trim_end_matches("/mod");
                modules.insert(format!("{stem}/{module}"));
            }
        }
    }
    modules
}

/// Lines with code of a source: neither empty nor comments nor tests.
fn lines_of_code(text: &str) -> usize {
    let mut lines = text.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{')) {
            break;
        }
        let line = line.trim();
        count += usize::from(!line.is_empty() && !line.starts_with("//"));
    }
    count
}

/// Crates grow by a visible diff. Hundreds of lines of code, rounded up, without comments and tests.
#[test]
fn the_crates_stay_within_their_budget_of_lines() {
    let sources = files(&[".rs"]);
    let tests = test_modules(&sources);
    let is_test = |name: &str| {
        let stem = name.trim_end_matches(".rs");
        tests
            .iter()
            .any(|module| stem == module || stem.strip_prefix(module.as_str()).is_some_and(|s| s.starts_with('/')))
    };
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, text) in sources.iter().filter(|(name, _)| name.contains("/src/") && !is_test(name)) {
        let of = CRATES.iter().find(|folder| name.starts_with(&format!("{folder}/src/")));
        if let Some(folder) = of {
            *sizes.entry(folder).or_default() += lines_of_code(text);
        }
    }
    let total: usize = sizes.values().sum();
    let shown = sizes.iter().map(|(name, lines)| (*name, *lines)).chain([("all", total)]);
    let shown: Vec<String> = shown.map(|(name, lines)| format!("{name} {}", lines.div_ceil(100) * 100)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    analyzer 10900
    analyzer/stats 2500
    api 7200
    collector 8200
    collector/client 1700
    collector/lake 3200
    collector/schema 1300
    collector/wal 1400
    corpus-versions 2200
    report 2800
    all 41100
    ");
}
