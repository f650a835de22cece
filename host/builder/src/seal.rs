//! Puts the snapshot into the engine, and takes out what is only there to make it.

use anyhow::{Context as _, Result, bail};
use wasm_encoder::{
    Component, ComponentExportKind, ComponentExportSection, ComponentSectionId, Module,
    ModuleSection, RawSection,
};
use wasmparser::{ComponentExport, ComponentExternalKind, Parser, Payload};

use crate::template::LOADING;

/// The engine's module that holds its code; the one before holds its memory.
pub fn code(engine: &[u8]) -> Result<&[u8]> {
    let modules = Parser::new(0)
        .parse_all(engine)
        .filter_map(|payload| match payload {
            Ok(Payload::ModuleSection {
                unchecked_range, ..
            }) => engine.get(unchecked_range),
            _ => None,
        });
    modules.last().context("the engine has no module")
}

/// Rewrites the engine with `memory` and `code` in place of its own modules, and without the export of its
/// loading interface. What the component has to itself for that stays, out of reach.
pub fn seal(engine: &[u8], memory: &Module, code: &Module) -> Result<Vec<u8>> {
    let mut sealed = Component::new();
    let mut modules = [memory, code].into_iter();
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
            Payload::ModuleSection { .. } => {
                let module = modules
                    .next()
                    .context("the engine has more than two modules")?;
                sealed.section(&ModuleSection(module));
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
