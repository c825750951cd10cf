//! One file per page: reads the address, asks the source, fills the template.

pub mod advisories;
pub mod atlas;
pub mod children;
pub mod compare;
pub mod edges;
pub mod errors;
pub mod families;
pub mod home;
pub mod icicle;
pub mod jobs;
pub mod kinship;
pub mod lineage;
pub mod login;
pub mod merges;
pub mod model;
pub mod models;
pub mod reports;
pub mod transfers;

use actix_web::{HttpResponse, web};

use crate::source;

/// What the pages take their data from.
pub type Data = web::Data<dyn source::Source>;
/// What a page returns.
pub type Answer = source::Result<HttpResponse>;
