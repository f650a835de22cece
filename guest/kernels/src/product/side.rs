//! One matrix of a product, in panels: packed ahead, packed here, or as it came.

use std::ops::Range;

use tract_data::prelude::TractResult;
use tract_linalg::mmm::EagerPackedInput;

use super::Matrix;
use super::pack::{Lines, pack, pack_windows};

/// What is packed at one time, in bytes: a part of what a core has for itself in its second cache.
const BLOCK: usize = 256 << 10;

pub struct Side<'a> {
    matrix: Matrix<'a>,
    /// Of its rows, or columns.
    count: usize,
    /// Of a panel.
    width: usize,
    depth: usize,
    /// No panel begins later. What is packed here has only whole panels, if there are enough lines for one:
    /// the last begins with some that are in the one before.
    last_start: usize,
    is_to_pack: bool,
    packed: Vec<f32>,
    /// Where the first panel is, or would be. Only those that are prepared are there.
    first: *const f32,
    /// From one panel to the next, in values.
    stride: usize,
}

impl<'a> Side<'a> {
    pub fn new(matrix: Matrix<'a>, count: usize, width: usize, depth: usize) -> Side<'a> {
        let ready = match matrix {
            Matrix::Value(value) => value.downcast_ref().map(|value: &EagerPackedInput| {
                let stride = value.panel_bytes / size_of::<f32>();
                (value.packed.as_ptr().cast(), stride)
            }),
            // A single line is read as it came, if its values are neighbours.
            Matrix::Strided {
                first,
                depth_stride: 1,
                ..
            } if width == 1 => Some((first, 0)),
            Matrix::Strided { .. } | Matrix::Windows { .. } => None,
        };
        let (stride, last_start) = match matrix {
            Matrix::Value(value) => {
                let layout = value.scratch_panel_buffer_layout();
                (layout.map(|layout| layout.size()), None)
            }
            Matrix::Strided { .. } | Matrix::Windows { .. } => (None, count.checked_sub(width)),
        };
        let stride = stride.map_or(width * depth, |bytes| bytes.div_ceil(size_of::<f32>()));
        let (first, stride) = ready.unwrap_or((std::ptr::null(), stride));
        Side {
            matrix,
            count,
            width,
            depth,
            last_start: last_start.unwrap_or(usize::MAX),
            is_to_pack: ready.is_none(),
            packed: vec![],
            first,
            stride,
        }
    }

    pub fn panels(&self) -> usize {
        self.count.div_ceil(self.width)
    }

    pub fn is_to_pack(&self) -> bool {
        self.is_to_pack
    }

    /// The line that a panel begins with.
    pub fn start(&self, panel: usize) -> usize {
        (self.width * panel).min(self.last_start)
    }

    /// How many of a panel's lines are in the panel before too.
    pub fn repeated(&self, panel: usize) -> usize {
        self.width * panel - self.start(panel)
    }

    /// All panels, in parts of no more than `BLOCK`.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let panels = self.panels();
        let size = (BLOCK / size_of::<f32>() / self.stride.max(1)).max(1);
        (0..panels)
            .step_by(size)
            .map(move |first| first..panels.min(first + size))
    }

    /// Packs `panels`, if they have to be, in place of those before.
    ///
    /// # Safety
    /// The matrix has as many lines and values as was said.
    pub unsafe fn prepare(&mut self, panels: Range<usize>) -> TractResult<()> {
        if !self.is_to_pack || panels.is_empty() {
            return Ok(());
        }
        self.packed.clear();
        self.packed.reserve_exact(panels.len() * self.stride);
        let mut to = self.packed.as_mut_ptr();
        self.first = to.cast_const().wrapping_sub(panels.start * self.stride);
        // SAFETY: there is room for all panels.
        unsafe {
            match self.matrix {
                Matrix::Value(value) => {
                    for panel in panels {
                        value.panel_bytes(panel, Some(to.cast()))?;
                        to = to.add(self.stride);
                    }
                }
                Matrix::Strided {
                    first,
                    stride,
                    depth_stride,
                } => {
                    let lines = Lines {
                        first,
                        count: self.count,
                        stride,
                        depth: self.depth,
                        depth_stride,
                    };
                    self.pack_lines(&lines, panels, to);
                }
                Matrix::Windows { first, windows } => {
                    for panel in panels {
                        let at = self.start(panel);
                        let range = at..self.count.min(at + self.width);
                        pack_windows(windows, first, range, self.width, to);
                        to = to.add(self.stride);
                    }
                }
            }
        }
        Ok(())
    }

    /// The last panel, if it begins with lines of the one before, is packed by itself.
    ///
    /// # Safety
    /// There are as many lines, and there is room for all panels, of which there is one.
    unsafe fn pack_lines(&self, lines: &Lines, panels: Range<usize>, to: *mut f32) {
        let last = panels.end - 1;
        let end = if self.repeated(last) == 0 {
            panels.end
        } else {
            last
        };
        let parts = [panels.start..end, end..panels.end];
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let at = self.start(part.start);
            // SAFETY: as for this function.
            unsafe {
                let lines = Lines {
                    first: lines.first.offset(lines.stride * at as isize),
                    count: (self.width * part.len()).min(lines.count - at),
                    ..*lines
                };
                let to = to.add((part.start - panels.start) * self.stride);
                pack(&lines, self.width, to);
            }
        }
    }

    /// Must have been prepared.
    pub fn panel(&self, index: usize) -> *const f32 {
        self.first.wrapping_add(index * self.stride)
    }
}
