//! Our kernels beside plain arithmetic, inside WebAssembly.

#![cfg(target_family = "wasm")]
#![allow(clippy::unwrap_used, reason = "a panic is how a check fails")]

use tract_data::prelude::{DatumType, Tensor, tensor1};
use tract_linalg::BinOp;
use tract_linalg::mmm::{AsInputValue, FusedSpec, MatMatMul};
use tract_linalg::{isa, mmm_routines, mmm_tiers};

/// Values between −1 and 1 that repeat late.
struct Numbers(u32);

impl Numbers {
    fn take(&mut self, count: usize) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }
}

/// What follows a product, and what it makes of the number in this row and column.
struct Then {
    name: &'static str,
    spec: fn(&Operands) -> FusedSpec<'_>,
    change: fn(&Operands, f32, usize, usize) -> f32,
}

struct Operands {
    scalar: Tensor,
    rows: Tensor,
    columns: Tensor,
    numbers: (f32, Vec<f32>, Vec<f32>),
}

impl Operands {
    fn new(m: usize, n: usize, numbers: &mut Numbers) -> Operands {
        let (scalar, rows, columns) = (numbers.take(1)[0], numbers.take(m), numbers.take(n));
        Operands {
            scalar: Tensor::from(scalar),
            rows: tensor1(&rows),
            columns: tensor1(&columns),
            numbers: (scalar, rows, columns),
        }
    }
}

macro_rules! then {
    ($spec:ident, $operand:ident, $op:ident, $number:expr, $change:expr) => {
        Then {
            name: concat!(stringify!($spec), " ", stringify!($op)),
            spec: |it| FusedSpec::$spec(then!(@ $spec, it.$operand), BinOp::$op),
            change: |it, value, row, column| {
                let number: fn(&Operands, usize, usize) -> f32 = $number;
                let change: fn(f32, f32) -> f32 = $change;
                change(number(it, row, column), value)
            },
        }
    };
    (@ BinScalar, $it:ident . $operand:ident) => { &$it.$operand };
    (@ $spec:ident, $it:ident . $operand:ident) => { $it.$operand.view() };
}

macro_rules! everywhere {
    ($op:ident, $change:expr) => {
        [
            then!(BinScalar, scalar, $op, |it, _, _| it.numbers.0, $change),
            then!(
                BinPerRow,
                rows,
                $op,
                |it, row, _| it.numbers.1[row],
                $change
            ),
            then!(
                BinPerCol,
                columns,
                $op,
                |it, _, column| it.numbers.2[column],
                $change
            ),
        ]
    };
}

fn all_that_follows() -> Vec<Then> {
    let mut all = vec![Then {
        name: "LeakyRelu",
        spec: |it| FusedSpec::LeakyRelu(&it.scalar),
        change: |it, value, _, _| {
            if value > 0.0 {
                value
            } else {
                value * it.numbers.0
            }
        },
    }];
    all.extend(everywhere!(Min, f32::min));
    all.extend(everywhere!(Max, f32::max));
    all.extend(everywhere!(Add, |number, value| number + value));
    all.extend(everywhere!(Mul, |number, value| number * value));
    all.extend(everywhere!(Sub, |number, value| number - value));
    all.extend(everywhere!(SubF, |number, value| value - number));
    all
}

/// One product with what follows it, into a matrix whose rows or columns lie side by side.
fn check(
    kernel: &dyn MatMatMul,
    (m, k, n): (usize, usize, usize),
    then: Option<&Then>,
    by_row: bool,
) {
    let mut numbers = Numbers((m * 10_000 + k * 100 + n) as u32);
    let (a, b) = (numbers.take(m * k), numbers.take(k * n));
    let operands = Operands::new(m, n, &mut numbers);
    let packed = &kernel.packings()[0];
    let a_tensor = Tensor::from_shape(&[m, k], &a).unwrap();
    let b_tensor = Tensor::from_shape(&[k, n], &b).unwrap();
    let shape = if by_row { [m, n] } else { [n, m] };
    let mut c = Tensor::zero_dt(DatumType::F32, &shape).unwrap();
    let (rows, columns) = if by_row { (0, 1) } else { (1, 0) };
    // SAFETY: the packings are the kernel's, and the matrix has m rows and n columns.
    unsafe {
        let store = kernel.c_view(Some(rows), Some(columns));
        let mut ops = vec![FusedSpec::AddMatMul {
            a: AsInputValue::Owned(packed.0.prepare_one(&a_tensor, 1, 0).unwrap()),
            b: AsInputValue::Owned(packed.1.prepare_one(&b_tensor, 0, 1).unwrap()),
            packing: 0,
        }];
        ops.extend(then.map(|then| (then.spec)(&operands)));
        ops.push(FusedSpec::Store(store.wrap(&c.view_mut())));
        kernel.run(m, n, &ops).unwrap();
    }
    let plain = c.try_as_plain_ram().unwrap();
    let found = plain.as_slice::<f32>().unwrap();
    let what = then.map_or("nothing", |then| then.name);
    for row in 0..m {
        for column in 0..n {
            let product: f64 = (0..k)
                .map(|step| f64::from(a[row * k + step]) * f64::from(b[step * n + column]))
                .sum();
            let expected = match then {
                Some(then) => (then.change)(&operands, product as f32, row, column),
                None => product as f32,
            };
            let at = if by_row {
                row * n + column
            } else {
                column * m + row
            };
            let difference = (found[at] - expected).abs();
            assert!(
                difference <= 1e-5 * (1.0 + k as f32),
                "{m}×{k}×{n}, then {what}, by row {by_row}: {} and not {expected} at {row}, {column}",
                found[at]
            );
        }
    }
}

/// The kernel with this name, which is registered in front of tract's.
fn kernel(name: &str) -> Box<dyn MatMatMul> {
    let tiers = mmm_tiers::for_isa(&isa::native());
    let names: Vec<&str> = tiers.iter().map(|tier| tier.name).collect();
    assert_eq!(names[..2], ["modelet-vector", "modelet"]);
    let mut kernels = mmm_routines::declared().map(|routine| (routine.make)());
    kernels.find(|it| it.name() == name).unwrap()
}

/// Checks every edge of a tile, every length of a round, and everything that may follow a product. Traps
/// where something is wrong.
#[unsafe(no_mangle)]
pub extern "C" fn check_products() -> u32 {
    modelet_kernels::keep();
    let kernel = kernel("modelet_f32_8x8");
    let mut checked = 0;
    for m in 1..=17 {
        for n in 1..=17 {
            for k in [0, 1, 2, 15, 16, 17, 33] {
                for by_row in [true, false] {
                    check(&*kernel, (m, k, n), None, by_row);
                    checked += 1;
                }
            }
        }
    }
    for then in all_that_follows() {
        for shape in [(8, 3, 8), (16, 20, 24), (5, 16, 9)] {
            for by_row in [true, false] {
                check(&*kernel, shape, Some(&then), by_row);
                checked += 1;
            }
        }
    }
    checked
}

/// As [`check_products`], for products with a vector.
#[unsafe(no_mangle)]
pub extern "C" fn check_vectors() -> u32 {
    modelet_kernels::keep();
    let kernel = kernel("modelet_f32_32x1");
    let mut checked = 0;
    for m in 1..=70 {
        for k in [0, 1, 2, 15, 16, 17, 33, 100] {
            for by_row in [true, false] {
                check(&*kernel, (m, k, 1), None, by_row);
                checked += 1;
            }
        }
    }
    for then in all_that_follows() {
        for m in [32, 45] {
            check(&*kernel, (m, 20, 1), Some(&then), true);
            checked += 1;
        }
    }
    checked
}
