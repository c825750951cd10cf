//! `stemma tree` and `stemma provenance`: where a model comes from.

use std::path::Path;

use analysis::lineage::{Sieve, SubtreeOptions};
use domain::{Class, Limits};

use super::Context;
use crate::{
    cli::{TreeArgs, TreeFormat},
    exit::Failure,
    output::{self, Progress},
    wiring,
};

/// Prints how a model was made: one of the registry, or one in a folder that this program wrote.
pub async fn provenance(context: Context, id: &str) -> Result<(), Failure> {
    if Path::new(id).is_dir() {
        return in_folder(id, &context.config.limits);
    }
    let registry = wiring::open(&context.config).await?;
    let row = registry.store.model_by_id(id).await?;
    let record = match row.and_then(|row| row.revision) {
        Some(revision) => registry.store.provenance_of(revision).await?,
        None => None,
    };
    let Some(record) = record else {
        let told = format!("nothing is known here of how `{id}` was made");
        return Err(Failure::new("not_found", Class::NotFound, told));
    };
    output::json(&record);
    Ok(())
}

fn in_folder(folder: &str, limits: &Limits) -> Result<(), Failure> {
    let Some(record) = jobs::provenance_in(Path::new(folder), limits)? else {
        let told = format!("nothing in `{folder}` says how it was made");
        return Err(Failure::new("not_found", Class::NotFound, told));
    };
    output::json(&record);
    Ok(())
}

/// Says of how many models only sketches were compared.
fn still_due(models: usize) -> String {
    let whose = match models {
        1 => "1 model rests on sketches; a worker reads its".to_owned(),
        more => format!("{more} models rests on sketches; a worker reads their"),
    };
    format!("the lineage of {whose} weights, or `stemma lineage --refresh`")
}

/// Prints the tree around a model.
pub async fn run(context: Context, args: TreeArgs) -> Result<(), Failure> {
    let TreeArgs { id, down, up, limit, filter, format } = args;
    if context.json && !format.is_json() {
        let told = "--json prints one JSON document; of --format there go with it json, graph, prov, cyclonedx and spdx";
        return Err(Failure::usage(told));
    }
    let sieve = Sieve::read([&filter.relation, &filter.licence, &filter.size]).map_err(jobs::refused)?;
    let named = wiring::named(&context.config, &id).await?;
    let (registry, row) = named.known();
    let due = registry.store.due().await?.looks.len();
    if due > 0 && context.progress == Progress::Shown {
        eprintln!("{}", still_due(due));
    }
    let (up, down) = (up.unwrap_or(usize::MAX), down.unwrap_or(usize::MAX));
    if let Some(format) = format.export() {
        let pedigree = jobs::pedigree(registry, row, (up, down)).await?;
        output::raw(&analysis::export::write(&pedigree, format));
        return Ok(());
    }
    let forest = registry.forests.current().await?;
    let cap = limit.unwrap_or(registry.limits.tree_nodes_max).clamp(1, registry.limits.traversal);
    let options = SubtreeOptions { up, down, cap, sieve, groups: None };
    let mut tree = forest.subtree(row.id, &options);
    jobs::mark_known(registry, &forest, &mut tree).await?;
    if context.json || format == TreeFormat::Json {
        output::json(&api::LineageView::of(tree, &forest, row.id));
    } else {
        output::line(tree.to_text().trim_end());
        if let Some(growth) = forest.growth(row.id).to_text() {
            output::line(format!("({growth})"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::still_due;

    #[test]
    fn one_model_is_not_several() {
        let one = "the lineage of 1 model rests on sketches; a worker reads its weights, or `stemma lineage --refresh`";
        assert_eq!(still_due(1), one);
        assert!(still_due(2).starts_with("the lineage of 2 models rests on sketches; a worker reads their"));
    }
}
