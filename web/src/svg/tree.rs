//! The tidy tree, left to right: every leaf gets a row of its own and a parent sits in the middle of its
//! children, or near the first of very many, so nodes of one generation are at least one row apart. No
//! recursion, same input, same picture.

use std::collections::VecDeque;

use super::shape;
use crate::view::{Count, LineageNode, Name};

/// Nodes drawn at most; the rest is counted.
pub const MOST_NODES: usize = 300;
const ROW: f64 = 40.0;
/// From a node to its label, and from a label to the line behind it.
const MARGIN: [f64; 2] = [17.0, 12.0];
/// What the bend of a line takes, and the room between the end of a line and the middle of a mark.
const BEND: [f64; 2] = [28.0, 13.0];
const LEFT: f64 = 18.0;
const TOP: f64 = 34.0;
const LABEL: usize = 26;
/// Trees of so many nodes have the relation written on their edges.
const SMALL: usize = 40;
/// Rows a node may lie below the top of its family: the root of a wide one stays in sight.
const DROP: f64 = 4.0;

/// A node with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// Position in the page's list of nodes.
    pub node: usize,
    pub x: f64,
    pub y: f64,
    pub mark: &'static str,
    /// Organisation with its slash.
    pub org: String,
    /// The name, shortened to fit the column.
    pub label: String,
    pub class: String,
    /// Text for the tooltip and for screen readers.
    pub title: String,
    pub href: String,
    pub letter: &'static str,
}

/// A line from parent to child.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub path: String,
    pub class: &'static str,
}

/// What is written on the line to a node: how it descends, and how that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    /// Where the text ends.
    pub x: f64,
    /// The line that it stands on.
    pub y: f64,
    /// Empty in large trees, where the shape of the mark says it.
    pub word: &'static str,
    /// Empty where nothing is told.
    pub sign: &'static str,
    pub class: &'static str,
}

/// "+N more" below a node.
#[derive(Debug, Clone, PartialEq)]
pub struct More {
    pub x: f64,
    pub y: f64,
    pub text: String,
    pub href: String,
}

/// One step of the nested list that says the same as the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub node: usize,
    pub hidden: u64,
    /// A list of children follows.
    pub opens: bool,
    /// Lists that end after this item.
    pub closes: usize,
}

/// The finished layout.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tree {
    pub width: f64,
    pub height: f64,
    pub nodes: Vec<Placed>,
    pub lines: Vec<Line>,
    pub tags: Vec<Tag>,
    pub more: Vec<More>,
    pub steps: Vec<Step>,
}

/// Lays out the nodes; a node whose parent does not stand before it counts as a root.
pub fn layout(nodes: &[LineageNode], focus: usize) -> Tree {
    let shape = Shape::of(nodes, focus);
    let mut places = vec![Place::default(); nodes.len()];
    let mut order = Vec::new();
    let mut tree = Tree::default();
    let mut rows = 0.0;
    let mut stack: Vec<(usize, Visit)> = shape.roots.iter().rev().map(|&root| (root, Visit::Enter)).collect();
    while let Some((at, visit)) = stack.pop() {
        let children = &shape.children[at];
        match visit {
            Visit::Enter => {
                places[at].depth = shape.parent[at].map_or(0, |parent| places[parent].depth + 1);
                order.push(at);
                tree.steps.push(Step {
                    node: at,
                    hidden: shape.hidden[at],
                    opens: !children.is_empty(),
                    closes: 0,
                });
                stack.push((at, Visit::Leave));
                stack.extend(children.iter().rev().map(|&child| (child, Visit::Enter)));
            }
            Visit::Leave => {
                if let (false, Some(last)) = (children.is_empty(), tree.steps.last_mut()) {
                    last.closes += 1;
                }
                if children.is_empty() || shape.hidden[at] > 0 {
                    places[at].row = rows;
                    rows += 1.0;
                }
                let below = places[at].row;
                let first = children.first().map_or(below, |&child| places[child].y);
                let last = if shape.hidden[at] > 0 {
                    below
                } else {
                    children.last().map_or(below, |&c| places[c].y)
                };
                places[at].top = children.first().map_or(below, |&child| places[child].top);
                places[at].y = ((first + last) / 2.0).min(places[at].top + DROP);
            }
        }
    }
    let columns = columns(nodes, &shape, (&places, &order), focus);
    let plan = Plan { nodes, shape: &shape, places: &places, columns: &columns, focus };
    for at in order {
        draw(&mut tree, &plan, at);
    }
    tree.width = columns.last().map_or(0.0, |column| column.x + column.room).ceil();
    tree.height = TOP + rows.max(1.0) * ROW;
    tree
}

/// A generation: where its nodes stand, the room that a node, its label and its lines take, and what is written on the lines
/// to it.
#[derive(Debug, Clone, Copy, Default)]
struct Column {
    x: f64,
    room: f64,
    tag: f64,
    worded: bool,
}

impl Column {
    /// Where the lines from the column before begin to bend.
    fn bend(&self) -> f64 {
        self.x - BEND[0] - BEND[1] - self.tag
    }
}

/// The generations, each as wide as its longest label.
fn columns(
    nodes: &[LineageNode],
    shape: &Shape,
    (places, order): (&[Place], &[usize]),
    focus: usize,
) -> Vec<Column> {
    let worded = order.len() <= SMALL;
    let mut columns: Vec<Column> = Vec::new();
    for &at in order {
        let depth = places[at].depth;
        columns.resize(columns.len().max(depth + 1), Column { worded, ..Column::default() });
        let column = &mut columns[depth];
        column.room = column.room.max(MARGIN[0] + Label::of(&nodes[at], at == focus).width + MARGIN[1]);
        column.tag = column.tag.max(tag_width(&nodes[at], worded));
        if shape.hidden[at] > 0 {
            columns.resize(columns.len().max(depth + 2), Column { worded, ..Column::default() });
            let next = &mut columns[depth + 1];
            next.room = next.room.max(width(&more_text(shape.hidden[at])));
        }
    }
    let mut x = LEFT;
    for (at, column) in columns.iter_mut().enumerate() {
        x += if at == 0 { 0.0 } else { BEND[0] + BEND[1] + column.tag };
        x = x.round();
        column.x = x;
        x += column.room;
    }
    columns
}

/// The room that is kept on a line for what is written on it.
fn tag_width(node: &LineageNode, worded: bool) -> f64 {
    let sign = if node.known().is_some() { 15.0 } else { 0.0 };
    match node.relation.filter(|_| worded) {
        Some(relation) => sign + 6.0 * relation.as_str().len() as f64,
        None => sign,
    }
}

/// The two lines of a node's name, cut to fit.
struct Label {
    org: String,
    name: String,
    width: f64,
}

impl Label {
    fn of(node: &LineageNode, focused: bool) -> Self {
        let (org, name) = (clip(node.name.org(), LABEL), clip(node.name.short(), LABEL));
        let bold = if focused { 1.12 } else { 1.0 };
        let width = (bold * width(&name)).max(0.8 * width(&org));
        Self { org, name, width }
    }
}

fn more_text(hidden: u64) -> String {
    format!("+{} more", Count(hidden))
}

#[derive(Clone, Copy)]
enum Visit {
    Enter,
    Leave,
}

#[derive(Debug, Clone, Default)]
struct Place {
    depth: usize,
    /// In rows.
    y: f64,
    /// The uppermost row of the node's family.
    top: f64,
    /// The row reserved for a leaf or for "+N more".
    row: f64,
}

/// Which nodes are drawn, and their children in order.
struct Shape {
    roots: Vec<usize>,
    parent: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    hidden: Vec<u64>,
}

impl Shape {
    fn of(nodes: &[LineageNode], focus: usize) -> Self {
        let parent: Vec<Option<usize>> =
            nodes.iter().enumerate().map(|(at, node)| node.parent.filter(|&parent| parent < at)).collect();
        let mut all = vec![Vec::new(); nodes.len()];
        let mut roots = Vec::new();
        for (at, parent) in parent.iter().enumerate() {
            match parent {
                Some(parent) => all[*parent].push(at),
                None => roots.push(at),
            }
        }
        let drawn = choose(&parent, &all, &roots, focus);
        let mut hidden: Vec<u64> = nodes.iter().map(|node| node.hidden).collect();
        for (at, children) in all.iter_mut().enumerate() {
            let before = children.len();
            children.retain(|&child| drawn[child]);
            hidden[at] = hidden[at].saturating_add((before - children.len()) as u64);
        }
        roots.retain(|&root| drawn[root]);
        Self { roots, parent, children: all, hidden }
    }
}

/// The way down to the focus first, then generation by generation.
fn choose(parent: &[Option<usize>], children: &[Vec<usize>], roots: &[usize], focus: usize) -> Vec<bool> {
    let mut drawn = vec![false; parent.len()];
    let mut left = MOST_NODES;
    let mut way = Vec::new();
    let mut at = (focus < parent.len()).then_some(focus);
    while let Some(node) = at {
        way.push(node);
        at = parent[node];
    }
    // From the root: a child must never be drawn without its parent.
    for &node in way.iter().rev().take(left) {
        drawn[node] = true;
    }
    left -= way.len().min(left);
    let mut queue: VecDeque<usize> = roots.iter().copied().collect();
    while let Some(node) = queue.pop_front() {
        if !drawn[node] {
            if left == 0 {
                continue;
            }
            drawn[node] = true;
            left -= 1;
        }
        queue.extend(&children[node]);
    }
    drawn
}

/// What is drawn, and where.
struct Plan<'a> {
    nodes: &'a [LineageNode],
    shape: &'a Shape,
    places: &'a [Place],
    columns: &'a [Column],
    focus: usize,
}

fn draw(tree: &mut Tree, plan: &Plan, at: usize) {
    let Plan { nodes, shape, places, columns, focus } = *plan;
    let node = &nodes[at];
    let depth = places[at].depth;
    let down = |row: f64| TOP / 2.0 + ROW * (row + 0.5);
    let (x, y) = (columns[depth].x, down(places[at].y));
    let licence = node.licence_class();
    let label = Label::of(node, at == focus);
    let mut class = format!("node {}", licence.class);
    for (on, word) in [(node.ghost, " ghost"), (at == focus, " focus")] {
        class.push_str(if on { word } else { "" });
    }
    // Only nodes with something below them have a column after their own.
    let next = columns.get(depth + 1).copied().unwrap_or_default();
    let bend = next.bend();
    let start = x + MARGIN[0] + label.width + 3.0;
    let line_from = |start: f64, to: f64| {
        let (start, end) = (start.min(bend), next.x - BEND[1]);
        format!(
            "M{start:.0} {y:.1}H{bend:.0}C{:.0} {y:.1} {:.0} {to:.1} {:.0} {to:.1}H{end:.0}",
            bend + 18.0,
            bend + 10.0,
            bend + BEND[0]
        )
    };
    let line = |to: f64| line_from(start, to);
    // Where a plain line is the trunk, others branch off it.
    let plain = |child: &usize| !nodes[*child].contradicted && !nodes[*child].inferred;
    let trunk = shape.children[at].iter().any(plain);
    for &child in &shape.children[at] {
        let class = match &nodes[child] {
            LineageNode { contradicted: true, .. } => "line contradicted",
            LineageNode { inferred: true, .. } => "line inferred",
            _ => "line",
        };
        let start = if trunk && !plain(&child) { bend } else { start };
        tree.lines.push(Line { path: line_from(start, down(places[child].y)), class });
    }
    if shape.hidden[at] > 0 {
        let to = down(places[at].row);
        tree.lines.push(Line { path: line(to), class: "line inferred" });
        let text = more_text(shape.hidden[at]);
        tree.more.push(More { x: next.x, y: to, text, href: more_href(&node.name) });
    }
    if shape.parent[at].is_some() {
        let word = node.relation.filter(|_| columns[depth].worded).map_or("", |relation| relation.as_str());
        let known = node.known();
        let (sign, class) = known.map_or(("", "known"), |known| (known.sign(), known.class()));
        if !word.is_empty() || !sign.is_empty() {
            tree.tags.push(Tag { x: x - BEND[1] - 2.0, y, word, sign, class });
        }
    }
    tree.nodes.push(Placed {
        node: at,
        x,
        y,
        mark: shape::mark(node.relation),
        org: label.org,
        label: label.name,
        class,
        title: title(node),
        href: node.name.href(),
        letter: licence.letter,
    });
}

/// About how wide a label is set, erring to the wide side.
fn width(label: &str) -> f64 {
    label.chars().map(|c| if c.is_uppercase() || matches!(c, 'm' | 'w' | '_') { 10.4 } else { 7.9 }).sum()
}

/// Where the children that are not drawn can be seen and searched.
pub fn more_href(name: &Name) -> String {
    name.below("children")
}

fn title(node: &LineageNode) -> String {
    let relation = node.relation.map_or("root", |relation| relation.as_str());
    let ghost = if node.ghost { ", only known by name" } else { "" };
    let known = match node.grounds() {
        grounds if node.relation.is_some() && !grounds.is_empty() => format!("; {grounds}"),
        _ => String::new(),
    };
    format!("{} ({relation}, {}{ghost}{known})", node.name, node.licence_class().meaning)
}

fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// The legend of the picture.
pub fn legend() -> Vec<(&'static str, &'static str)> {
    shape::legend()
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
