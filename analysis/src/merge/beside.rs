//! Files that a recipe names beside its models, such as importances: which of their tensors belong to which weights.

use weights::TensorInfo;

use super::{
    check::{Job, Scope, tied},
    spec::Beside,
};
use crate::computed::SourceTensor;

/// Of each model what its file holds for one tensor.
#[derive(Default)]
pub(super) struct Held {
    /// Read along with the models.
    pub along: Vec<SourceTensor>,
    /// Gram matrices, read whole.
    pub grams: Vec<SourceTensor>,
}

impl Job<'_> {
    /// What the files hold for the tensor `info` of the result; what they lack is a fault.
    pub fn beside(&mut self, info: &TensorInfo, scope: &Scope<'_>) -> Held {
        let (beside, inputs) = (self.method.beside(), self.inputs);
        if beside == Beside::Nothing {
            return Held::default();
        }
        let (mut found, mut lacking) = (Vec::new(), Vec::new());
        for (seat, entry) in &scope.members.merged {
            // A parameter that names no file is told as missing.
            let Some((what, file)) = entry.and_then(|entry| entry.files().next()) else { continue };
            let Some(input) = inputs.get(file) else {
                self.once(
                    file,
                    "/models",
                    format!("`{file}`, the {what} of `{}`, is not among the inputs", seat.label),
                );
                continue;
            };
            let name = scope.section.input(seat, &info.name);
            let index = input.source.position(&name).or_else(|| tied(&name, &*input.source));
            let about = format!("`{file}`, the {what} of `{}`,", seat.label);
            match index {
                None => lacking.push(about),
                Some(index) => {
                    let theirs = &input.source.tensors()[index];
                    let wanted = match (beside, info.shape.as_slice()) {
                        (Beside::Gram, [_, columns]) => vec![*columns, *columns],
                        _ => info.shape.clone(),
                    };
                    if theirs.shape != wanted || !theirs.dtype.is_float() {
                        let (dtype, shape) = (theirs.dtype, &theirs.shape);
                        self.fault(
                            &info.name,
                            format!("{about} holds {dtype} {shape:?}; a float of {wanted:?} is needed"),
                        );
                    }
                    found.push(SourceTensor { label: file.to_owned(), source: input.source.clone(), index });
                }
            }
        }
        let needed = beside == Beside::Alike || !found.is_empty();
        for about in lacking.into_iter().filter(|_| needed) {
            self.fault(&info.name, format!("{about} has no such tensor"));
        }
        match beside {
            Beside::Gram if info.shape.len() == 2 => Held { grams: found, ..Held::default() },
            Beside::Gram | Beside::Nothing => Held::default(),
            Beside::Alike => Held { along: found, ..Held::default() },
        }
    }
}
