//! The merge methods: one file each, one line here.

mod arcee_fusion;
mod breadcrumbs;
mod breadcrumbs_ties;
mod cabs;
#[cfg(test)]
pub(in crate::merge) mod clipped;
mod consensus_ta;
mod dare_linear;
mod dare_ties;
mod della;
mod della_linear;
mod emr;
mod importance_weighted;
mod iso_c;
mod karcher;
mod linear;
mod localize_stitch;
mod magmax;
mod model_stock;
mod multislerp;
mod nearswap;
mod nuslerp;
mod passthrough;
mod prelude;
mod ram;
mod ramplus_tl;
mod regmean;
mod sce;
mod slerp;
mod task_arithmetic;
mod ties;
mod tsv_m;
mod wudi;

use super::Method;

/// Gives one model back.
pub(super) const UNCHANGED: &dyn Method = &passthrough::Passthrough;

/// Every merge method.
pub const METHODS: &[&dyn Method] = &[
    &linear::Linear,
    &slerp::Slerp,
    &nuslerp::Nuslerp,
    &multislerp::Multislerp,
    &karcher::Karcher,
    &task_arithmetic::TASK_ARITHMETIC,
    &ties::TIES,
    &dare_linear::DARE_LINEAR,
    &dare_ties::DARE_TIES,
    &della_linear::DELLA_LINEAR,
    &della::DELLA,
    &breadcrumbs::BREADCRUMBS,
    &breadcrumbs_ties::BREADCRUMBS_TIES,
    &model_stock::ModelStock,
    &sce::Sce,
    &ram::Ram,
    &ramplus_tl::RamPlus,
    &nearswap::Nearswap,
    &arcee_fusion::ArceeFusion,
    &passthrough::Passthrough,
    &cabs::Cabs,
    &consensus_ta::ConsensusTa,
    &localize_stitch::LocalizeStitch,
    &magmax::MagMax,
    &iso_c::IsoC,
    &tsv_m::TsvM,
    &wudi::Wudi,
    &emr::Emr,
    &importance_weighted::ImportanceWeighted,
    &regmean::RegMean,
];
