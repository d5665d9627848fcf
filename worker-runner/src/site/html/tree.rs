//! The tree of a page: what html5ever builds, in one vector of nodes that know their neighbours.
//!
//! Deliberately absent: selectors, namespaces of attributes, the contents of templates as documents of their own, and
//! everything that only scripts could ask for.

use std::borrow::Cow;
use std::cell::{Ref, RefCell};
use std::time::{Duration, Instant};

use html5ever::driver::{self, ParseOpts};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeBuilderOpts, TreeSink};
use html5ever::{Attribute, LocalName, QualName, local_name, ns};

/// Bytes that are parsed between two looks at depth and time.
const CHUNK_BYTES: usize = 16 * 1_024;
/// Elements within elements that are parsed.
const DEPTH_MAX: usize = 512;
/// Longest parsing of one page.
const PARSE_MAX: Duration = Duration::from_secs(30);

/// Place of a node in its tree.
pub(crate) type Id = u32;
/// No node.
const NONE: Id = Id::MAX;
/// The document itself.
pub(crate) const ROOT: Id = 0;

/// A parsed page.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    parent: Id,
    previous: Id,
    next: Id,
    first: Id,
    last: Id,
    data: Data,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Data {
    /// An element.
    Element(Element),
    /// Text.
    Text(StrTendril),
    /// The document, a comment, a template's content: nothing that is read.
    Other,
}

/// An element.
#[derive(Debug)]
pub(crate) struct Element {
    /// Its name.
    pub(crate) name: QualName,
    attributes: Vec<Attribute>,
}

impl Element {
    /// The value of an attribute without a namespace.
    pub(crate) fn attr(&self, name: &LocalName) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        let found = attributes.find(|attribute| attribute.name.local == *name && attribute.name.ns == ns!());
        found.map(|attribute| &*attribute.value)
    }

    /// Where it leads as a link of a drawing, by the older `xlink:href`.
    pub(crate) fn older_target(&self) -> Option<&str> {
        let mut attributes = self.attributes.iter().filter(|_| !self.is_html());
        let found = attributes.find(|one| one.name.ns == ns!(xlink) && one.name.local == local_name!("href"));
        found.map(|attribute| &*attribute.value)
    }

    /// Whether it is an element of HTML, and not of a drawing or a formula.
    pub(crate) fn is_html(&self) -> bool {
        self.name.ns == ns!(html)
    }

    /// The names of its attributes.
    pub(crate) fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|attribute| &*attribute.name.local)
    }
}

impl Tree {
    /// Parses as a browser without scripts does, so that `<noscript>` has content; the flag tells whether all was parsed.
    ///
    /// Parsing costs time by depth, so that a page of nothing but `<div>` would keep a core busy for hours. Browsers
    /// stop nesting at 512; here the rest of such a page is dropped, and so is that of a page which takes too long.
    pub(crate) fn parse(html: &str) -> (Self, bool) {
        let tree_builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
        let options = ParseOpts { tree_builder, ..ParseOpts::default() };
        let mut parser = driver::parse_document(Sink::new(), options);
        let start = Instant::now();
        let mut rest = html;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(rest.floor_char_boundary(CHUNK_BYTES));
            rest = after;
            parser.process(StrTendril::from(chunk));
            if parser.tokenizer.sink.sink.0.borrow().is_deep() || start.elapsed() > PARSE_MAX {
                break;
            }
        }
        (parser.finish(), rest.is_empty())
    }

    /// What a node is.
    pub(crate) fn data(&self, id: Id) -> &Data {
        &self.nodes[id as usize].data
    }

    /// The element at a place, if there is one.
    pub(crate) fn element(&self, id: Id) -> Option<&Element> {
        match self.data(id) {
            Data::Element(element) => Some(element),
            Data::Text(_) | Data::Other => None,
        }
    }

    /// The node around a node.
    pub(crate) fn parent(&self, id: Id) -> Option<Id> {
        some(self.nodes[id as usize].parent)
    }

    /// The next node in document order below `root`, with the children of `at` or without them. `left` is told about
    /// every node that has been passed with all it holds.
    pub(crate) fn after(&self, root: Id, at: Id, into_children: bool, mut left: impl FnMut(Id)) -> Option<Id> {
        let node = &self.nodes[at as usize];
        if into_children && node.first != NONE {
            return Some(node.first);
        }
        let mut at = at;
        loop {
            left(at);
            if at == root {
                return None;
            }
            let node = &self.nodes[at as usize];
            if node.next != NONE {
                return Some(node.next);
            }
            at = node.parent;
            if at == NONE {
                return None;
            }
        }
    }

    /// All nodes inside a node, in document order.
    pub(crate) fn descendants(&self, root: Id) -> impl Iterator<Item = Id> {
        let first = self.after(root, root, true, |_| ());
        std::iter::successors(first, move |at| self.after(root, *at, true, |_| ()))
    }

    /// The nodes around a node, from the inside out.
    pub(crate) fn ancestors(&self, id: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(self.parent(id), |at| self.parent(*at))
    }

    fn is_deep(&self) -> bool {
        let last = Id::try_from(self.nodes.len() - 1).unwrap_or(NONE);
        self.ancestors(last).take(DEPTH_MAX + 1).count() > DEPTH_MAX
    }

    fn add(&mut self, data: Data) -> Id {
        let id = Id::try_from(self.nodes.len()).expect("a page has far fewer bytes than ids");
        self.nodes.push(Node { parent: NONE, previous: NONE, next: NONE, first: NONE, last: NONE, data });
        id
    }

    fn at(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    fn append(&mut self, parent: Id, child: Id) {
        self.detach(child);
        let last = self.nodes[parent as usize].last;
        self.at(child).parent = parent;
        self.at(child).previous = last;
        self.at(parent).last = child;
        if last == NONE { self.at(parent).first = child } else { self.at(last).next = child }
    }

    fn insert_before(&mut self, sibling: Id, child: Id) {
        self.detach(child);
        let Node { parent, previous, .. } = self.nodes[sibling as usize];
        let node = self.at(child);
        (node.parent, node.previous, node.next) = (parent, previous, sibling);
        self.at(sibling).previous = child;
        if previous == NONE { self.at(parent).first = child } else { self.at(previous).next = child }
    }

    fn detach(&mut self, id: Id) {
        let Node { parent, previous, next, .. } = self.nodes[id as usize];
        if parent == NONE {
            return;
        }
        if previous == NONE {
            self.at(parent).first = next
        } else {
            self.at(previous).next = next
        }
        if next == NONE {
            self.at(parent).last = previous
        } else {
            self.at(next).previous = previous
        }
        let node = self.at(id);
        (node.parent, node.previous, node.next) = (NONE, NONE, NONE);
    }

    /// Adds text to the text at `at`; `false` if there is none.
    fn extend_text(&mut self, at: Id, text: &StrTendril) -> bool {
        if at == NONE {
            return false;
        }
        let Data::Text(known) = &mut self.at(at).data else { return false };
        known.push_tendril(text);
        true
    }
}

fn some(id: Id) -> Option<Id> {
    (id != NONE).then_some(id)
}

/// What html5ever builds the tree through.
struct Sink(RefCell<Tree>);

impl Sink {
    fn new() -> Self {
        let mut tree = Tree { nodes: Vec::new() };
        tree.add(Data::Other);
        Self(RefCell::new(tree))
    }
}

impl TreeSink for Sink {
    type Handle = Id;
    type Output = Tree;
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> Tree {
        self.0.into_inner()
    }

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> Id {
        ROOT
    }

    fn elem_name<'a>(&'a self, target: &'a Id) -> Ref<'a, QualName> {
        Ref::map(self.0.borrow(), |tree| {
            &tree.element(*target).expect("html5ever asks for names of elements only").name
        })
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, flags: ElementFlags) -> Id {
        let mut tree = self.0.borrow_mut();
        let id = tree.add(Data::Element(Element { name, attributes }));
        if flags.template {
            let content = tree.add(Data::Other);
            tree.append(id, content);
        }
        id
    }

    fn create_comment(&self, _text: StrTendril) -> Id {
        self.0.borrow_mut().add(Data::Other)
    }

    fn create_pi(&self, _target: StrTendril, _data: StrTendril) -> Id {
        self.0.borrow_mut().add(Data::Other)
    }

    fn append(&self, parent: &Id, child: NodeOrText<Id>) {
        let mut tree = self.0.borrow_mut();
        match child {
            NodeOrText::AppendNode(child) => tree.append(*parent, child),
            NodeOrText::AppendText(text) => {
                let last = tree.nodes[*parent as usize].last;
                if !tree.extend_text(last, &text) {
                    let child = tree.add(Data::Text(text));
                    tree.append(*parent, child);
                }
            }
        }
    }

    fn append_based_on_parent_node(&self, element: &Id, previous: &Id, child: NodeOrText<Id>) {
        let has_parent = self.0.borrow().parent(*element).is_some();
        if has_parent { self.append_before_sibling(element, child) } else { self.append(previous, child) }
    }

    fn append_doctype_to_document(&self, _name: StrTendril, _public: StrTendril, _system: StrTendril) {}

    fn get_template_contents(&self, target: &Id) -> Id {
        self.0.borrow().nodes[*target as usize].first
    }

    fn same_node(&self, one: &Id, other: &Id) -> bool {
        one == other
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Id, child: NodeOrText<Id>) {
        let mut tree = self.0.borrow_mut();
        if tree.parent(*sibling).is_none() {
            return;
        }
        match child {
            NodeOrText::AppendNode(child) => tree.insert_before(*sibling, child),
            NodeOrText::AppendText(text) => {
                let previous = tree.nodes[*sibling as usize].previous;
                if !tree.extend_text(previous, &text) {
                    let child = tree.add(Data::Text(text));
                    tree.insert_before(*sibling, child);
                }
            }
        }
    }

    fn add_attrs_if_missing(&self, target: &Id, attributes: Vec<Attribute>) {
        let mut tree = self.0.borrow_mut();
        let Data::Element(element) = &mut tree.at(*target).data else { return };
        for attribute in attributes {
            if element.attributes.iter().all(|known| known.name != attribute.name) {
                element.attributes.push(attribute);
            }
        }
    }

    fn remove_from_parent(&self, target: &Id) {
        self.0.borrow_mut().detach(*target);
    }

    fn reparent_children(&self, node: &Id, new_parent: &Id) {
        let mut tree = self.0.borrow_mut();
        while let Some(child) = some(tree.nodes[*node as usize].first) {
            tree.append(*new_parent, child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `body(p(text),b)` for the elements and texts below the root.
    fn shape(html: &str) -> String {
        let (tree, _) = Tree::parse(html);
        let mut out = String::new();
        let mut at = Some(ROOT);
        while let Some(id) = at {
            match tree.data(id) {
                Data::Element(element) => out.push_str(&format!("<{}>", element.name.local)),
                Data::Text(text) => out.push_str(text),
                Data::Other => {}
            }
            at = tree.after(ROOT, id, true, |left| {
                if let Some(element) = tree.element(left) {
                    out.push_str(&format!("</{}>", element.name.local));
                }
            });
        }
        out
    }

    #[test]
    fn a_tree_is_what_browsers_make_of_bad_html() {
        for (html, expected) in [
            ("a&amp;b<!-- c -->", "<html><head></head><body>a&b</body></html>"),
            // the expected trees are those of the HTML standard, 13.2.10: misnested tags, text in tables
            ("<p>1<b>2<i>3</b>4</i>5", "<html><head></head><body><p>1<b>2<i>3</i></b><i>4</i>5</p></body></html>"),
            (
                "<table><b><tr><td>a</td></tr>b</table>c",
                "<html><head></head><body><b></b><b>b</b><table><tbody><tr><td>a</td></tr></tbody></table><b>c</b></body></html>",
            ),
            (
                "<a href=1>x<div><a href=2>y",
                "<html><head></head><body><a>x</a><div><a></a><a>y</a></div></body></html>",
            ),
        ] {
            assert_eq!(shape(html), expected, "{html}");
        }
    }

    #[test]
    fn descendants_end_with_the_node_they_belong_to() {
        let (tree, whole) = Tree::parse("<div><p>a<b>b</b></p></div><p>c");
        assert!(whole);
        let div = tree.descendants(ROOT).find(|id| tree.element(*id).is_some_and(|found| &*found.name.local == "div"));
        let inside = tree.descendants(div.expect("there")).filter(|id| tree.element(*id).is_some()).count();
        assert_eq!(inside, 2);
    }
}
