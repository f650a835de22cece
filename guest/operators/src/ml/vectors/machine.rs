//! Support vectors and the kernels that compare a row with them.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attributes;

/// Vectors of one length, each to be compared with a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    kernel: Kernel,
    /// Row-major, at least one.
    vectors: Vec<f32>,
    pub n_features: usize,
}

// Floats are compared only to tell equal nodes from different ones.
impl Eq for Machine {}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kernel {
    Linear,
    Polynomial { gamma: f32, bias: f32, degree: f32 },
    Radial { gamma: f32 },
    Sigmoid { gamma: f32, bias: f32 },
}

impl Machine {
    /// The machine of `n_vectors` support vectors that the attributes of `node` describe.
    pub fn parse(node: &NodeProto, n_vectors: usize) -> TractResult<Machine> {
        let vectors: Vec<f32> = node.get_attr_vec("support_vectors")?;
        Machine::new(
            node,
            "support_vectors",
            Kernel::parse(node)?,
            vectors,
            n_vectors,
        )
    }

    /// The coefficients of `n_sums` weighted sums, in place of support vectors.
    pub fn linear(node: &NodeProto, n_sums: usize) -> TractResult<Machine> {
        let coefficients: Vec<f32> = node.get_attr_vec("coefficients")?;
        Machine::new(node, "coefficients", Kernel::Linear, coefficients, n_sums)
    }

    fn new(
        node: &NodeProto,
        attribute: &str,
        kernel: Kernel,
        vectors: Vec<f32>,
        n_vectors: usize,
    ) -> TractResult<Machine> {
        let whole = !vectors.is_empty() && vectors.len().is_multiple_of(n_vectors);
        node.expect_attr(attribute, whole, || {
            format!(
                "the same number for each of {n_vectors} vectors, got {}",
                vectors.len()
            )
        })?;
        Ok(Machine {
            kernel,
            n_features: vectors.len() / n_vectors,
            vectors,
        })
    }

    /// `row` compared with each vector. The row has `n_features` values.
    pub fn compare<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        let vectors = self.vectors.chunks_exact(self.n_features);
        vectors.map(|vector| self.kernel.compare(row, vector))
    }

    /// The rows of a table [rows, features], or of one dimension alone: a single row.
    pub fn rows<'a>(&self, shape: &[usize], values: &'a [f32]) -> TractResult<Vec<&'a [f32]>> {
        let (n_rows, n_columns) = crate::ml::rows_and_columns(shape, self.n_features)?;
        ensure!(
            n_columns == self.n_features,
            "{} features are wanted, got {n_columns}",
            self.n_features
        );
        let rows: Vec<&[f32]> = values.chunks_exact(n_columns).collect();
        ensure!(rows.len() == n_rows, "the table is cut off");
        Ok(rows)
    }
}

impl Kernel {
    fn parse(node: &NodeProto) -> TractResult<Kernel> {
        let parameters: Vec<f32> = attributes::list(node, "kernel_params")?;
        let [gamma, bias, degree] = match parameters[..] {
            [] => [0.0; 3],
            [gamma, bias, degree] => [gamma, bias, degree],
            _ => node.bail_attr("kernel_params", "gamma, coef0 and degree are wanted")?,
        };
        Ok(match node.get_attr_opt::<&str>("kernel_type")? {
            None | Some("LINEAR") => Kernel::Linear,
            Some("POLY") => Kernel::Polynomial {
                gamma,
                bias,
                degree,
            },
            Some("RBF") => Kernel::Radial { gamma },
            Some("SIGMOID") => Kernel::Sigmoid { gamma, bias },
            Some(unknown) => node.bail_attr(
                "kernel_type",
                &format!("`{unknown}` is none of LINEAR, POLY, RBF or SIGMOID"),
            )?,
        })
    }

    fn compare(self, row: &[f32], vector: &[f32]) -> f32 {
        match self {
            Kernel::Linear => dot(row, vector),
            Kernel::Polynomial {
                gamma,
                bias,
                degree,
            } => power(gamma * dot(row, vector) + bias, degree),
            Kernel::Radial { gamma } => (-gamma * distance(row, vector)).exp(),
            Kernel::Sigmoid { gamma, bias } => (gamma * dot(row, vector) + bias).tanh(),
        }
    }
}

fn power(base: f32, degree: f32) -> f32 {
    if degree.fract() == 0.0 && degree.abs() < 64.0 {
        base.powi(degree as i32)
    } else {
        base.powf(degree)
    }
}

fn dot(row: &[f32], vector: &[f32]) -> f32 {
    sum_of(row, vector, |x, v| x * v)
}

/// The squared Euclidean distance.
fn distance(row: &[f32], vector: &[f32]) -> f32 {
    sum_of(row, vector, |x, v| (x - v) * (x - v))
}

/// In four sums, which are closer to the truth than one and fill a vector register.
fn sum_of(row: &[f32], vector: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    const LANES: usize = 4;
    let (rows, row_rest) = row.as_chunks::<LANES>();
    let (vectors, vector_rest) = vector.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for (row, vector) in rows.iter().zip(vectors) {
        for lane in 0..LANES {
            sums[lane] += term(row[lane], vector[lane]);
        }
    }
    let rest = row_rest.iter().zip(vector_rest);
    rest.fold(sums.iter().sum(), |sum, (&x, &v)| sum + term(x, v))
}
