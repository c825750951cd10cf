//! Laws of the layout: nothing touches, nothing is lost, nothing overflows.

use domain::{Relation, Source};

use super::*;
use crate::svg::chosen::MOST_NODES;
use crate::view::{FurtherParent, Rest};

fn rest(relation: Option<Relation>, count: u64) -> Rest {
    Rest { relation, count }
}

fn family(count: usize, parent: impl Fn(usize) -> usize) -> Vec<LineageNode> {
    let node = |at: usize| LineageNode {
        name: Name(format!("org/model-{at}")),
        parent: (at > 0).then(|| parent(at)),
        hidden: if at % 7 == 3 { vec![rest(None, 5)] } else { Vec::new() },
        ..LineageNode::default()
    };
    (0..count).map(node).collect()
}

#[test]
fn no_two_nodes_touch_and_the_picture_is_always_the_same() {
    for count in [1, 2, 17, 300, 1000] {
        for parent in [|at: usize| at / 3, |at: usize| at - 1, |_: usize| 0, |at: usize| (at * 7919) % at] {
            let nodes = family(count, parent);
            let tree = layout(&nodes, 0);

            assert_eq!(tree, layout(&nodes, 0));
            assert!(tree.nodes.len() <= MOST_NODES);
            let mut spots: Vec<(f64, f64)> = tree.nodes.iter().map(|n| (n.x, n.y)).collect();
            spots.extend(tree.more.iter().map(|m| (m.x, m.y)));
            spots.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            assert!(spots.windows(2).all(|w| w[0].0 != w[1].0 || w[1].1 - w[0].1 > ROW - 0.01), "{count}");
            assert!(spots.iter().all(|spot| spot.0 < tree.width && spot.1 < tree.height));
        }
    }
}

#[test]
fn what_is_not_drawn_is_counted_and_the_focus_is_always_drawn() {
    let nodes: Vec<LineageNode> =
        family(1000, |_| 0).into_iter().map(|node| LineageNode { hidden: Vec::new(), ..node }).collect();

    let tree = layout(&nodes, 999);

    assert_eq!(tree.nodes.len(), MOST_NODES);
    assert!(tree.nodes.iter().any(|node| node.node == 999));
    assert_eq!(tree.more.len(), 1);
    assert_eq!(tree.more[0].text, "+700 more");
}

#[test]
fn a_small_tree_writes_on_each_edge_how_one_descends_and_a_large_one_only_how_it_is_known() {
    let with = |count: usize| -> Tree {
        let grounds = |node: LineageNode| LineageNode {
            relation: node.parent.map(|_| Relation::Finetune),
            evidence: vec![Source::Card],
            verified: node.parent == Some(1),
            ..node
        };
        layout(&family(count, |at| at / 2).into_iter().map(grounds).collect::<Vec<_>>(), 0)
    };

    let (small, large) = (with(7), with(100));

    let tags: Vec<(&str, &str)> = small.tags.iter().map(|tag| (tag.word, tag.sign)).collect();
    assert_eq!(tags.len(), 6, "the root has no edge above it");
    assert_eq!(tags.iter().filter(|tag| **tag == ("finetune", "✓")).count(), 2, "{tags:?}");
    assert_eq!(tags.iter().filter(|tag| **tag == ("finetune", "“")).count(), 4, "{tags:?}");
    assert!(large.tags.len() == 99 && large.tags.iter().all(|tag| tag.word.is_empty()));
    assert!(small.nodes[2].title.contains("the weights agree"), "{}", small.nodes[2].title);
    assert!(large.nodes.iter().skip(1).all(|node| node.title.contains("declared in the card")));
}

#[test]
fn what_is_written_on_an_edge_lies_between_the_labels_of_its_ends() {
    let named = |at: usize| LineageNode {
        name: Name(format!("organisation-{at}/{}", "m".repeat(3 + at % 30))),
        parent: (at > 0).then(|| (at - 1) / 2),
        relation: (at > 0).then_some(Relation::Quantized),
        evidence: vec![Source::Card],
        ..LineageNode::default()
    };
    let tree = layout(&(0..31).map(named).collect::<Vec<_>>(), 0);

    let column = |x: f64| tree.nodes.iter().filter(move |node| node.x == x);
    for tag in &tree.tags {
        let child = tree.nodes.iter().find(|node| node.y == tag.y && node.x > tag.x).unwrap();
        let before = tree.nodes.iter().map(|node| node.x).filter(|x| *x < child.x).fold(0.0, f64::max);
        let reach = column(before).map(|node| node.x + 17.0 + 6.0 * node.label.chars().count() as f64);
        let longest = reach.fold(0.0, f64::max);
        assert!(tag.x - 6.0 * 10.0 > longest && tag.x < child.x - 10.0, "{tag:?} beyond {longest}");
    }
}

#[test]
fn a_tree_of_short_names_is_narrow() {
    let short = |at: usize| LineageNode {
        name: Name(format!("a/b{at}")),
        parent: (at > 0).then_some(0),
        relation: (at > 0).then_some(Relation::Finetune),
        ..LineageNode::default()
    };
    let tree = layout(&(0..5).map(short).collect::<Vec<_>>(), 0);

    assert!(tree.width < 300.0, "{}", tree.width);
}

#[test]
fn every_opened_list_is_closed() {
    let tree = layout(&family(50, |at| at / 2), 0);
    let opened = tree.steps.iter().filter(|step| step.opens).count();
    assert_eq!(opened, tree.steps.iter().map(|step| step.closes).sum::<usize>());
}

#[test]
fn a_line_of_a_hundred_thousand_generations_does_not_overflow() {
    assert_eq!(layout(&family(100_000, |at| at - 1), 0).nodes.len(), MOST_NODES);
}

#[test]
fn each_group_of_children_is_followed_by_what_of_it_is_only_counted() {
    let child = |at: usize, relation| LineageNode {
        name: Name(format!("org/child-{at}")),
        parent: Some(0),
        relation: Some(relation),
        ..LineageNode::default()
    };
    let root = LineageNode {
        name: Name::from("org/root"),
        hidden: vec![rest(Some(Relation::Adapter), 381), rest(Some(Relation::Merge), 2)],
        ..LineageNode::default()
    };
    let nodes =
        [root, child(1, Relation::Adapter), child(2, Relation::Adapter), child(3, Relation::Quantized)];
    let tree = layout(&nodes, 0);

    let mut column: Vec<(f64, &str)> = tree.more.iter().map(|more| (more.y, more.text.as_str())).collect();
    column.extend(tree.nodes.iter().filter(|node| node.node > 0).map(|node| (node.y, node.label.as_str())));
    column.sort_by(|a, b| a.0.total_cmp(&b.0));
    let read: Vec<&str> = column.iter().map(|(_, text)| *text).collect();
    assert_eq!(read, ["child-1", "child-2", "+381 more adapters", "child-3", "+2 more merges"]);
    assert_eq!(tree.counted(), 383);
    assert_eq!(tree.steps[0].more.len(), 2);
}

#[test]
fn a_further_parent_is_joined_by_a_curve_and_stands_in_the_column_of_the_first() {
    let node = |name: &str, parent, further: Option<usize>| LineageNode {
        name: Name::from(name),
        parent,
        relation: parent.map(|_| Relation::Merge),
        further: further
            .map(|node| FurtherParent {
                node,
                relation: Relation::Merge,
                inferred: false,
                contradicted: node == 4,
            })
            .into_iter()
            .collect(),
        ..LineageNode::default()
    };
    let nodes = [
        node("org/root", None, None),
        node("org/first", Some(0), None),
        node("org/merged", Some(1), Some(4)),
        node("org/grandchild", Some(2), Some(0)),
        LineageNode { beside: Some(2), ..node("org/second", None, None) },
    ];
    let tree = layout(&nodes, 2);

    let place = |name: &str| tree.nodes.iter().find(|node| node.id == name).unwrap();
    assert_eq!(place("org/second").x, place("org/first").x);
    assert_ne!(place("org/second").y, place("org/first").y);
    assert!(place("org/second").title.contains("a further parent of org/merged: merge, contradicted"));
    let curves: Vec<(&str, &str, &str)> = tree
        .curves
        .iter()
        .map(|curve| (curve.parent.as_str(), curve.child.as_str(), curve.class.as_str()))
        .collect();
    assert_eq!(curves.len(), 2, "{curves:?}");
    assert!(curves.contains(&("org/second", "org/merged", "further contradicted on")), "{curves:?}");
    assert!(curves.contains(&("org/root", "org/grandchild", "further")), "{curves:?}");
    assert!(!tree.many());
    assert_eq!(tree.lines.len(), 3, "curves are no lines of the tree");
}

#[test]
fn what_is_downloaded_more_is_larger_and_an_opened_group_is_drawn_before_others() {
    let mut nodes = family(1_000, |_| 0);
    for (at, node) in nodes.iter_mut().enumerate() {
        node.hidden = Vec::new();
        node.downloads = Some(10_u64.pow((at % 4) as u32));
        node.opened = at == 990;
    }
    let tree = layout(&nodes, 0);

    let scale = |at: usize| tree.nodes.iter().find(|node| node.node == at).unwrap().scale;
    assert!(scale(4) < scale(1) && scale(1) < scale(2) && scale(2) < scale(3));
    assert!(tree.nodes.iter().any(|node| node.node == 990));
}

#[test]
fn of_a_large_tree_the_curves_are_told_apart_from_those_of_a_small_one() {
    assert!(!layout(&family(SMALL, |_| 0), 0).many());
    assert!(layout(&family(SMALL + 1, |_| 0), 0).many());
}

#[test]
fn a_label_stands_behind_a_mark_that_is_drawn_larger() {
    let mut nodes = family(2, |_| 0);
    nodes[0].downloads = Some(1_000_000);
    let tree = layout(&nodes, 0);

    let place = |at: usize| tree.nodes.iter().find(|node| node.node == at).unwrap().label_x;
    assert!(place(0) >= 1.4 * 11.0 + 6.0 && place(0) > place(1));
}

#[test]
fn long_names_are_whole_where_there_is_room_for_them() {
    let name = format!("org/{}", "n".repeat(50));
    let node = |at: usize| LineageNode {
        name: Name(format!("{name}{at}")),
        parent: at.checked_sub(1),
        ..LineageNode::default()
    };
    let label = |count: usize| layout(&(0..count).map(node).collect::<Vec<_>>(), 0).nodes[0].label.clone();

    assert_eq!(label(2), format!("{}0", "n".repeat(50)));
    assert_eq!(label(9).chars().count(), 26);
}
