//! What a merge method needs at hand.

pub(in crate::merge) use std::sync::Arc;

pub(in crate::merge) use crate::{
    computed::refused,
    merge::{
        BaseNeed, Combine, Law, Method, MethodSpec, ModelCount, Operands, ParamSpec, Params,
        blend::{Deltas, Factored, Told},
        matrix::{Dense, Matrix, Whole, area, multiply},
        operands::Block,
        select::{By, Ranked, wanted},
        sparse::{DENSITY, EPSILON, GAMMA, RESCALE_MODE, RESCALE_NORM, SCOPE, Sparsifier, TRIM_SCOPE},
        spec::{Beside, Caution, Found, Refusal, Survey},
        spectral::{is_matrix, mean, read_delta, sides},
        sphere::{Blend, Common, Products, Vectors, geometry},
        task_vectors::{
            Consensus, DIVISOR, ELECTION, LAMBDA, NORMALIZE, RESCALE, TaskVectors, WEIGHT, ZERO_SIGN,
            model_wide, no_divisor,
        },
    },
    trim::{Trim, magnitude},
};
