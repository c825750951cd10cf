//! What the fake source says of families, reports and comparisons.

use domain::Relation;
use web::{Failure, Result, Source as _, view::*};

use super::Fake;

impl Fake {
    pub fn children_page(&self, name: &str, query: &ChildrenQuery) -> Result<Option<ChildrenPage>> {
        let row = |relation| ChildRow {
            name: self.name("org/child"),
            relation,
            ghost: true,
            inferred: true,
            elsewhere: true,
            license: Some(self.mark.clone()),
            downloads: 77,
            below: 12,
        };
        Ok((!name.starts_with("no/")).then(|| ChildrenPage {
            name: Name::from(name),
            groups: vec![ChildGroup { relation: Relation::Adapter, count: 412 }],
            items: query.relation.map_or(Vec::new(), |relation| vec![row(relation)]),
            total: 1,
            next: Some(format!("7.7&{}", self.mark)),
        }))
    }

    pub fn family_page(&self, name: &str, _detail: (usize, u64)) -> Result<Option<Family>> {
        let slice = |depth, start, size| FamilySlice {
            name: self.name(&format!("org/branch-{depth}")),
            ghost: depth == 1,
            relation: (depth > 0).then_some(Relation::Merge),
            depth,
            start,
            size,
            small: (20, size / 2, start + size / 2),
        };
        Ok((!name.starts_with("no/")).then(|| Family {
            name: Name::from(name),
            path: vec![self.name("org/root")],
            size: 9_000,
            slices: vec![slice(0, 0, 9_000), slice(1, 0, 4_000), slice(2, 0, 1_000)],
        }))
    }

    pub fn atlas_page(&self, query: AtlasQuery) -> Result<AtlasPage> {
        let range = AtlasTile::Range { from: 1, to: 900, models: 2_000, sizes: (9, 2) };
        Ok(AtlasPage {
            families: 900,
            models: 34_000,
            singletons: 1_100_000,
            from: query.from,
            to: query.to.unwrap_or(900),
            tiles: vec![AtlasTile::Family(self.family()), range],
            sizes: vec![(2, 3, 700), (4, 7, 200)],
        })
    }

    pub fn report_page(&self, word: &str) -> Result<Option<ReportAnswer>> {
        let card = self.reports().remove(0);
        let interval = Some((0.3, 0.5));
        let bar = ReportBar { label: self.mark.clone(), value: 0.4, text: self.mark.clone(), interval };
        let section = ReportSection {
            title: format!("Drift{}", self.mark),
            text: self.mark.clone(),
            formula: "a / b",
            bars: vec![bar],
            columns: vec!["From", "To", "Model"],
            rows: vec![vec![
                ReportCell::Text(self.mark.clone()),
                ReportCell::Number("7".into()),
                ReportCell::Model(self.name("a/b")),
            ]],
            ..ReportSection::default()
        };
        Ok(match word {
            "none" => None,
            "pending" => Some(ReportAnswer::Pending(card)),
            _ => {
                Some(ReportAnswer::Ready(Box::new(ReportPage { card, stale: true, sections: vec![section] })))
            }
        })
    }

    pub fn compare_page(&self, (a, b): (&str, &str), sides: Sides) -> Result<Answer<ComparePage>> {
        if a.starts_with("no/") {
            return Err(Failure::not_found(format!("no model {a}{}", self.mark)));
        }
        let tensor = |at: u32| TensorDiff {
            name: format!("model.layers.{at}.mlp.up_proj.weight{}", self.mark),
            dtype_a: "BF16".into(),
            dtype_b: if at == 1 { "F32".into() } else { "BF16".into() },
            shape: vec![14_336, 4096],
            elements: 58_720_256,
            relative_l2: Some(0.01 * f64::from(at)),
            cosine: Some(0.999),
            max_abs: Some(3e-5),
            unchanged_share: Some(0.25),
            identical: at == 0,
            module: ["up", "down"][at as usize % 2].into(),
            module_rank: (at % 2) as u8,
            layer: format!("{at}{}", self.mark),
            layer_rank: at.into(),
        };
        let field = FieldDiff { field: self.mark.clone(), a: Some(self.mark.clone()), b: None };
        let three =
            ThreeWayTensor { name: self.mark.clone(), changes: [Some(0.1), None], changed: [true, false] };
        let three = ThreeWay { base: self.name("org/base"), tensors: vec![three] };
        Ok(Answer::Ready(Box::new(ComparePage {
            a: self.name(a),
            b: self.name(b),
            verdict: format!("Same architecture; 4 of 5 tensors differ in value.{}", self.mark),
            merge_base: Some(self.name("meta-llama/Llama-3.1-8B")),
            fields: vec![
                FieldDiff { field: "licence".into(), a: Some(self.mark.clone()), b: None },
                FieldDiff {
                    field: "task".into(),
                    a: Some("text-generation".into()),
                    b: Some("text-generation".into()),
                },
            ],
            tensors: (0..5).map(tensor).collect(),
            config: vec![field],
            config_same: 20,
            files: vec![FileDiff { path: self.mark.clone(), word: "differs" }],
            vocabulary: Some(VocabularyDiff {
                tokens: [9, 9],
                same: 7,
                moved: 1,
                only: [(1, vec![self.mark.clone()]), (1, vec![self.mark.clone()])],
            }),
            three_way: (sides == Sides::Three).then_some(three),
            only_a: vec![self.mark.clone()],
            only_b: Vec::new(),
            shape_mismatches: vec![self.mark.clone()],
        })))
    }
}
