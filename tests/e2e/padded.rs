//! What `build` does with a model that mirrors its borders, and so needs something to mirror.

use std::fs;

use crate::cli::command;

/// `y` is `x` with nine more values behind it.
fn mirrored(x: &[u8]) -> Vec<u8> {
    let pads = [
        number(1, 4),
        number(2, 7),
        part(7, &[0, 0, 0, 9]),
        part(8, b"pads"),
    ];
    let mode = [part(1, b"mode"), part(4, b"reflect"), number(20, 3)].concat();
    let node = [
        part(1, b"x"),
        part(1, b"pads"),
        part(2, b"y"),
        part(4, b"Pad"),
        part(5, &mode),
    ];
    let graph = [
        part(1, &node.concat()),
        part(2, b"mirrored"),
        part(5, &pads.concat()),
        x.to_vec(),
        part(12, &value("y", "after")),
    ];
    let opset = number(2, 17);
    [number(1, 8), part(7, &graph.concat()), part(8, &opset)].concat()
}

/// A tensor of `f32` with one row.
fn value(name: &str, columns: &str) -> Vec<u8> {
    let shape = [
        part(1, &number(1, 1)),
        part(1, &part(2, columns.as_bytes())),
    ]
    .concat();
    let tensor = [number(1, 1), part(2, &shape)].concat();
    [part(1, name.as_bytes()), part(2, &part(1, &tensor))].concat()
}

/// A field that is a number below 128, as protobuf has it.
fn number(field: u8, number: u8) -> Vec<u8> {
    let mut bytes = key(field, 0);
    bytes.push(number);
    bytes
}

/// A field of less than 128 bytes.
fn part(field: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = key(field, 2);
    bytes.push(content.len() as u8);
    bytes.extend(content);
    bytes
}

fn key(field: u8, kind: u8) -> Vec<u8> {
    match field < 16 {
        true => vec![field << 3 | kind],
        false => vec![field << 3 & 0x7f | 0x80 | kind, field >> 4],
    }
}

fn build(onnx: &[u8]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mirrored.onnx"), onnx).unwrap();
    let built = command(
        &["build", "mirrored.onnx", "-o", "mirrored.wasm"],
        folder.path(),
    )
    .output()
    .unwrap();
    (
        built.status.success(),
        String::from_utf8(built.stderr).unwrap(),
    )
}

#[test]
fn what_one_value_is_too_little_for_is_asked_for_more() {
    let (is_built, said) = build(&mirrored(&part(11, &value("x", "columns"))));
    assert!(is_built, "{said}");
}

#[test]
fn an_engine_that_stops_while_it_prepares_a_model_says_why() {
    let one = [
        number(1, 1),
        number(1, 1),
        number(2, 1),
        part(4, &[0; 4]),
        part(8, b"x"),
    ];
    let (is_built, said) = build(&mirrored(&part(5, &one.concat())));
    assert!(!is_built);
    assert!(said.contains("panicked at"), "{said}");
    assert!(said.contains("--input"), "{said}");
}
