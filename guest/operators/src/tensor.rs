//! Operators on tensors of any kind.

mod cast;
mod compress;
mod constant_of_shape;
mod flatten;
mod log_sum_exp;
mod sequence_construct;
mod slice;
mod space_to_depth;

use tract_onnx::model::OnnxOpRegister;

pub fn register(operators: &mut OnnxOpRegister) {
    operators.insert("Cast", cast::cast);
    operators.insert("Compress", compress::compress);
    operators.insert("ConstantOfShape", constant_of_shape::constant_of_shape);
    operators.insert("Flatten", flatten::flatten);
    operators.insert("ReduceLogSumExp", log_sum_exp::log_sum_exp);
    operators.insert("SequenceConstruct", sequence_construct::sequence_construct);
    operators.insert("Slice", slice::slice);
    operators.insert("SpaceToDepth", space_to_depth::space_to_depth);
}
