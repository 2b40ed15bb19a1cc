//! Constraints between resources, as far as they can be judged without the scheduler. Floor 0.
//!
//! What names a set, a pattern or a rule of its own is kept by its id and marked `complex`: to say
//! what it comes to is the scheduler's business.

use super::read::owned;
use super::{CibError, Location};
use crate::cluster::xml::Element;

/// A colocation constraint, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Colocation {
    /// Its id.
    pub id: String,
    /// The resource that is placed.
    pub resource: Option<String>,
    /// The role that it is limited to.
    pub role: Option<String>,
    /// The resource that it is placed with.
    pub with: Option<String>,
    /// The role of that one.
    pub with_role: Option<String>,
    /// Its score, as written; `INFINITY` where none is.
    pub score: Option<String>,
    /// It has sets or a rule, which we do not evaluate.
    pub complex: bool,
}

/// An order constraint, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// What comes first.
    pub first: Option<String>,
    /// The action that comes first; `start` where none is written.
    pub first_action: Option<String>,
    /// What comes after it.
    pub then: Option<String>,
    /// The action that comes after it; the first one's where none is written.
    pub then_action: Option<String>,
    /// `Mandatory`, `Optional`, `Serialize`.
    pub kind: Option<String>,
    /// Whether the reverse holds for stopping; true where nothing is written.
    pub symmetrical: Option<String>,
    /// It has sets, which we do not evaluate.
    pub complex: bool,
}

/// A rule of a location constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocationRule {
    /// Its score, as written.
    pub score: Option<String>,
    /// The role it is limited to, as written.
    pub role: Option<String>,
    /// The node, where the rule is no more than "the node of this name"; none where it says more.
    pub node: Option<String>,
}

pub(super) fn colocation(element: &Element) -> Result<Colocation, CibError> {
    Ok(Colocation {
        id: super::read::required(element, "id")?.to_owned(),
        resource: owned(element, "rsc"),
        role: owned(element, "rsc-role"),
        with: owned(element, "with-rsc"),
        with_role: owned(element, "with-rsc-role"),
        score: owned(element, "score"),
        complex: element.children.iter().any(|c| c.name == "rule" || c.name == "resource_set"),
    })
}

pub(super) fn order(element: &Element) -> Result<Order, CibError> {
    Ok(Order {
        id: super::read::required(element, "id")?.to_owned(),
        first: owned(element, "first"),
        first_action: owned(element, "first-action"),
        then: owned(element, "then"),
        then_action: owned(element, "then-action"),
        kind: owned(element, "kind"),
        symmetrical: owned(element, "symmetrical"),
        complex: element.child("resource_set").is_some(),
    })
}

pub(super) fn location(element: &Element) -> Result<Location, CibError> {
    Ok(Location {
        id: super::read::required(element, "id")?.to_owned(),
        resource: owned(element, "rsc"),
        node: owned(element, "node"),
        score: owned(element, "score"),
        role: owned(element, "role"),
        rules: element.children_named("rule").map(rule).collect(),
        complex: element.attr("rsc-pattern").is_some()
            || element.children.iter().any(|c| c.name == "rule" || c.name == "resource_set"),
    })
}

fn rule(element: &Element) -> LocationRule {
    let node = match element.children.as_slice() {
        [one]
            if one.name == "expression"
                && one.attr("attribute") == Some("#uname")
                && one.attr("operation") == Some("eq") =>
        {
            owned(one, "value")
        }
        _ => None,
    };
    LocationRule { score: owned(element, "score"), role: owned(element, "role"), node }
}
