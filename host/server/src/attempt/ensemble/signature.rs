//! What an ensemble takes and gives, from what its members do.

use std::sync::Arc;

use modelet_policy::ensemble::{Combine, Ensemble, Member};
use modelet_policy::versions;
use modelet_protocol::{Dimension, Signature, TensorSpec};

use super::combine::is_float;
use crate::registry::{Models, Ready, Work};

pub fn of(ensemble: &Ensemble, models: &Models) -> Result<Signature, String> {
    let mut present = Vec::new();
    for member in &ensemble.members {
        match find(member, models) {
            Ok(ready) => present.push(ready),
            Err(_) if ensemble.may_skip() => {}
            Err(reason) => return Err(reason),
        }
    }
    let Some((first, others)) = present.split_first() else {
        return Err("no member is ready".to_owned());
    };
    let mut signature = first.signature().clone();
    for other in others {
        narrow(&mut signature.inputs, other)?;
    }
    let combined = match &ensemble.combine {
        Combine::Stacking(combiner) => combined(&*find(combiner, models)?)?,
        _ => common(&signature.outputs, others),
    };
    let has = |spec: &TensorSpec| {
        let is_kind = match ensemble.combine {
            Combine::Vote => !is_float(spec.datatype),
            _ => true,
        };
        is_kind && ensemble.has_output(&spec.name)
    };
    signature.outputs = combined.into_iter().filter(has).collect();
    if let Some(name) = ensemble.outputs.iter().find(|name| {
        let is_it = |spec: &TensorSpec| spec.name == **name;
        !signature.outputs.iter().any(is_it)
    }) {
        return Err(format!("its members have no output `{name}` in common"));
    }
    if signature.outputs.is_empty() {
        return Err("its members have no outputs in common that can be combined".to_owned());
    }
    Ok(signature)
}

/// The outputs of a combiner that can be given what members say.
fn combined(combiner: &Ready) -> Result<Vec<TensorSpec>, String> {
    match combiner.signature().inputs.as_slice() {
        [input] if is_float(input.datatype) && input.shape.len() == 2 => {
            Ok(combiner.signature().outputs.clone())
        }
        _ => Err(format!(
            "its combiner `{}` does not have one input of floats with two dimensions",
            combiner.model
        )),
    }
}

fn find(member: &Member, models: &Models) -> Result<Arc<Ready>, String> {
    let name = &member.model;
    let model = models.get(name);
    let model = model.ok_or_else(|| format!("there is no model `{name}`"))?;
    let version = member.version.or_else(|| {
        let ready = model.ready().map(|ready| ready.version);
        versions::default(&model.spec.versions, ready)
    });
    let mut ready = model.ready();
    let found = ready.find(|ready| Some(ready.version) == version);
    match found {
        Some(ready) if matches!(ready.work, Work::Ensemble(_)) => {
            Err(format!("its member `{name}` is an ensemble itself"))
        }
        Some(ready) => Ok(ready.clone()),
        None => Err(format!("its member `{name}` is not ready")),
    }
}

/// Leaves open only what this member leaves open too.
fn narrow(inputs: &mut [TensorSpec], other: &Ready) -> Result<(), String> {
    let theirs = &other.signature().inputs;
    let unlike = || {
        format!(
            "its member `{}` takes other inputs than the first",
            other.model
        )
    };
    if theirs.len() != inputs.len() {
        return Err(unlike());
    }
    for input in inputs {
        let its = theirs.iter().find(|its| its.name == input.name);
        let its = its.filter(|its| its.datatype == input.datatype);
        let its = its.filter(|its| its.shape.len() == input.shape.len());
        for (size, its) in input.shape.iter_mut().zip(&its.ok_or_else(unlike)?.shape) {
            match (&*size, its) {
                (Dimension::Fixed(size), Dimension::Fixed(its)) if size != its => {
                    return Err(unlike());
                }
                (Dimension::Symbolic(_), Dimension::Fixed(_)) => *size = its.clone(),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The outputs that all have, of the same datatype. A size in which they differ is open.
fn common(outputs: &[TensorSpec], others: &[Arc<Ready>]) -> Vec<TensorSpec> {
    let mut common = outputs.to_vec();
    for other in others {
        common.retain_mut(|output| {
            let theirs = &other.signature().outputs;
            let its = theirs.iter().find(|its| its.name == output.name);
            let its = its.filter(|its| its.datatype == output.datatype);
            let Some(its) = its.filter(|its| its.shape.len() == output.shape.len()) else {
                return false;
            };
            for (at, (size, its)) in output.shape.iter_mut().zip(&its.shape).enumerate() {
                if matches!((&*size, its), (Dimension::Fixed(size), Dimension::Fixed(its)) if size != its)
                {
                    *size = Dimension::Symbolic(format!("{}_{at}", output.name));
                }
            }
            true
        });
    }
    common
}
