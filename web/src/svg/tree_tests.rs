//! Laws of the layout: nothing touches, nothing is lost, nothing overflows.

use super::*;

fn family(count: usize, parent: impl Fn(usize) -> usize) -> Vec<LineageNode> {
    let node = |at: usize| LineageNode {
        name: Name(format!("org/model-{at}")),
        parent: (at > 0).then(|| parent(at)),
        hidden: if at % 7 == 3 { 5 } else { 0 },
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
        family(1000, |_| 0).into_iter().map(|node| LineageNode { hidden: 0, ..node }).collect();

    let tree = layout(&nodes, 999);

    assert_eq!(tree.nodes.len(), MOST_NODES);
    assert!(tree.nodes.iter().any(|node| node.node == 999));
    assert_eq!(tree.more.len(), 1);
    assert_eq!(tree.more[0].text, "+700 more");
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
