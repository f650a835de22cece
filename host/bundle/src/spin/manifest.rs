//! `spin.toml`.

use std::fmt::Write as _;

use super::Dependency;

const HEAD: &str = r#"spin_manifest_version = 2

[application]
name = "modelets"
version = "0.1.0"

[[trigger.http]]
route = "/..."
component = "gateway"

[component.gateway]
source = "gateway.wasm"
key_value_stores = ["default"]

[component.gateway.dependencies]
"#;

/// Names of models and of our own files need no escapes.
pub fn text(dependencies: &[Dependency]) -> String {
    let line = |mut text: String, dependency: &Dependency| {
        let Dependency {
            import,
            path,
            export,
            ..
        } = dependency;
        writeln!(
            text,
            r#""{import}" = {{ path = "{path}", export = "{export}" }}"#
        )
        .expect("writing to a string cannot fail");
        text
    };
    dependencies.iter().fold(HEAD.to_owned(), line)
}
