//! Tests of the forest on small and very deep graphs.

use domain::{EdgeStatus, Relation};

use super::{Forest, ForestBuilder, ForestEdge, KinQuery, NamedEdges, Node, Sieve, SubtreeOptions, Toward};

fn node(id: i64) -> Node {
    let name = format!("org/m{id}");
    Node { id, name, created_at: Some(id), ghost: false, downloads: None, license: None, size: None }
}

fn edge(child: i64, parent: i64) -> ForestEdge {
    let (relation, status) = (Relation::Finetune, EdgeStatus::Accepted);
    ForestEdge { id: child * 1_000_000 + parent, child, parent, relation, status }
}

fn forest(nodes: i64, edges: &[(i64, i64)]) -> Forest {
    Forest::build((1..=nodes).map(node), edges.iter().map(|&(child, parent)| edge(child, parent)))
}

#[test]
fn a_model_with_two_parents_hangs_under_the_most_downloaded_one() {
    let mut nodes: Vec<Node> = (1..=3).map(node).collect();
    nodes[1].downloads = Some(9);
    let forest = Forest::build(nodes.into_iter(), [edge(3, 1), edge(3, 2)].into_iter());

    assert_eq!(forest.primary_parent(3), Some(2));
    assert_eq!(forest.parents(3).iter().map(|link| link.id).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(forest.children(1).iter().map(|link| link.primary).collect::<Vec<_>>(), [false]);
    assert_eq!(forest.root_of(3), Some(2));
    assert_eq!(forest.child_counts(2), [(Relation::Finetune, 1)]);
}

#[test]
fn a_cycle_loses_the_edge_whose_parent_is_later_whatever_the_order() {
    let mut edges = vec![edge(2, 1), edge(3, 2), edge(1, 3), edge(4, 3)];
    let forward = Forest::build((1..=4).map(node), edges.clone().into_iter());
    edges.reverse();
    let backward = Forest::build((1..=4).rev().map(node), edges.into_iter());

    for forest in [forward, backward] {
        assert_eq!(forest.rejected_cycle_edges(), [1_000_003]);
        assert_eq!(forest.path_from_root(4), [1, 2, 3, 4]);
    }
}

#[test]
fn no_more_edges_of_a_cycle_are_rejected_than_it_takes() {
    let mut edges = vec![edge(1, 2), edge(2, 3), edge(3, 1)];
    let forward = Forest::build((1..=3).map(node), edges.clone().into_iter());
    edges.reverse();
    let backward = Forest::build((1..=3).map(node), edges.into_iter());

    for forest in [forward, backward] {
        assert_eq!(forest.rejected_cycle_edges(), [edge(2, 3).id], "the one with the latest parent");
        assert_eq!(forest.path_from_root(2), [2]);
        assert_eq!(forest.path_from_root(3), [2, 1, 3]);
    }
    let two = [edge(1, 2), edge(2, 1), edge(2, 3), edge(3, 2), edge(1, 3)];
    let forest = Forest::build((1..=3).map(node), two.into_iter());
    assert_eq!(forest.rejected_cycle_edges(), [edge(1, 2).id, edge(1, 3).id, edge(2, 3).id]);
}

#[test]
fn a_cycle_of_a_hundred_thousand_models_that_runs_backwards_loses_one_edge() {
    const N: i64 = 100_000;
    let mut edges: Vec<(i64, i64)> = (2..=N).map(|parent| (parent - 1, parent)).collect();
    edges.push((N, 1));

    let forest = forest(N, &edges);

    assert_eq!(forest.rejected_cycle_edges().len(), 1);
}

#[test]
fn a_proposal_yields_to_what_is_declared_and_a_persons_no_is_no_edge() {
    let with = |child, parent, status| ForestEdge { status, ..edge(child, parent) };
    let (proposed, rejected) = (EdgeStatus::Proposed, EdgeStatus::RejectedPerson);
    let edges = [edge(2, 1), with(1, 2, proposed), with(3, 2, rejected), with(3, 1, proposed), edge(3, 4)];
    let forest = Forest::build((1..=4).map(node), edges.into_iter());

    assert_eq!(forest.primary_parent(2), Some(1));
    assert_eq!(
        forest.parents(3).iter().map(|link| (link.id, link.proposed)).collect::<Vec<_>>(),
        [(4, false), (1, true)]
    );
    assert!(forest.restated().is_empty() && forest.parents(1).is_empty());
    assert!(forest.declares(3, 4) && !forest.declares(3, 1));
}

#[test]
fn a_walk_reaches_all_descendants_by_the_fewest_steps_and_tells_the_way() {
    let proposed = ForestEdge { status: EdgeStatus::Proposed, ..edge(5, 4) };
    let edges = [edge(2, 1), edge(3, 2), edge(3, 1), edge(4, 3), proposed];
    let forest = Forest::build((1..=6).map(node), edges.into_iter());

    let (down, up) = (forest.walk(&[1, 1, 99], Toward::Descendants), forest.walk(&[5], Toward::Ancestors));

    assert_eq!(down.models.iter().map(|reached| reached.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(down.path(4), [1, 3, 4, 5]);
    assert!(down.models[4].proposed && !down.models[3].proposed);
    assert_eq!(up.path(2), [5, 4, 3]);
}

#[test]
fn an_edge_rejected_once_is_judged_anew() {
    let mut once = edge(1, 3);
    once.status = EdgeStatus::RejectedCycle;
    let forest = Forest::build((1..=3).map(node), [once].into_iter());

    assert!(forest.rejected_cycle_edges().is_empty());
    assert_eq!(forest.primary_parent(1), Some(3));
    assert_eq!(forest.restated(), [(1_000_003, EdgeStatus::Accepted)]);
}

#[test]
fn a_model_hangs_under_what_its_weights_say_where_they_outweigh_its_claim() {
    let proposed = ForestEdge { status: EdgeStatus::Proposed, ..edge(4, 2) };
    let edges = [edge(4, 1), proposed, edge(3, 1)];
    let built = |outweighed: &[i64]| {
        let mut builder = ForestBuilder::default();
        builder.outweigh(outweighed.iter().copied());
        (1..=4).map(node).for_each(|node| builder.add(node.shown()));
        edges.iter().for_each(|edge| builder.connect(*edge));
        builder.finish()
    };

    let (claimed, outweighed) = (built(&[]), built(&[edges[0].id, edges[2].id]));

    assert_eq!((claimed.primary_parent(4), outweighed.primary_parent(4)), (Some(1), Some(2)));
    assert_eq!(outweighed.primary_parent(3), Some(1), "it has no other");
    let against = |forest: &Forest, id| (forest.child_counts(id).len(), forest.outweighed_children(id));
    assert_eq!((against(&claimed, 1), against(&outweighed, 1)), ((1, 0), (1, 2)));
    assert!(outweighed.parents(4).iter().all(|link| link.relation == Relation::Finetune));
}

#[test]
fn edges_to_oneself_to_strangers_and_repeated_ones_are_left_out() {
    let mut twin = edge(2, 1);
    twin.id = 7;
    let forest = Forest::build((1..=2).map(node), [edge(1, 1), edge(2, 99), edge(2, 1), twin].into_iter());

    assert_eq!(forest.edge_count(), 1);
    assert!(forest.rejected_cycle_edges().is_empty());
}

#[test]
fn of_a_pair_that_is_stated_twice_the_edge_with_the_lower_number_counts() {
    let twin = ForestEdge { id: 7, relation: Relation::Quantized, ..edge(2, 1) };
    let forest = Forest::build((1..=2).map(node), [edge(2, 1), twin].into_iter());

    let link = forest.parents(2)[0];
    assert_eq!((link.edge, link.relation), (7, Relation::Quantized));
}

#[test]
fn numbers_beyond_32_bits_and_odd_values_are_kept_as_they_are() {
    let far = i64::from(u32::MAX) * 3;
    let odd =
        Node { created_at: Some(-5), downloads: Some(far + 1), license: Some("mit".to_owned()), ..node(far) };
    let forest = Forest::build([node(1), odd.clone()].into_iter(), [edge(far, 1)].into_iter());

    assert_eq!(forest.node(far), Some(odd.shown()));
    assert_eq!(forest.node(1), Some(node(1).shown()));
    assert_eq!(forest.node(far - 1), None);
    assert_eq!((forest.primary_parent(far), forest.parents(far)[0].edge), (Some(1), edge(far, 1).id));
}

#[test]
fn edges_by_name_make_the_forest_of_their_models() {
    let mut edges = NamedEdges::default();
    edges.add(&[["org/a", "org/b"], ["org/b", "org/c"], ["org/c", "org/b"]]);
    edges.add(&[["org/a", "org/b"], ["x", "x"], ["org/d", "org/a"]]);

    let forest = edges.forest();

    let names: Vec<_> = forest.nodes().map(|node| node.name).collect();
    assert_eq!(names, ["org/a", "org/b", "org/c", "x", "org/d"]);
    assert_eq!((forest.edge_count(), forest.rejected_cycle_edges()), (3, &[2][..]));
    assert_eq!(forest.path_from_root(2), [4, 0, 1, 2]);
    assert_eq!(forest.parents(0).iter().map(|link| link.edge).collect::<Vec<_>>(), [5]);
}

#[test]
fn declared_children_are_told_by_relation_and_without_proposals() {
    let quantized = ForestEdge { relation: Relation::Quantized, ..edge(3, 1) };
    let proposed = ForestEdge { status: EdgeStatus::Proposed, ..edge(4, 1) };
    let converted = ForestEdge { relation: Relation::Conversion, ..edge(5, 1) };
    let edges = [edge(2, 1), quantized, proposed, converted];
    let forest = Forest::build((1..=5).map(node), edges.into_iter());

    let sorted = |relation| {
        let mut all = forest.declared_children(1, relation);
        all.sort_unstable();
        all
    };
    assert_eq!(sorted(None), [2, 3, 5]);
    assert_eq!(sorted(Some(Relation::Quantized)), [3, 5], "the Hub has one word for both");
    assert_eq!(sorted(Some(Relation::Conversion)), [5]);
    assert!(forest.declared_children(99, None).is_empty());
}

#[test]
fn a_line_of_a_hundred_thousand_generations_is_walked_without_recursion() {
    const N: i64 = 100_000;
    let edges: Vec<(i64, i64)> = (2..=N).map(|child| (child, child - 1)).collect();
    let forest = forest(N, &edges);

    assert_eq!(forest.path_from_root(N).len(), N as usize);
    assert_eq!(forest.longest_line().len(), N as usize);
    assert_eq!(forest.ancestors(N, usize::MAX).len(), N as usize - 1);
    assert_eq!(forest.walk(&[1], Toward::Descendants).models.len(), N as usize);
    assert_eq!(forest.path_between(N, 1).unwrap().steps.len(), N as usize);
    assert_eq!(forest.merge_base(N, N / 2), Some(N / 2));
    assert_eq!(forest.families()[0].depth, N as usize - 1);
    let options = SubtreeOptions { down: usize::MAX, cap: usize::MAX, ..SubtreeOptions::default() };
    let tree = forest.subtree(1, &options);
    assert_eq!(tree.nodes.len(), N as usize);
    assert!(serde_json::to_string(&tree).unwrap().len() > N as usize);
}

#[test]
fn of_a_veiled_model_nothing_but_its_place_is_told() {
    let forest = forest(3, &[(2, 1), (3, 2)]);

    let veiled = forest.veiled([2]);

    let tree = veiled.subtree(1, &SubtreeOptions { down: 9, ..SubtreeOptions::default() });
    let names: Vec<_> = tree.nodes.iter().map(|node| (node.name.as_str(), node.ghost)).collect();
    assert_eq!(names, [("org/m1", false), ("private model 2", true), ("org/m3", false)]);
    assert_eq!(veiled.nodes().filter(|node| node.name.contains("m2")).count(), 0);
    assert_eq!(veiled.node(2).unwrap().created_at, None);
    assert_eq!(forest.node(2).unwrap().name, "org/m2", "the forest itself stays as it is");
}

#[test]
fn a_cycle_of_a_hundred_thousand_models_is_broken() {
    const N: i64 = 100_000;
    let mut edges: Vec<(i64, i64)> = (2..=N).map(|child| (child, child - 1)).collect();
    edges.push((1, N));
    let forest = forest(N, &edges);

    assert_eq!(forest.rejected_cycle_edges().len(), 1);
    assert_eq!(forest.root_of(N), Some(1));
}

#[test]
fn a_tree_counts_what_it_hides() {
    let forest = forest(7, &[(2, 1), (3, 1), (4, 2), (5, 2), (6, 4), (7, 1)]);
    let tree = forest.subtree(2, &SubtreeOptions::default());

    let names: Vec<_> = tree.nodes.iter().map(|node| (node.id, node.depth, node.hidden)).collect();
    assert_eq!(names, [(1, 0, 2), (2, 1, 0), (4, 2, 1), (5, 2, 0)]);
    assert_eq!(tree.focus, 1);
    assert!(!tree.truncated);
    assert!(tree.to_text().contains("org/m2 *"));

    let cut = forest.subtree(1, &SubtreeOptions { down: 9, cap: 3, ..SubtreeOptions::default() });
    assert_eq!((cut.nodes.len(), cut.truncated), (3, true));
    assert!(forest.subtree(99, &SubtreeOptions::default()).nodes.is_empty());
}

#[test]
fn common_ancestors_are_the_nearest_ones() {
    let forest = forest(6, &[(2, 1), (3, 2), (4, 2), (5, 4)]);

    assert_eq!(forest.merge_base(3, 5), Some(2));
    assert_eq!(forest.merge_base(5, 4), Some(4));
    assert_eq!(forest.merge_base(5, 6), None);
    assert_eq!(forest.merge_base(5, 99), None);
}

#[test]
fn families_are_sorted_by_size_and_leave_out_loners() {
    let forest = forest(6, &[(2, 1), (4, 3), (5, 4)]);
    let families: Vec<_> = forest.families().iter().map(|f| (f.root, f.size, f.depth)).collect();

    assert_eq!(families, [(3, 3, 2), (1, 2, 1)]);
    assert_eq!((forest.len(), forest.is_empty()), (6, false));
}

#[test]
fn slices_of_a_family_cover_every_model_once() {
    let edges: Vec<(i64, i64)> = (2..=500).map(|child| (child, (child / 3).max(1))).collect();
    let forest = forest(500, &edges);

    for (levels, least) in [(20, 1), (20, 10), (3, 1), (0, 1)] {
        let slices = forest.slices(1, (levels, least), None);

        assert_eq!(slices[0].size, 500);
        let hidden: u64 = slices.iter().map(|slice| slice.small.models).sum();
        assert_eq!(slices.len() as u64 + hidden, 500, "{levels} levels from {least} on");
        for (at, slice) in slices.iter().enumerate() {
            assert!(at == 0 || slice.size >= least && slice.depth <= levels);
            assert_eq!(forest.family_size(slice.id), slice.size);
            let own: Vec<_> = slices.iter().filter(|child| child.parent == Some(at)).collect();
            let inside: u64 = own.iter().map(|child| child.size).sum::<u64>() + slice.small.models;
            assert_eq!(inside + 1, slice.size);
            let mut next = slice.start;
            for child in own {
                assert_eq!((child.start, child.depth), (next, slice.depth + 1));
                next += child.size;
            }
            assert_eq!(slice.small.start, next);
        }
    }
    assert!(forest.slices(999, (5, 1), None).is_empty());
}

#[test]
fn children_come_page_by_page_and_are_found_by_name_and_relation() {
    let mut nodes: Vec<Node> = (1..=40).map(node).collect();
    nodes.iter_mut().for_each(|node| node.downloads = Some(node.id % 7));
    let relation = |child: i64| Relation::ALL[(child % 2) as usize];
    let edges = (2..=40).map(|child| ForestEdge { relation: relation(child), ..edge(child, 1) });
    let forest = Forest::build(nodes.into_iter(), edges);
    let mut want: Vec<i64> = (2..=40).filter(|child| child % 2 == 1).collect();
    want.sort_by_key(|child| std::cmp::Reverse((child % 7, *child)));

    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let sieve = Sieve::read(["adapter", "", ""]).unwrap();
        let query = KinQuery { sieve, after, limit: 6, ..KinQuery::default() };
        let page = forest.kin(1, &query);
        assert_eq!(page.total, want.len() as u64);
        found.extend(page.links.iter().map(|link| link.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }

    assert_eq!(found, want);
    let named = forest.kin(1, &KinQuery { text: "ORG/M3".to_owned(), limit: 99, ..KinQuery::default() });
    assert_eq!(named.total, 11);
}

#[test]
fn pages_of_ranked_children_are_those_of_a_plain_sort_and_hide_no_one() {
    let mut nodes: Vec<Node> = (1..=400).map(node).collect();
    nodes.iter_mut().for_each(|node| node.downloads = Some((node.id * 7) % 5 * 100));
    nodes[1].downloads = Some(10_000);
    // Every third child hangs under the second model.
    let both = (3..=400).filter(|child| child % 3 == 0).map(|child| edge(child, 2));
    let edges: Vec<ForestEdge> = (3..=400).map(|child| edge(child, 1)).chain(both).collect();
    let downloads: Vec<Option<i64>> = nodes.iter().map(|node| node.downloads).collect();
    let forest = Forest::build(nodes.into_iter(), edges.into_iter());
    let mut expected: Vec<i64> = (3..=400).collect();
    expected.sort_by_key(|&id| std::cmp::Reverse((downloads[id as usize - 1], id)));

    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = forest.kin(1, &KinQuery { after, limit: 7, ..KinQuery::default() });
        assert_eq!(page.total, 398);
        seen.extend(page.links.iter().map(|link| link.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let tree = forest.subtree(1, &SubtreeOptions { down: 1, cap: 20, ..SubtreeOptions::default() });
    let veiled =
        forest.veiled([4]).subtree(1, &SubtreeOptions { down: 1, cap: 500, ..SubtreeOptions::default() });

    assert_eq!(seen, expected);
    assert!(tree.truncated && tree.nodes.len() == 20 && tree.other_children.len() == 133);
    assert_eq!((tree.nodes[0].children, tree.nodes[0].hidden), (265, 246));
    let shown: Vec<(std::cmp::Reverse<Option<i64>>, &str)> =
        tree.nodes[1..].iter().map(|node| (std::cmp::Reverse(node.downloads), node.name.as_str())).collect();
    assert!(shown.is_sorted(), "{shown:?}");
    assert_eq!(veiled.nodes.last().map(|node| node.name.as_str()), Some("private model 4"));
}

/// A family of 400 with every relation, some licences and sizes, and what each model passes looked up one by one.
fn mixed() -> (Forest, Vec<Node>, Vec<ForestEdge>) {
    let licences = [None, Some("mit"), Some("Apache-2.0"), Some("cc-by-nc-4.0")];
    let nodes: Vec<Node> = (1..=400)
        .map(|id| Node {
            license: licences[(id * 7 % 11 % 4) as usize].map(str::to_owned),
            size: (id % 3 > 0).then_some((id % 5) as u8),
            downloads: Some(id % 13),
            ..node(id)
        })
        .collect();
    let relation = |child: i64| Relation::ALL[(child * 5 % 7 % 5) as usize];
    let edges: Vec<ForestEdge> = (2..=400)
        .map(|child| ForestEdge { relation: relation(child), ..edge(child, (child / 4).max(1)) })
        .collect();
    (Forest::build(nodes.clone().into_iter(), edges.clone().into_iter()), nodes, edges)
}

#[test]
fn a_sifted_tree_keeps_what_passes_and_what_leads_there_and_counts_the_rest() {
    let (forest, nodes, edges) = mixed();
    let parent = |id: i64| edges.iter().find(|edge| edge.child == id).map(|edge| edge.parent);

    for words in
        [["adapter,merge", "", ""], ["", "permissive", "1b-4b"], ["finetune", "apache-2.0,unknown", ""]]
    {
        for down in [1, 3, usize::MAX] {
            let sieve = Sieve::read(words).unwrap();
            let generation = |mut id: i64| {
                let mut steps = 0;
                while id != 1 {
                    (id, steps) = (parent(id).unwrap(), steps + 1);
                }
                steps
            };
            let mut want = std::collections::BTreeSet::from([1]);
            let within: Vec<i64> = (1..=400).filter(|id| generation(*id) <= down).collect();
            for &id in &within[1..] {
                let relation = edges.iter().find(|edge| edge.child == id).map(|edge| edge.relation);
                if sieve.passes(nodes[id as usize - 1].shown(), relation) {
                    let mut at = Some(id);
                    while let Some(id) = at {
                        want.insert(id);
                        at = parent(id);
                    }
                }
            }

            let options =
                SubtreeOptions { down, cap: usize::MAX, sieve: sieve.clone(), ..SubtreeOptions::default() };
            let tree = forest.subtree(1, &options);
            let sifted = forest.sift(1, usize::MAX, &sieve).unwrap();
            let slices = forest.slices(1, (20, 1), Some(&sifted));

            let shown: std::collections::BTreeSet<i64> = tree.nodes.iter().map(|node| node.id).collect();
            assert_eq!(shown, want, "{words:?}");
            assert_eq!(tree.sifted, (within.len() - want.len()) as u64);
            let next = |at: usize| forest.path_from_root(tree.nodes[at].id).len() <= down;
            assert!((0..tree.nodes.len()).filter(|at| next(*at)).all(|at| tree.nodes[at].hidden == 0));
            if down == usize::MAX {
                assert_eq!(slices.len(), want.len());
                assert_eq!(slices[0].size, want.len() as u64);
            }
        }
    }
}

#[test]
fn children_that_pass_a_sieve_come_page_by_page_as_if_looked_at_one_by_one() {
    let (forest, nodes, edges) = mixed();
    let sieve = Sieve::read(["", "permissive,unknown", "under-100m,100m-1b,1b-4b"]).unwrap();
    for parent in [1, 5, 20] {
        let of = edges.iter().filter(|edge| edge.parent == parent);
        let passing =
            of.filter(|edge| sieve.passes(nodes[edge.child as usize - 1].shown(), Some(edge.relation)));
        let mut want: Vec<i64> = passing.map(|edge| edge.child).collect();
        want.sort_by_key(|child| std::cmp::Reverse((child % 13, *child)));

        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let query = KinQuery { sieve: sieve.clone(), after, limit: 1, ..KinQuery::default() };
            let page = forest.kin(parent, &query);
            assert_eq!(page.total, want.len() as u64);
            found.extend(page.links.iter().map(|link| link.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }

        assert_eq!(found, want);
    }
}

#[test]
fn of_a_hidden_model_no_sieve_tells_licence_or_size() {
    let (forest, nodes, _) = mixed();
    let leaf = nodes.iter().rev().find(|node| node.license.as_deref() == Some("mit")).unwrap().id;
    let sieve = Sieve::read(["", "mit", ""]).unwrap();
    let options = SubtreeOptions { down: 9, sieve, ..SubtreeOptions::default() };

    let shown = |forest: &Forest| forest.subtree(1, &options).nodes.iter().any(|node| node.id == leaf);

    assert!(shown(&forest) && !shown(&forest.veiled([leaf])));
}

#[test]
fn what_no_sieve_knows_is_named() {
    let told = Sieve::read(["cousin,merge,aunt", "mit", "huge"]).unwrap_err();
    let [cousin, aunt, huge] = told.as_slice() else { panic!("{told:?}") };
    assert!(cousin.pointer == "relation" && cousin.message.contains("`cousin`"));
    assert!(aunt.pointer == "relation" && aunt.message.contains("`aunt`"));
    assert!(huge.pointer == "size" && huge.message.contains("over-40b"));
    assert!(Sieve::read(["", " , ", ""]).is_ok_and(|sieve| sieve.is_empty()));
}
