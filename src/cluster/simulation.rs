//! What `crm_simulate --simulate --output-as=xml` prints: what Pacemaker would do next. Floor 0.

use super::xml::{self, Element, XmlError};

/// Why that output is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// Not an XML document.
    #[error("crm_simulate printed no whole XML document: {0}")]
    Xml(XmlError),
    /// A part is missing that every version prints.
    #[error("crm_simulate printed no {0}")]
    Missing(&'static str),
}

/// The actions, in its order, each in a few words: `promote db:1 on n2`. None: it would do nothing.
pub fn parse(text: &str) -> Result<Vec<String>, SimulationError> {
    let root = xml::parse(text).map_err(SimulationError::Xml)?;
    let status = root.child("status").and_then(|status| status.attr("code"));
    if status != Some("0") {
        return Err(SimulationError::Missing("<status> of success"));
    }
    let actions = root.child("actions").ok_or(SimulationError::Missing("<actions>"))?;
    Ok(actions.walk().filter(|one| one.name.ends_with("_action")).map(words).collect())
}

fn words(action: &Element) -> String {
    let of = |names: &[&str]| names.iter().find_map(|name| action.attr(name));
    let what = of(&["action", "task"]).unwrap_or("?");
    match (of(&["resource"]), of(&["dest", "node", "source"])) {
        (Some(resource), Some(node)) => format!("{what} {resource} on {node}"),
        (Some(one), None) | (None, Some(one)) => format!("{what} {one}"),
        (None, None) => what.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn document(inside: &str) -> String {
        format!("<pacemaker-result api-version=\"2.25\">{inside}</pacemaker-result>")
    }

    #[test]
    fn what_would_be_done_is_told_and_nothing_is_nothing() {
        let done = "<status code=\"0\" message=\"OK\"/>";
        let rows: &[(&str, &[&str])] = &[
            ("<actions/>", &[]),
            (
                "<actions><rsc_action action=\"demote\" resource=\"db:0\" role=\"Promoted\" \
                 next-role=\"Unpromoted\" source=\"n1\"/><rsc_action action=\"start\" \
                 resource=\"db:1\" node=\"n2\"/><rsc_action action=\"move\" resource=\"ip\" \
                 source=\"n1\" dest=\"n2\"/><node_action task=\"fence\" node=\"n3\"/></actions>",
                &["demote db:0 on n1", "start db:1 on n2", "move ip on n2", "fence n3"],
            ),
            // A form that is not known is an action all the same.
            ("<actions><new_action what=\"x\"/></actions>", &["?"]),
        ];
        for (inside, expected) in rows {
            assert_eq!(parse(&document(&format!("{inside}{done}"))).unwrap(), *expected);
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error_and_not_an_empty_answer() {
        for (inside, words) in [
            ("", "no <status>"),
            ("<status code=\"0\"/>", "no <actions>"),
            ("<actions/><status code=\"65\"/>", "no <status>"),
        ] {
            assert!(parse(&document(inside)).unwrap_err().to_string().contains(words), "{inside}");
        }
        assert!(parse("").is_err());
    }
}
