//! What `attrd_updater --query --all --output-as=xml` prints: one attribute on all nodes. Floor 0.

use std::collections::BTreeMap;

use super::node::NodeName;
use super::xml::{self, XmlError};

/// Why that output is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributesError {
    /// Not an XML document.
    #[error("attrd_updater printed no whole XML document: {0}")]
    Xml(XmlError),
    /// It reported a failure of its own.
    #[error("attrd_updater reports error {code}: {message}")]
    Reported {
        /// Pacemaker's exit code.
        code: String,
        /// Its words.
        message: String,
    },
    /// A part is missing that every version prints.
    #[error("attrd_updater printed no {0}")]
    Missing(&'static str),
    /// It answered about another attribute.
    #[error("attrd_updater was asked for {asked} and answered about {answered:?}")]
    Another {
        /// The attribute asked for.
        asked: String,
        /// The attribute that came.
        answered: String,
    },
}

/// The exit code for an attribute that no node has (`CRM_EX_CONFIG`), in all three versions.
const NO_SUCH_ATTRIBUTE: &str = "78";

/// Reads the values of the attribute `name`, by node.
///
/// Nodes on which it is empty are left out: Pacemaker's attribute manager cannot forget an
/// attribute, deleting one sets it to the empty string. A host that is no node name is left out
/// too, since it can be nobody's. That no node has ever had the attribute is an empty answer, and
/// the only failure that is one.
pub fn parse(name: &str, text: &str) -> Result<BTreeMap<NodeName, String>, AttributesError> {
    let root = xml::parse(text).map_err(AttributesError::Xml)?;
    let status = root.child("status").ok_or(AttributesError::Missing("<status>"))?;
    let code = status.attr("code").ok_or(AttributesError::Missing("code of <status>"))?;
    if code != "0" {
        let errors: Vec<&str> =
            status.walk().filter(|e| e.name == "error").map(|e| e.text.as_str()).collect();
        if code == NO_SUCH_ATTRIBUTE
            && errors.iter().any(|words| words.contains("attribute does not exist"))
        {
            return Ok(BTreeMap::new());
        }
        let message = if errors.is_empty() {
            status.attr("message").unwrap_or("no message").to_owned()
        } else {
            errors.join("; ")
        };
        return Err(AttributesError::Reported { code: code.to_owned(), message });
    }
    let mut values = BTreeMap::new();
    for attribute in root.children_named("attribute") {
        let of = attribute.attr("name").ok_or(AttributesError::Missing("name of an attribute"))?;
        if of != name {
            return Err(AttributesError::Another { asked: name.into(), answered: of.into() });
        }
        let host =
            attribute.attr("host").ok_or(AttributesError::Missing("host of an attribute"))?;
        let value = attribute.attr("value").unwrap_or_default();
        if let (Ok(node), false) = (host.parse(), value.is_empty()) {
            values.insert(node, value.to_owned());
        }
    }
    Ok(values)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn document(inside: &str) -> String {
        format!(
            "<pacemaker-result api-version=\"2.38\" request=\"attrd_updater\">{inside}</pacemaker-result>"
        )
    }

    #[test]
    fn a_deleted_attribute_and_a_strange_host_are_left_out() {
        let text = document(
            "<attribute name=\"a\" value=\"x=1 | y &lt;&amp;\" host=\"n1\"/>\
             <attribute name=\"a\" value=\"\" host=\"n2\"/>\
             <attribute name=\"a\" value=\"v\" host=\"no node\"/>\
             <status code=\"0\" message=\"OK\"/>",
        );
        let values = parse("a", &text).unwrap();
        assert_eq!(
            values.into_iter().collect::<Vec<_>>(),
            [("n1".parse().unwrap(), "x=1 | y <&".into())]
        );
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_an_error_and_not_an_empty_answer() {
        let rows: &[(&str, &str)] = &[
            ("", "no <status>"),
            ("<status message=\"OK\"/>", "no code of <status>"),
            ("<status code=\"102\" message=\"Not connected\"/>", "error 102: Not connected"),
            (
                "<status code=\"78\" message=\"Invalid\"><errors><error>bad name</error></errors></status>",
                "error 78: bad name",
            ),
            ("<attribute name=\"b\" value=\"1\" host=\"n1\"/><status code=\"0\"/>", "about \"b\""),
            ("<attribute name=\"a\" value=\"1\"/><status code=\"0\"/>", "no host"),
        ];
        for (inside, expected) in rows {
            let error = parse("a", &document(inside)).unwrap_err().to_string();
            assert!(error.contains(expected), "{inside}: {error}");
        }
        assert!(parse("a", "attrd_updater: Unknown option --output-as=xml").is_err());
        assert!(parse("a", "").is_err());
    }
}
