//! Puts the snapshot into the engine, and takes back what was exported only to make it.

use anyhow::{Context as _, Result, bail};
use wasm_encoder::{
    Component, ComponentExportKind, ComponentExportSection, ComponentSectionId, Module,
    ModuleSection, RawSection,
};
use wasmparser::{ComponentExport, ComponentExternalKind, Parser, Payload};

use crate::template::LOADING;

/// Rewrites the engine with `memory` in place of its own, which is the first of its modules, and
/// without the export of its loading interface. What lies behind that stays, out of reach.
pub fn seal(engine: &[u8], memory: &Module) -> Result<Vec<u8>> {
    let mut sealed = Component::new();
    let mut memory = Some(memory);
    let mut removed = 0;
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(engine) {
        let payload = payload.context("the engine is not a component")?;
        match &payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            // Sections of modules and components inside are copied with the section around them.
            _ if depth > 1 && !opens(&payload) => {}
            Payload::ComponentExportSection(section) => {
                removed += keep_others(&mut sealed, section.clone())?;
            }
            Payload::ModuleSection { .. } if let Some(memory) = memory.take() => {
                sealed.section(&ModuleSection(memory));
            }
            _ if depth == 1 => copy(&mut sealed, &payload, engine),
            _ => {}
        }
    }
    if removed != 1 {
        bail!("the engine exports `{LOADING}` {removed} times instead of once");
    }
    Ok(sealed.finish())
}

/// A section that holds a whole module or component; its range covers all that is inside.
fn opens(payload: &Payload<'_>) -> bool {
    matches!(
        payload,
        Payload::ModuleSection { .. } | Payload::ComponentSection { .. }
    )
}

fn copy(sealed: &mut Component, payload: &Payload<'_>, component: &[u8]) {
    let (id, range) = match payload {
        Payload::ModuleSection {
            unchecked_range, ..
        } => (
            ComponentSectionId::CoreModule as u8,
            unchecked_range.clone(),
        ),
        Payload::ComponentSection {
            unchecked_range, ..
        } => (ComponentSectionId::Component as u8, unchecked_range.clone()),
        other => match other.as_section() {
            Some(section) => section,
            None => return,
        },
    };
    sealed.section(&RawSection {
        id,
        data: &component[range],
    });
}

/// Copies the exports but the loading interface's, and counts how many were left out.
fn keep_others(
    sealed: &mut Component,
    section: wasmparser::ComponentExportSectionReader<'_>,
) -> Result<usize> {
    let mut kept = ComponentExportSection::new();
    let mut removed = 0;
    for export in section {
        let export: ComponentExport<'_> = export?;
        if export.name.name == LOADING {
            removed += 1;
            continue;
        }
        if export.kind != ComponentExternalKind::Instance || export.ty.is_some() || removed > 0 {
            // An export gives what it exports a further index: one that went missing before
            // another of its kind would shift those that follow.
            bail!(
                "the engine's export `{}` is not of the kind that can be kept",
                export.name.name
            );
        }
        kept.export(
            export.name.name,
            ComponentExportKind::Instance,
            export.index,
            None,
        );
    }
    if !kept.is_empty() {
        sealed.section(&kept);
    }
    Ok(removed)
}
