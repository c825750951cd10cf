//! The tidy tree, left to right: every leaf gets a row of its own and a parent sits in the middle of its
//! children, or near the first of very many, so nodes of one generation are at least one row apart. Parents beyond the
//! first are joined by light curves; those of the focus that the tree does not pass stand above it, beside its first
//! parent. No recursion, same input, same picture.

use domain::Relation;

use super::{
    chosen::{Item, Shape},
    label::{Label, id, label_x, more_text, scale, title, width},
    shape,
};
use crate::view::{LineageNode, Name, known_class};

const ROW: f64 = 40.0;
/// From a label to the line behind it.
const MARGIN: f64 = 12.0;
/// What the bend of a line takes, and the room between the end of a line and the middle of a mark.
const BEND: [f64; 2] = [28.0, 13.0];
const LEFT: f64 = 18.0;
const TOP: f64 = 34.0;
/// Characters of a label: as many as leave the picture within the frame, and the fewest.
const LABELS: [usize; 3] = [64, 40, 26];
/// The width of the frame on a wide screen.
const FRAME: f64 = 1110.0;
/// Trees of so many nodes have the relation written on their edges.
const SMALL: usize = 40;
/// Curves that a small tree shows at once.
const CURVES: usize = 12;
/// Rows a node may lie below the top of its family: the root of a wide one stays in sight.
const DROP: f64 = 4.0;

/// A node with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// Position in the page's list of nodes.
    pub node: usize,
    /// The name of the model, so that an address can point at it.
    pub id: String,
    pub x: f64,
    pub y: f64,
    pub mark: &'static str,
    /// How much larger the mark is drawn: by the logarithm of the downloads.
    pub scale: f64,
    /// Where its label begins, from the middle of its mark.
    pub label_x: f64,
    /// Organisation with its slash.
    pub org: String,
    /// The name, shortened to fit the column.
    pub label: String,
    pub class: String,
    /// Text for the tooltip and for screen readers.
    pub title: String,
    pub href: String,
    pub letter: &'static str,
    /// An advisory is in force about it.
    pub advised: bool,
}

/// A line from parent to child.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub path: String,
    pub class: &'static str,
}

/// A curve from a further parent to its child.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    pub path: String,
    pub class: String,
    /// The nodes at its ends, by id.
    pub parent: String,
    pub child: String,
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
    pub count: u64,
    /// Whose children they are.
    pub of: Name,
    /// How they descend from it, where they are a group.
    pub relation: Option<Relation>,
    /// Where they can be seen.
    pub href: String,
    /// Whether that is the same tree with the group opened.
    pub opens: bool,
}

/// One step of the nested list that says the same as the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub node: usize,
    /// Places in the list of what is only counted.
    pub more: Vec<usize>,
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
    pub curves: Vec<Curve>,
    pub tags: Vec<Tag>,
    pub more: Vec<More>,
    pub steps: Vec<Step>,
}

impl Tree {
    /// Models that are counted below those drawn and are children of theirs.
    pub fn counted(&self) -> u64 {
        self.more.iter().map(|more| more.count).fold(0, u64::saturating_add)
    }

    /// Whether all of a model's children are drawn.
    pub fn shows_all_of(&self, name: &Name) -> bool {
        self.more.iter().all(|more| more.of != *name)
    }

    /// Whether the curves of all models at once would hide names.
    pub fn many(&self) -> bool {
        self.nodes.len() > SMALL || self.curves.len() > CURVES
    }
}

/// Lays out the nodes; a node whose parent does not stand before it counts as a root.
pub fn layout(nodes: &[LineageNode], focus: usize) -> Tree {
    let shape = Shape::of(nodes, focus);
    let mut places = vec![Place::default(); nodes.len()];
    let mut order = Vec::new();
    let mut tree = Tree::default();
    let mut rows = 0.0;
    for &at in &shape.beside {
        places[at] = Place { depth: shape.depth(focus).saturating_sub(1), y: rows, ..Place::default() };
        order.push(at);
        rows += 1.0;
    }
    let mut stack: Vec<Visit> = shape.roots.iter().rev().map(|&root| Visit::Enter(root)).collect();
    while let Some(visit) = stack.pop() {
        match visit {
            Visit::Enter(at) => {
                places[at].depth = shape.parent[at].map_or(0, |parent| places[parent].depth + 1);
                order.push(at);
                places[at].items = tree.reserve(&nodes[at].name, &shape.items[at]);
                let (mut more, mut opens) = (Vec::new(), false);
                stack.push(Visit::Leave(at));
                for item in places[at].items.iter().rev() {
                    stack.push(match *item {
                        Below::Child(child) => {
                            opens = true;
                            Visit::Enter(child)
                        }
                        Below::More(place) => {
                            more.insert(0, place);
                            Visit::More(place)
                        }
                    });
                }
                tree.steps.push(Step { node: at, more, opens, closes: 0 });
            }
            Visit::More(place) => {
                tree.more[place].y = rows;
                rows += 1.0;
            }
            Visit::Leave(at) => {
                let items = &places[at].items;
                let has_children = items.iter().any(|item| matches!(item, Below::Child(_)));
                if let (true, Some(last)) = (has_children, tree.steps.last_mut()) {
                    last.closes += 1;
                }
                let row = |item: &Below| match *item {
                    Below::Child(child) => (places[child].y, places[child].top),
                    Below::More(place) => (tree.more[place].y, tree.more[place].y),
                };
                let (first, last) = match (items.first(), items.last()) {
                    (Some(first), Some(last)) => (row(first), row(last)),
                    _ => {
                        rows += 1.0;
                        ((rows - 1.0, rows - 1.0), (rows - 1.0, rows - 1.0))
                    }
                };
                places[at].top = first.1;
                places[at].y = ((first.0 + last.0) / 2.0).min(first.1 + DROP);
            }
        }
    }
    for &at in &shape.beside {
        tree.steps.push(Step { node: at, more: Vec::new(), opens: false, closes: 0 });
    }
    let sketch = |most: usize| Plan::of((nodes, &shape, focus), (&places, &order, &tree.more), most);
    let mut plan = sketch(LABELS[0]);
    for most in &LABELS[1..] {
        if plan.width() <= FRAME {
            break;
        }
        plan = sketch(*most);
    }
    let size = (plan.width(), TOP + rows.max(1.0) * ROW);
    for &at in &order {
        plan.draw(&mut tree, at);
    }
    for &at in &order {
        plan.bind(&mut tree, at);
    }
    (tree.width, tree.height) = size;
    tree
}

impl Tree {
    /// What stands below a node, with a place for each "+N more".
    fn reserve(&mut self, of: &Name, items: &[Item]) -> Vec<Below> {
        let groups = items.iter().filter(|item| matches!(item, Item::Rest(_))).count();
        let place = |item: &Item| match item {
            Item::Child(child) => Below::Child(*child),
            Item::Rest(rest) => {
                let kind = rest.relation.filter(|_| groups > 1 || items.len() > 1);
                self.more.push(More {
                    x: 0.0,
                    y: 0.0,
                    text: more_text(rest.count, kind),
                    count: rest.count,
                    of: of.clone(),
                    relation: rest.relation,
                    href: more_href(of),
                    opens: false,
                });
                Below::More(self.more.len() - 1)
            }
        };
        items.iter().map(place).collect()
    }
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

/// The room that is kept on a line for what is written on it.
fn tag_width(node: &LineageNode, worded: bool) -> f64 {
    let sign = if node.known().is_some() { 15.0 } else { 0.0 };
    match node.relation.filter(|_| worded) {
        Some(relation) => sign + 6.0 * relation.as_str().len() as f64,
        None => sign,
    }
}

#[derive(Clone, Copy)]
enum Visit {
    Enter(usize),
    More(usize),
    Leave(usize),
}

/// What stands below a node: a child, or a place in the list of what is only counted.
#[derive(Debug, Clone, Copy)]
enum Below {
    Child(usize),
    More(usize),
}

#[derive(Debug, Clone, Default)]
struct Place {
    depth: usize,
    /// In rows.
    y: f64,
    /// The uppermost row of the node's family.
    top: f64,
    items: Vec<Below>,
}

/// What is drawn, and where.
struct Plan<'a> {
    nodes: &'a [LineageNode],
    shape: &'a Shape,
    places: &'a [Place],
    columns: Vec<Column>,
    focus: usize,
    /// Characters of a label.
    most: usize,
}

impl<'a> Plan<'a> {
    /// The generations, each as wide as its longest label.
    fn of(
        (nodes, shape, focus): (&'a [LineageNode], &'a Shape, usize),
        (places, order, more): (&'a [Place], &[usize], &[More]),
        most: usize,
    ) -> Self {
        let worded = order.len() <= SMALL;
        let mut columns: Vec<Column> = Vec::new();
        for &at in order {
            let depth = places[at].depth;
            columns.resize(columns.len().max(depth + 1), Column { worded, ..Column::default() });
            let column = &mut columns[depth];
            let label = Label::of(&nodes[at], most, (at == focus).then_some(at));
            column.room = column.room.max(label_x(&nodes[at]) + label.width + MARGIN);
            if shape.parent[at].is_some() {
                column.tag = column.tag.max(tag_width(&nodes[at], worded));
            }
            for item in &places[at].items {
                let Below::More(place) = item else { continue };
                columns.resize(columns.len().max(depth + 2), Column { worded, ..Column::default() });
                let next = &mut columns[depth + 1];
                next.room = next.room.max(width(&more[*place].text));
            }
        }
        let mut x = LEFT;
        for (at, column) in columns.iter_mut().enumerate() {
            x += if at == 0 { 0.0 } else { BEND[0] + BEND[1] + column.tag };
            x = x.round();
            column.x = x;
            x += column.room;
        }
        Self { nodes, shape, places, columns, focus, most }
    }

    fn width(&self) -> f64 {
        self.columns.last().map_or(0.0, |column| column.x + column.room).ceil()
    }

    fn label(&self, at: usize) -> Label {
        Label::of(&self.nodes[at], self.most, (at == self.focus).then_some(at))
    }

    /// Where the middle of a node's mark is.
    fn spot(&self, at: usize) -> (f64, f64) {
        (self.columns[self.places[at].depth].x, down(self.places[at].y))
    }

    /// Draws a node, the line to each of its children and to what is only counted, and what is written on its own.
    fn draw(&self, tree: &mut Tree, at: usize) {
        let node = &self.nodes[at];
        let depth = self.places[at].depth;
        let (x, y) = self.spot(at);
        let licence = node.licence_class();
        let label = self.label(at);
        let mut class = format!("node {}", licence.class);
        for (on, word) in [(node.ghost, " ghost"), (at == self.focus, " focus")] {
            class.push_str(if on { word } else { "" });
        }
        // Only nodes with something below them have a column after their own.
        let next = self.columns.get(depth + 1).copied().unwrap_or_default();
        let bend = next.bend();
        let start = x + label_x(node) + label.width + 3.0;
        let line_from = |start: f64, to: f64| {
            let (start, end) = (start.min(bend), next.x - BEND[1]);
            format!(
                "M{start:.0} {y:.1}H{bend:.0}C{:.0} {y:.1} {:.0} {to:.1} {:.0} {to:.1}H{end:.0}",
                bend + 18.0,
                bend + 10.0,
                bend + BEND[0]
            )
        };
        // Where a plain line is the trunk, others branch off it.
        let plain = |child: usize| !self.nodes[child].contradicted && !self.nodes[child].inferred;
        let trunk = self.shape.children(at).any(plain);
        for item in &self.places[at].items {
            match *item {
                Below::Child(child) => {
                    let class = match &self.nodes[child] {
                        LineageNode { contradicted: true, .. } => "line contradicted",
                        LineageNode { inferred: true, .. } => "line inferred",
                        _ => "line",
                    };
                    let start = if trunk && !plain(child) { bend } else { start };
                    let path = line_from(start, down(self.places[child].y));
                    tree.lines.push(Line { path, class });
                }
                Below::More(place) => {
                    let more = &mut tree.more[place];
                    (more.x, more.y) = (next.x, down(more.y));
                    let path = line_from(start, more.y);
                    tree.lines.push(Line { path, class: "line inferred" });
                }
            }
        }
        if self.shape.parent[at].is_some() {
            let worded = self.columns[depth].worded;
            let word = node.relation.filter(|_| worded).map_or("", |relation| relation.as_str());
            let known = node.known();
            let (sign, class) = known.map_or(("", "known"), |known| (known.sign(), known_class(&known)));
            if !word.is_empty() || !sign.is_empty() {
                tree.tags.push(Tag { x: x - BEND[1] - 2.0, y, word, sign, class });
            }
        }
        tree.nodes.push(Placed {
            node: at,
            id: id(&node.name),
            x,
            y,
            mark: shape::mark(node.relation),
            scale: scale(node.downloads),
            label_x: label_x(node),
            org: label.org,
            label: label.name,
            class,
            title: title(self.nodes, at),
            href: node.name.href(),
            letter: licence.letter,
            advised: node.advised,
        });
    }

    /// Draws the curves from a node's further parents.
    fn bind(&self, tree: &mut Tree, at: usize) {
        let (x, y) = self.spot(at);
        for further in &self.nodes[at].further {
            if !self.shape.is_drawn(further.node) || further.node == at {
                continue;
            }
            let (from_x, from_y) = self.spot(further.node);
            let (end, y) = (x - BEND[1], y + 3.0);
            // From a parent further left a curve leaves behind its label, from any other before its mark.
            let path = match self.places[further.node].depth < self.places[at].depth {
                true => {
                    let parent = &self.nodes[further.node];
                    let start = from_x + label_x(parent) + self.label(further.node).width + 3.0;
                    let middle = (start + end) / 2.0;
                    format!(
                        "M{start:.0} {from_y:.1}C{middle:.0} {from_y:.1} {middle:.0} {y:.1} {end:.0} {y:.1}"
                    )
                }
                false => {
                    let (start, left) = (from_x - BEND[1], from_x.min(x) - BEND[0] - BEND[1]);
                    format!("M{start:.0} {from_y:.1}C{left:.0} {from_y:.1} {left:.0} {y:.1} {end:.0} {y:.1}")
                }
            };
            let mut class = "further".to_owned();
            for (on, word) in [
                (further.contradicted, " contradicted"),
                (further.inferred && !further.contradicted, " inferred"),
                (at == self.focus, " on"),
            ] {
                class.push_str(if on { word } else { "" });
            }
            let (parent, child) = (id(&self.nodes[further.node].name), id(&self.nodes[at].name));
            tree.curves.push(Curve { path, class, parent, child });
        }
    }
}

/// The middle of a row.
fn down(row: f64) -> f64 {
    TOP / 2.0 + ROW * (row + 0.5)
}

/// Where the children that are not drawn can be seen and searched.
pub fn more_href(name: &Name) -> String {
    name.below("children")
}

/// The legend of the picture.
pub fn legend() -> Vec<(&'static str, &'static str)> {
    shape::legend()
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
