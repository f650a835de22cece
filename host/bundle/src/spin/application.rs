//! The component that tells the gateway what it serves.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use modelet_gateway::application::Application;

/// Where the result of the function lies, an address and a length; the text follows.
const RESULT: usize = 8;
const TEXT: usize = 16;

const PAGE_BYTES: usize = 1 << 16;

pub fn component(application: &Application) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(application)?;
    let pages = (TEXT + json.len()).div_ceil(PAGE_BYTES);
    let mut result = (TEXT as u32).to_le_bytes().to_vec();
    result.extend((json.len() as u32).to_le_bytes());
    let text = format!(
        r#"(component
          (core module $module
            (memory (export "memory") {pages})
            (data (i32.const {RESULT}) "{}")
            (data (i32.const {TEXT}) "{}")
            (func (export "read") (result i32) (i32.const {RESULT})))
          (core instance $core (instantiate $module))
          (func (export "application") (result string)
            (canon lift (core func $core "read") (memory (core memory $core "memory")))))"#,
        quoted(&result),
        quoted(&json),
    );
    wat::parse_str(text).context("the application makes no component")
}

fn quoted(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
