//! Reads a modelet's bytes: is it a component with no imports and the one export, and what is in it?

use std::ops::Range;

use serde::{Deserialize, Serialize};
use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload};

use crate::metadata::{EMBED_SECTION, Metadata, sha256_hex};

/// The export that makes a component a modelet.
pub const CONTRACT: &str = "modelet:model/inference@0.1.0";

/// What is known of a modelet without running it. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    #[serde(flatten)]
    pub metadata: Metadata,
    /// SHA-256 of the whole file, lower-case hexadecimal.
    pub sha256: String,
    pub size_bytes: u64,
    /// Machine-independent code: the engine.
    pub code_bytes: u64,
    /// The memory image: weights and the prepared graph.
    pub image_bytes: u64,
}

/// Why bytes are not a modelet.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    #[error("not a WebAssembly file (it does not begin with \\0asm)")]
    NotWasm,
    #[error(
        "this is a core WebAssembly module, a modelet is a component; write one with `modelet build`"
    )]
    CoreModule,
    #[error("damaged WebAssembly: {0}")]
    Damaged(#[from] wasmparser::BinaryReaderError),
    #[error(
        "the component imports `{0}`; a modelet imports nothing, so that it can reach no clock, \
         file, socket or other model"
    )]
    Imports(String),
    #[error("the component does not export `{CONTRACT}`; write one with `modelet build`")]
    MissingExport,
    #[error("the component exports `{0}` beside the modelet contract")]
    ExtraExport(String),
    #[error("the component has no `{EMBED_SECTION}` section; write one with `modelet build`")]
    MissingMetadata,
    #[error("the `{EMBED_SECTION}` section cannot be read: {0}")]
    BadMetadata(#[from] serde_json::Error),
    #[error("the component is put together as no modelet is: {0}")]
    Outline(&'static str),
}

/// Reads and checks the outside of a modelet; functions' bodies are left to the compiler to validate.
pub fn inspect(bytes: &[u8]) -> Result<Facts, Invalid> {
    if !bytes.starts_with(b"\0asm") {
        return Err(Invalid::NotWasm);
    }
    let mut outside = Outside::default();
    for payload in Parser::new(0).parse_all(bytes) {
        outside.visit(payload?)?;
    }
    let (code_bytes, image_bytes) = (outside.code_bytes, outside.image_bytes);
    Ok(Facts {
        metadata: outside.metadata()?,
        sha256: sha256_hex(bytes),
        size_bytes: bytes.len() as u64,
        code_bytes,
        image_bytes,
    })
}

/// The parts of a component that its reader looks at.
#[derive(Default)]
pub struct Outside {
    depth: usize,
    imports: Vec<String>,
    exports: Vec<String>,
    metadata: Option<Vec<u8>>,
    code_bytes: u64,
    image_bytes: u64,
}

impl Outside {
    /// What a component that imports nothing and exports the contract says about itself.
    pub fn metadata(self) -> Result<Metadata, Invalid> {
        if let Some(import) = self.imports.into_iter().next() {
            return Err(Invalid::Imports(import));
        }
        if !self.exports.iter().any(|export| export == CONTRACT) {
            return Err(Invalid::MissingExport);
        }
        if let Some(extra) = self.exports.into_iter().find(|name| name != CONTRACT) {
            return Err(Invalid::ExtraExport(extra));
        }
        let metadata = self.metadata.ok_or(Invalid::MissingMetadata)?;
        Ok(serde_json::from_slice(&metadata)?)
    }

    pub fn visit(&mut self, payload: Payload<'_>) -> Result<(), Invalid> {
        match payload {
            Payload::Version { encoding, .. } => {
                if self.depth == 0 && encoding == Encoding::Module {
                    return Err(Invalid::CoreModule);
                }
                self.depth += 1;
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::CodeSectionStart { range, .. } => self.code_bytes += length(range),
            Payload::DataSection(section) => self.image_bytes += length(section.range()),
            // Components nested inside cannot reach the host unless the outermost imports.
            Payload::ComponentImportSection(section) if self.depth == 1 => {
                for import in section {
                    self.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if self.depth == 1 => {
                for export in section {
                    let export = export?;
                    if export.kind != ComponentExternalKind::Type {
                        self.exports.push(export.name.name.to_owned());
                    }
                }
            }
            Payload::CustomSection(section)
                if self.depth == 1 && section.name() == EMBED_SECTION =>
            {
                self.metadata = Some(section.data().to_vec());
            }
            _ => {}
        }
        Ok(())
    }
}

fn length(range: Range<usize>) -> u64 {
    (range.end - range.start) as u64
}
