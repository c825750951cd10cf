//! Families by size as the pages show them.

use ::web::{
    Failure,
    view::{
        AtlasPage, AtlasQuery, AtlasTile, ChildRow, ChildrenPage, ChildrenQuery, Family, FamilySlice, Name,
        Narrowing,
    },
};
use analysis::lineage::{KinQuery, Link};
use jobs::Registry;

use super::{Result, count, lineage};

/// Families of a range that get a tile of their own, and tiles for the rest of it.
const TILES: (usize, usize) = (120, 24);
/// A range of up to so many families is shown one by one.
const FEW: usize = 180;

/// A page of a model's children.
pub async fn children(
    registry: &Registry,
    name: &str,
    query: &ChildrenQuery,
) -> Result<Option<ChildrenPage>> {
    let Some(row) = registry.store.model_by_id(name).await? else { return Ok(None) };
    let forest = registry.forests.current().await.map_err(Failure::from)?;
    let wanted = KinQuery {
        sieve: lineage::sieve(&query.narrowing)?,
        text: query.text.clone(),
        after: query.cursor.as_deref().map(jobs::kin_cursor).transpose()?,
        limit: query.limit as usize,
    };
    let kin = forest.kin(row.id, &wanted);
    let listed: Vec<i64> = kin.links.iter().map(|link| link.id).collect();
    let contradicted = jobs::contradicted(registry, &listed).await?;
    let advised = jobs::advised(registry, &listed).await?;
    let child = |link: &Link| {
        let node = forest.node(link.id)?;
        Some(ChildRow {
            name: Name(node.name.to_owned()),
            relation: link.relation,
            ghost: node.ghost,
            inferred: link.proposed,
            contradicted: contradicted.contains(&(link.id, row.id)),
            elsewhere: !link.primary,
            advised: advised.contains(&link.id),
            license: node.license.map(str::to_owned),
            downloads: node.downloads.map(count),
            below: forest.family_size(link.id).saturating_sub(1),
        })
    };
    Ok(Some(ChildrenPage {
        groups: lineage::groups(&forest, row.id),
        items: kin.links.iter().filter_map(child).collect(),
        total: kin.total,
        next: kin.next.map(jobs::after_kin),
        name: Name(row.name),
    }))
}

/// A model with what is below it and passes a narrowing.
pub async fn family(
    registry: &Registry,
    name: &str,
    (levels, parts): (usize, u64),
    narrowing: &Narrowing,
) -> Result<Option<Family>> {
    let Some(row) = registry.store.model_by_id(name).await? else { return Ok(None) };
    let forest = registry.forests.current().await.map_err(Failure::from)?;
    let named = |id: i64| forest.node(id).map(|node| Name(node.name.to_owned()));
    let mut path: Vec<Name> = forest.path_from_root(row.id).into_iter().filter_map(named).collect();
    path.pop();
    // A model that the forest has not read yet stands alone.
    let sieve = lineage::sieve(narrowing)?;
    let sifted = match sieve.is_empty() {
        true => None,
        false => forest.sift(row.id, usize::MAX, &sieve),
    };
    let size = sifted.as_ref().map_or_else(|| forest.family_size(row.id), |sifted| sifted.kept).max(1);
    let held_back = sifted.as_ref().map_or(0, |sifted| sifted.hidden);
    let least = size.div_ceil(parts.max(1)).max(1);
    let slices = forest.slices(row.id, (levels, least), sifted.as_ref());
    let slices = slices.into_iter().filter_map(|slice| {
        let node = forest.node(slice.id)?;
        Some(FamilySlice {
            name: Name(node.name.to_owned()),
            ghost: node.ghost,
            relation: slice.relation,
            depth: slice.depth,
            start: slice.start,
            size: slice.size,
            small: (slice.small.branches, slice.small.models, slice.small.start),
        })
    });
    Ok(Some(Family { path, size, held_back, slices: slices.collect(), name: Name(row.name) }))
}

/// All families, or some of them.
pub async fn atlas(registry: &Registry, query: AtlasQuery) -> Result<AtlasPage> {
    let forest = registry.forests.current().await.map_err(Failure::from)?;
    let families = forest.families();
    let to = query.to.unwrap_or(families.len()).min(families.len());
    let from = query.from.min(to);
    let shown = if to - from <= FEW { to - from } else { TILES.0 };
    let mut tiles: Vec<AtlasTile> = families[from..from + shown]
        .iter()
        .filter_map(|family| lineage::row(&forest, family))
        .map(AtlasTile::Family)
        .collect();
    let band = |at: usize| (families[at].size as u64).ilog2();
    let rest = from + shown..to;
    let bands = !rest.is_empty() && (from == 0 || band(rest.start) != band(rest.end - 1));
    let part = rest.len().div_ceil(TILES.1).max(2);
    let mut start = rest.start;
    while start < to {
        // The sizes of many families are told apart first, then families of about one size.
        let end = match bands {
            true => (start..to).find(|at| band(*at) != band(start)).unwrap_or(to),
            false => (start + part).min(to),
        };
        let range = &families[start..end];
        let sizes = (range[0].size as u64, range[range.len() - 1].size as u64);
        let models = range.iter().map(|family| family.size as u64).sum();
        tiles.push(AtlasTile::Range { from: start, to: end, models, sizes });
        start = end;
    }
    let models: u64 = families.iter().map(|family| family.size as u64).sum();
    let mut sizes: Vec<(u64, u64, u64)> = Vec::new();
    // From the smallest families up, by powers of two.
    for family in families.iter().rev() {
        let low = 1_u64 << (family.size as u64).ilog2();
        match sizes.last_mut() {
            Some(last) if last.0 == low => last.2 += 1,
            _ => sizes.push((low, low * 2 - 1, 1)),
        }
    }
    Ok(AtlasPage {
        families: families.len() as u64,
        models,
        singletons: (forest.len() as u64).saturating_sub(models),
        from,
        to,
        tiles,
        sizes,
    })
}
