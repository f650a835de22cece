//! A module as its linker leaves it when it is told to keep relocations.

use anyhow::{Context as _, Result, bail, ensure};
use wasmparser::{
    ConstExpr, DataKind, DataSectionReader, ElementItems, ElementKind, ElementSectionReader,
    ExportSectionReader, ExternalKind, FuncType, FunctionBody, GlobalSectionReader, KnownCustom,
    Linking, LinkingSectionReader, Operator, Parser, Payload, RelocSectionReader, RelocationEntry,
    SymbolInfo,
};

/// What links are made from. Positions count from the beginning of the module.
#[derive(Default)]
pub struct Linked<'a> {
    pub types: Vec<FuncType>,
    /// The type of each function.
    pub functions: Vec<u32>,
    pub bodies: Vec<FunctionBody<'a>>,
    pub exports: Vec<(String, u32)>,
    pub segments: Vec<Segment>,
    pub symbols: Vec<Symbol>,
    /// With their positions.
    pub code_relocations: Vec<(usize, RelocationEntry)>,
    pub data_relocations: Vec<(usize, RelocationEntry)>,
    /// The number of the first function in the table.
    pub table_start: u32,
    pub table: Vec<u32>,
    /// Where the functions of the table end.
    pub table_end: usize,
    /// The stack grows down from here.
    pub stack_top: u32,
    pub constructors: Option<u32>,
}

pub struct Segment {
    pub address: u32,
    pub position: usize,
    pub data: Vec<u8>,
}

/// What a relocation can refer to.
#[derive(Clone, Copy)]
pub enum Symbol {
    Function(u32),
    Data {
        segment: u32,
        address: u32,
        size: u32,
    },
    Other,
}

impl<'a> Linked<'a> {
    /// Reads a module that was linked with `--emit-relocs`.
    pub fn read(module: &'a [u8]) -> Result<Linked<'a>> {
        let mut linked = Linked::default();
        let (mut code_start, mut data_start, mut linking) = (0, 0, None);
        let (mut code_relocations, mut data_relocations) = (None, None);
        for payload in Parser::new(0).parse_all(module) {
            match payload.context("this is not a module")? {
                Payload::TypeSection(section) => {
                    let types = section.into_iter_err_on_gc_types();
                    linked.types = types.collect::<Result<_, _>>()?;
                }
                Payload::ImportSection(_) => bail!("the module has imports"),
                Payload::FunctionSection(section) => {
                    linked.functions = section.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::GlobalSection(section) => linked.read_globals(section)?,
                Payload::ExportSection(section) => linked.read_exports(section)?,
                Payload::ElementSection(section) => linked.read_table(section)?,
                Payload::CodeSectionStart { range, .. } => code_start = range.start,
                Payload::CodeSectionEntry(body) => linked.bodies.push(body),
                Payload::DataSection(section) => {
                    data_start = section.range().start;
                    linked.read_segments(section)?;
                }
                Payload::CustomSection(section) => match (section.name(), section.as_known()) {
                    (_, KnownCustom::Linking(section)) => linking = Some(section),
                    ("reloc.CODE", KnownCustom::Reloc(section)) => code_relocations = Some(section),
                    ("reloc.DATA", KnownCustom::Reloc(section)) => data_relocations = Some(section),
                    _ => {}
                },
                _ => {}
            }
        }
        linked.read_symbols(linking.context("the module was linked without `--emit-relocs`")?)?;
        linked.code_relocations = relocations(code_start, code_relocations)?;
        linked.data_relocations = relocations(data_start, data_relocations)?;
        Ok(linked)
    }

    /// The one that changes is the stack pointer.
    fn read_globals(&mut self, section: GlobalSectionReader<'_>) -> Result<()> {
        for global in section {
            let global = global?;
            if global.ty.mutable {
                self.stack_top = constant(&global.init_expr)?;
            }
        }
        Ok(())
    }

    fn read_exports(&mut self, section: ExportSectionReader<'_>) -> Result<()> {
        for export in section {
            let export = export?;
            if export.kind == ExternalKind::Func {
                self.exports.push((export.name.to_owned(), export.index));
            }
        }
        Ok(())
    }

    fn read_table(&mut self, section: ElementSectionReader<'_>) -> Result<()> {
        ensure!(section.count() == 1, "the table has several parts");
        self.table_end = section.range().end;
        for element in section {
            let element = element?;
            let (ElementKind::Active { offset_expr, .. }, ElementItems::Functions(functions)) =
                (element.kind, element.items)
            else {
                bail!("the table is filled by code or with expressions");
            };
            self.table_start = constant(&offset_expr)?;
            self.table = functions.into_iter().collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    fn read_segments(&mut self, section: DataSectionReader<'_>) -> Result<()> {
        for segment in section {
            let segment = segment?;
            let DataKind::Active { offset_expr, .. } = segment.kind else {
                bail!("data is placed by code");
            };
            self.segments.push(Segment {
                address: constant(&offset_expr)?,
                position: segment.range.end - segment.data.len(),
                data: segment.data.to_vec(),
            });
        }
        Ok(())
    }

    fn read_symbols(&mut self, linking: LinkingSectionReader<'_>) -> Result<()> {
        for subsection in linking.subsections() {
            let Linking::SymbolTable(symbols) = subsection? else {
                continue;
            };
            for symbol in symbols {
                let symbol = match symbol? {
                    SymbolInfo::Func { index, name, .. } => {
                        if name == Some("__wasm_call_ctors") {
                            self.constructors = Some(index);
                        }
                        Symbol::Function(index)
                    }
                    SymbolInfo::Data {
                        symbol: Some(place),
                        ..
                    } => match self.segments.get(place.index as usize) {
                        Some(segment) => Symbol::Data {
                            segment: place.index,
                            address: segment.address + place.offset,
                            size: place.size,
                        },
                        None => Symbol::Other,
                    },
                    _ => Symbol::Other,
                };
                self.symbols.push(symbol);
            }
        }
        Ok(())
    }
}

fn relocations(
    start: usize,
    section: Option<RelocSectionReader<'_>>,
) -> Result<Vec<(usize, RelocationEntry)>> {
    let section = section.context("the module has no relocations")?;
    let entries = section.entries().into_iter();
    entries
        .map(|entry| {
            let entry = entry?;
            Ok((start + entry.offset as usize, entry))
        })
        .collect()
}

fn constant(expression: &ConstExpr<'_>) -> Result<u32> {
    match expression.get_operators_reader().read()? {
        Operator::I32Const { value } => Ok(value as u32),
        _ => bail!("a place is not a constant"),
    }
}
