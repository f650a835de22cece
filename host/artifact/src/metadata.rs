//! The facts that `build` embeds in a modelet.

use std::collections::BTreeMap;

use modelet_protocol::Signature;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wasm_encoder::{CustomSection, Encode as _, Section as _};

/// The custom section of the component that carries [`Metadata`] as JSON.
pub const EMBED_SECTION: &str = "modelet";

/// What a modelet declares about itself. Field order is the order in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    pub name: String,
    /// Free text; the number a repository serves it under is the folder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    pub signature: Signature,
    /// SHA-256 of the ONNX file, lower-case hexadecimal.
    pub source_sha256: String,
    /// The inference engine inside, for example `tract 0.23.9`.
    pub engine: String,
    /// The tool that wrote the file, for example `modelet 0.1.0`.
    pub tool: String,
    /// Where in the guest's memory a panic leaves its message: the address of a four-byte
    /// little-endian length that the UTF-8 text follows.
    pub panic_message_address: u32,
}

/// Appends `metadata` to a component as a custom section.
pub fn embed(component: &[u8], metadata: &Metadata) -> Vec<u8> {
    let json = serde_json::to_vec(metadata).expect("strings and numbers always serialise");
    let section = CustomSection {
        name: EMBED_SECTION.into(),
        data: json.into(),
    };
    let mut bytes = component.to_vec();
    bytes.push(section.id());
    section.encode(&mut bytes);
    bytes
}

/// SHA-256 as lower-case hexadecimal: how artifacts are named everywhere.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}
