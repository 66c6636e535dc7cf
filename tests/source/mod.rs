//! The code of `src` as text, for tests that read it.

use std::collections::BTreeMap;
use std::path::Path;

/// The code of each file, by its module path such as `store/commit/queue`. Comments, and what is only for tests, are
/// left out.
pub fn code() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    collect(&root, &root, &mut files);
    files
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if matches!(name, "tests" | "fixture" | "simulation") {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = path.strip_prefix(root).unwrap().with_extension("");
            let module = module.to_str().unwrap().trim_end_matches("/mod").to_owned();
            files.insert(module, without_tests(&std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Code without comments and without the module of tests at its end.
pub fn without_tests(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}
