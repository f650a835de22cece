//! Modelets small enough to be written by hand: no engine, no weights, compiled in milliseconds.

use std::fmt::Write as _;

use modelet_artifact::{Metadata, embed};
use modelet_protocol::{Datatype, Dimension, Signature, TensorSpec};

/// What happens in `infer`. The result lies at address 16: its tag, then what it carries.
#[derive(Clone, Copy)]
pub enum Behaviour {
    /// The inputs are the outputs.
    Echo,
    /// The error `model-failed("odd")`.
    Fail,
    Trap,
    /// Leaves the message `odd!` where a panic does, then traps.
    Panic,
    /// Runs until it is stopped.
    Spin,
    /// Asks for memory until there is no more, then traps.
    Grow,
    /// Traps unless the first number is zero, which is echoed.
    TrapUnlessZero,
    /// As `Echo`, but takes milliseconds unless the first number is zero.
    SlowUnlessZero,
    /// Answers NaN in place of the first number, an FP32, unless that is zero.
    NanUnlessZero,
    /// Doubles the first number, an FP32.
    Double,
}

const ECHO: &str = "(i32.store (i32.const 16) (i32.const 0))
                 (i32.store (i32.const 20) (local.get 0))
                 (i32.store (i32.const 24) (local.get 1))
                 (i32.const 16)";

/// Where the data of the first tensor lies.
const DATA: &str = "(i32.load offset=20 (local.get 0))";

impl Behaviour {
    fn body(self) -> String {
        let unless_zero = |what: &str| format!("(if (i32.load {DATA}) (then {what})) {ECHO}");
        let text = match self {
            Behaviour::Echo => ECHO,
            Behaviour::TrapUnlessZero => return unless_zero("unreachable"),
            Behaviour::SlowUnlessZero => {
                return unless_zero(
                    "(local.set 4 (i32.const 20000000))
                     (loop $again
                       (br_if $again (local.tee 4 (i32.sub (local.get 4) (i32.const 1)))))",
                );
            }
            Behaviour::NanUnlessZero => {
                return unless_zero(&format!("(f32.store {DATA} (f32.const nan))"));
            }
            Behaviour::Double => {
                let product = format!("(f32.mul (f32.load {DATA}) (f32.const 2))");
                return format!("(f32.store {DATA} {product}) {ECHO}");
            }
            Behaviour::Fail => {
                "(i32.store (i32.const 16) (i32.const 1))
                 (i32.store (i32.const 20) (i32.const 1))
                 (i32.store (i32.const 24) (i32.const 8))
                 (i32.store (i32.const 28) (i32.const 3))
                 (i32.const 16)"
            }
            Behaviour::Trap => "unreachable",
            Behaviour::Panic => {
                "(i32.store (i32.const 2048) (i32.const 4))
                 (i32.store (i32.const 2052) (i32.const 0x2164646f))
                 unreachable"
            }
            Behaviour::Spin => "(loop $again (br $again)) unreachable",
            Behaviour::Grow => {
                "(loop $again
                   (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
                 unreachable"
            }
        };
        text.to_owned()
    }
}

/// One input and one output named `x`, of any shape of one dimension.
pub fn vector(name: &str, datatype: Datatype, behaviour: Behaviour) -> Vec<u8> {
    artifact(
        name,
        datatype,
        &[Dimension::Symbolic("n".to_owned())],
        behaviour,
    )
}

/// One input and one output named `x`.
pub fn artifact(
    name: &str,
    datatype: Datatype,
    shape: &[Dimension],
    behaviour: Behaviour,
) -> Vec<u8> {
    let spec = TensorSpec {
        name: "x".to_owned(),
        datatype,
        shape: shape.to_vec(),
    };
    let core = core(&spec, behaviour);
    let component = wat::parse_str(COMPONENT.replace("CORE", &core)).unwrap();
    let metadata = Metadata {
        name: name.to_owned(),
        version: None,
        labels: Default::default(),
        signature: Signature {
            inputs: vec![spec.clone()],
            outputs: vec![spec],
        },
        source_sha256: "0".repeat(64),
        engine: "by hand".to_owned(),
        tool: "by hand".to_owned(),
        panic_message_address: 2048,
    };
    embed(&component, &metadata)
}

/// Addresses: 8 the error's text, 16 the result of `infer`, 64 the signature, 128 its only tensor,
/// 192 its shape, 1024 the names of dimensions,
/// 2048 a panic's message, 65536 what the host writes.
fn core(spec: &TensorSpec, behaviour: Behaviour) -> String {
    let mut tensor = words(&[160, 1]);
    tensor.extend(words(&[position(spec.datatype)]));
    tensor.extend(words(&[192, spec.shape.len() as u32]));
    let (mut shape, mut symbols) = (Vec::new(), Vec::new());
    for dimension in &spec.shape {
        match dimension {
            Dimension::Fixed(size) => {
                shape.extend(words(&[0, 0]));
                shape.extend(size.to_le_bytes());
            }
            Dimension::Symbolic(symbol) => {
                let place = 1024 + symbols.len() as u32;
                shape.extend(words(&[1, 0, place, symbol.len() as u32]));
                symbols.extend(symbol.bytes());
            }
        }
    }
    format!(
        r#"(memory (export "memory") 512)
        (data (i32.const 8) "odd")
        (data (i32.const 64) "{signature}")
        (data (i32.const 128) "{tensor}")
        (data (i32.const 160) "x")
        (data (i32.const 192) "{shape}")
        (data (i32.const 1024) "{symbols}")
        (global $next (mut i32) (i32.const 65536))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
          (local $place i32)
          (local.set $place (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
          (global.set $next (i32.add (local.get $place) (local.get 3)))
          (local.get $place))
        (func (export "describe") (result i32) (i32.const 64))
        (func (export "infer") (param i32 i32 i32 i32) (result i32) (local i32) {body})"#,
        signature = quoted(&words(&[128, 1, 128, 1])),
        tensor = quoted(&tensor),
        shape = quoted(&shape),
        symbols = quoted(&symbols),
        body = behaviour.body(),
    )
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn quoted(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:02x}").unwrap();
        text
    })
}

/// The place in the contract's enumeration.
fn position(datatype: Datatype) -> u32 {
    let found = DATATYPES.iter().position(|other| *other == datatype);
    found.unwrap() as u32
}

/// All of them, in the contract's order.
pub const DATATYPES: [Datatype; 13] = [
    Datatype::Bool,
    Datatype::Uint8,
    Datatype::Uint16,
    Datatype::Uint32,
    Datatype::Uint64,
    Datatype::Int8,
    Datatype::Int16,
    Datatype::Int32,
    Datatype::Int64,
    Datatype::Fp16,
    Datatype::Fp32,
    Datatype::Fp64,
    Datatype::Bytes,
];

/// A component has to export its types under names; the inner component gives them theirs.
const COMPONENT: &str = r#"(component
  (core module $module CORE)
  (core instance $core (instantiate $module))
  (type $datatype (enum "bool" "uint8" "uint16" "uint32" "uint64" "int8" "int16" "int32" "int64"
    "fp16" "fp32" "fp64" "bytes"))
  (type $dimension (variant (case "fixed" u64) (case "symbolic" string)))
  (type $spec (record (field "name" string) (field "datatype" $datatype)
    (field "shape" (list $dimension))))
  (type $signature (record (field "inputs" (list $spec)) (field "outputs" (list $spec))))
  (type $tensor (record (field "name" string) (field "datatype" $datatype)
    (field "shape" (list u64)) (field "data" (list u8))))
  (type $error (variant (case "invalid-input" string) (case "model-failed" string)))
  (func $describe (result $signature)
    (canon lift (core func $core "describe") (memory (core memory $core "memory"))))
  (func $infer (param "inputs" (list $tensor)) (param "outputs" (list string))
    (result (result (list $tensor) (error $error)))
    (canon lift (core func $core "infer") (memory (core memory $core "memory"))
      (realloc (core func $core "realloc"))))
  (component $names
    (type $t0 (enum "bool" "uint8" "uint16" "uint32" "uint64" "int8" "int16" "int32" "int64"
      "fp16" "fp32" "fp64" "bytes"))
    (import "t-datatype" (type $datatype (eq $t0)))
    (type $t1 (variant (case "fixed" u64) (case "symbolic" string)))
    (import "t-dimension" (type $dimension (eq $t1)))
    (type $t2 (record (field "name" string) (field "datatype" $datatype)
      (field "shape" (list $dimension))))
    (import "t-spec" (type $spec (eq $t2)))
    (type $t3 (record (field "inputs" (list $spec)) (field "outputs" (list $spec))))
    (import "t-signature" (type $signature (eq $t3)))
    (type $t4 (record (field "name" string) (field "datatype" $datatype)
      (field "shape" (list u64)) (field "data" (list u8))))
    (import "t-tensor" (type $tensor (eq $t4)))
    (type $t5 (variant (case "invalid-input" string) (case "model-failed" string)))
    (import "t-error" (type $error (eq $t5)))
    (import "f-describe" (func $describe (result $signature)))
    (import "f-infer" (func $infer (param "inputs" (list $tensor)) (param "outputs" (list string))
      (result (result (list $tensor) (error $error)))))
    (export $datatype' "datatype" (type $datatype))
    (export $dimension' "dimension" (type $dimension))
    (type $u2 (record (field "name" string) (field "datatype" $datatype')
      (field "shape" (list $dimension'))))
    (export $spec' "tensor-spec" (type $spec) (type (eq $u2)))
    (type $u3 (record (field "inputs" (list $spec')) (field "outputs" (list $spec'))))
    (export $signature' "signature" (type $signature) (type (eq $u3)))
    (type $u4 (record (field "name" string) (field "datatype" $datatype')
      (field "shape" (list u64)) (field "data" (list u8))))
    (export $tensor' "tensor" (type $tensor) (type (eq $u4)))
    (export $error' "error" (type $error))
    (export "describe" (func $describe) (func (result $signature')))
    (export "infer" (func $infer)
      (func (param "inputs" (list $tensor')) (param "outputs" (list string))
        (result (result (list $tensor') (error $error'))))))
  (instance $inference (instantiate $names
    (with "t-datatype" (type $datatype))
    (with "t-dimension" (type $dimension))
    (with "t-spec" (type $spec))
    (with "t-signature" (type $signature))
    (with "t-tensor" (type $tensor))
    (with "t-error" (type $error))
    (with "f-describe" (func $describe))
    (with "f-infer" (func $infer))))
  (export "modelet:model/inference@0.1.0" (instance $inference)))"#;
