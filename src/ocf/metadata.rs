//! The meta-data XML, by which tools and Pacemaker know the agent. Floor 0.
//!
//! It is valid by two schemas that contradict each other: `ra-api-1.dtd`, against which ocf-tester
//! checks, has neither `reload-agent` nor `reloadable` nor `unique-group`; OCF 1.1 has. The internal
//! subset of the DOCTYPE declares what the DTD lacks: of two declarations of one attribute the first
//! counts, and an internal subset is read before an external one (XML 1.0, section 3.3). crmsh hands
//! the text to lxml as Unicode, which refuses an encoding declaration.

use std::fmt::Write as _;

use super::action::SUGGESTIONS;
use super::params::{Spec, TABLE};

/// The agent's name, as in `ocf:heartbeat:pgtwin`.
pub const AGENT: &str = "pgtwin";

/// The version of the OCF resource agent API that the agent follows.
pub const OCF_VERSION: &str = "1.1";

/// One line on the agent.
pub const SHORT: &str = "PostgreSQL with streaming replication as a promotable clone";

/// What it does, in paragraphs.
pub const LONG: &str = "\
Manages one PostgreSQL instance on each node: one is the primary, the others are its standbys by \
streaming replication. Pacemaker decides where, pgtwin knows what each node's data is worth, and \
lets a node that was away follow the primary again where its data fits.

In sync mode (the default) no acknowledged commit is lost without an operator's explicit word: only \
a standby that is proven to have all of them is promoted.

It must be a promotable clone with notify=true, on full nodes of the cluster. Fencing is required. A \
monitor asks PostgreSQL each time, and Pacemaker when its configuration was written and once a minute; one \
with an OCF_CHECK_LEVEL above 0 asks it each time. \"pgtwin status\" shows the \
state of the cluster and the reason for whatever does not happen.";

/// The meta-data of this version of the agent.
pub fn xml(agent_version: &str) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\"?>\n\
         <!DOCTYPE resource-agent SYSTEM \"ra-api-1.dtd\" [\n\
         <!ATTLIST parameter unique-group CDATA #IMPLIED reloadable (1|0) #IMPLIED>\n\
         <!ATTLIST action name NMTOKEN #REQUIRED>\n\
         ]>\n",
    );
    let _ = writeln!(
        xml,
        "<resource-agent name=\"{AGENT}\" version=\"{}\">\n<version>{OCF_VERSION}</version>",
        escaped(agent_version)
    );
    texts(&mut xml, LONG, SHORT);
    xml.push_str("\n<parameters>\n");
    for spec in TABLE {
        parameter(&mut xml, spec);
    }
    xml.push_str("</parameters>\n\n<actions>\n");
    for suggestion in SUGGESTIONS {
        let _ = write!(
            xml,
            "<action name=\"{}\" timeout=\"{}s\"",
            suggestion.action, suggestion.timeout_s
        );
        if let Some(interval) = suggestion.interval_s {
            let _ = write!(xml, " interval=\"{interval}s\"");
        }
        if let Some(depth) = suggestion.depth {
            let _ = write!(xml, " depth=\"{depth}\"");
        }
        if let Some(role) = suggestion.role {
            let _ = write!(xml, " role=\"{}\"", role.name());
        }
        xml.push_str("/>\n");
    }
    xml.push_str("</actions>\n</resource-agent>\n");
    xml
}

fn parameter(xml: &mut String, spec: &Spec) {
    let _ = write!(xml, "<parameter name=\"{}\" required=\"0\"", spec.name);
    if let Some(group) = spec.unique_group {
        let _ = write!(xml, " unique-group=\"{group}\"");
    }
    let _ = writeln!(xml, " reloadable=\"{}\">", u8::from(spec.reloadable));
    texts(xml, &format!("{}\n\n{}", spec.long, spec.facts()), spec.short);
    let _ = write!(xml, "<content type=\"{}\"", spec.kind.name());
    if let Some(default) = spec.default {
        let _ = write!(xml, " default=\"{}\"", escaped(default));
    }
    xml.push_str("/>\n</parameter>\n\n");
}

fn texts(xml: &mut String, long: &str, short: &str) {
    let _ = writeln!(
        xml,
        "<longdesc lang=\"en\">\n{}\n</longdesc>\n<shortdesc lang=\"en\">{}</shortdesc>",
        escaped(&wrapped(long)),
        escaped(short)
    );
}

/// Paragraphs folded to lines that a terminal shows whole.
fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split("\n\n") {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.len() + 1 + word.len() > 78 {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use quick_xml::events::Event;

    use super::*;

    #[test]
    fn the_text_is_well_formed_and_has_every_parameter_once() {
        let xml = xml("0.1.0");
        let mut reader = quick_xml::Reader::from_str(&xml);
        let mut names = Vec::new();
        let mut depth = 0;
        loop {
            match reader.read_event().unwrap() {
                Event::Start(tag) => {
                    depth += 1;
                    if tag.name().as_ref() == b"parameter" {
                        let name = tag.try_get_attribute("name").unwrap().unwrap();
                        names.push(name.unescape_value().unwrap().into_owned());
                    }
                }
                Event::End(_) => depth -= 1,
                Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(depth, 0);
        assert_eq!(names, TABLE.iter().map(|spec| spec.name).collect::<Vec<_>>());
    }

    #[test]
    fn crmsh_can_read_it_for_it_is_ascii_without_an_encoding_declaration() {
        let xml = xml("0.1.0");
        assert!(xml.is_ascii() && !xml.contains("encoding="));
    }

    #[test]
    fn lines_are_folded_and_paragraphs_kept() {
        let text = wrapped(&format!("{}\n\nb", "word ".repeat(40)));
        assert!(text.lines().all(|line| line.len() <= 78) && text.ends_with("word\n\nb"));
    }

    #[test]
    fn what_xml_takes_for_markup_is_escaped() {
        assert_eq!(escaped("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
    }
}
