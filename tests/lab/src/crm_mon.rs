//! The output of `crm_mon` as a value.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::config::{PRIMITIVE, VIP};
use crate::error::{LabError, Result};

/// The cluster's state as one node sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CrmMon {
    /// There is a DC, and its partition has quorum.
    pub quorum: bool,
    /// All nodes of the configuration.
    pub nodes: Vec<NodeState>,
    /// Every instance of every resource.
    pub resources: Vec<ResourceState>,
    /// Failed actions, newest results only.
    pub failures: Vec<Failure>,
    /// Node attributes that last until reboot: (node, name) → value.
    pub attributes: BTreeMap<(String, String), String>,
}

/// A node in `crm_mon`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeState {
    /// Its name.
    pub name: String,
    /// A member, and its controller has joined.
    pub online: bool,
    /// To be fenced.
    pub unclean: bool,
    /// In standby.
    pub standby: bool,
    /// In maintenance.
    pub maintenance: bool,
}

/// An instance of a resource in `crm_mon`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceState {
    /// The primitive's id.
    pub id: String,
    /// Promoted, Unpromoted, Started, Stopped, Starting, …
    pub role: String,
    /// Its last result was a failure.
    pub failed: bool,
    /// Where it runs.
    pub node: Option<String>,
}

/// A failed action in `crm_mon`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// `pgtwin_monitor_3000`.
    pub op: String,
    /// Where.
    pub node: String,
    /// The exit code in words.
    pub status: String,
    /// The agent's reason.
    pub reason: String,
}

impl CrmMon {
    /// Reads `crm_mon --output-as=xml`.
    pub fn parse(xml: &str) -> Result<Self> {
        let mut reader = Reader::from_str(xml);
        let mut mon = Self::default();
        let mut in_nodes = false;
        let mut attributes_of = String::new();
        let mut path: Vec<String> = Vec::new();
        loop {
            let event = reader
                .read_event()
                .map_err(|error| LabError::plain(format!("crm_mon's XML is broken: {error}")))?;
            let (tag, empty) = match &event {
                Event::Start(tag) => (tag, false),
                Event::Empty(tag) => (tag, true),
                Event::End(_) => {
                    if path.pop().as_deref() == Some("nodes") {
                        in_nodes = false;
                    }
                    continue;
                }
                Event::Eof => return Ok(mon),
                _ => continue,
            };
            let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
            match name.as_str() {
                "current_dc" => mon.quorum = attribute(tag, "with_quorum") == "true",
                "node" if in_nodes => mon.nodes.push(node_state(tag)),
                "node" if path.last().is_some_and(|parent| parent == "node_attributes") => {
                    attributes_of = attribute(tag, "name");
                }
                "attribute" => {
                    let key = (attributes_of.clone(), attribute(tag, "name"));
                    mon.attributes.insert(key, attribute(tag, "value"));
                }
                "node" if path.last().is_some_and(|parent| parent == "resource") => {
                    if let Some(resource) = mon.resources.last_mut() {
                        resource.node = Some(attribute(tag, "name"));
                    }
                }
                "resource" => mon.resources.push(ResourceState {
                    id: attribute(tag, "id"),
                    role: attribute(tag, "role"),
                    failed: attribute(tag, "failed") == "true",
                    node: None,
                }),
                "failure" => mon.failures.push(Failure {
                    op: attribute(tag, "op_key"),
                    node: attribute(tag, "node"),
                    status: attribute(tag, "exitstatus"),
                    reason: attribute(tag, "exitreason"),
                }),
                _ => {}
            }
            if !empty {
                // The summary has counts in elements of other names; the list is on top.
                in_nodes = in_nodes || (name == "nodes" && path.len() == 1);
                path.push(name);
            }
        }
    }

    /// Where the clone is promoted; several names would be a disaster.
    pub fn promoted(&self) -> Vec<&str> {
        self.where_is(PRIMITIVE, "Promoted")
    }

    /// Where the clone runs unpromoted.
    pub fn unpromoted(&self) -> Vec<&str> {
        self.where_is(PRIMITIVE, "Unpromoted")
    }

    /// Where the address is.
    pub fn vip(&self) -> Vec<&str> {
        self.where_is(VIP, "Started")
    }

    /// Where a resource has a role.
    pub fn where_is(&self, id: &str, role: &str) -> Vec<&str> {
        let with_id = |one: &&ResourceState| one.id == id || one.id.split(':').next() == Some(id);
        self.resources
            .iter()
            .filter(with_id)
            .filter(|one| one.role == role)
            .filter_map(|one| one.node.as_deref())
            .collect()
    }

    /// A node attribute that lasts until reboot.
    pub fn attribute(&self, node: &str, name: &str) -> Option<&str> {
        self.attributes.get(&(node.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// A node's promotion score of the clone; none where it may not be promoted.
    pub fn score(&self, node: &str) -> Option<i64> {
        self.attribute(node, &format!("master-{PRIMITIVE}"))?.parse().ok()
    }

    /// One node's state.
    pub fn node(&self, name: &str) -> Option<&NodeState> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Names of the nodes that are online and clean.
    pub fn online(&self) -> Vec<&str> {
        let good = |node: &&NodeState| node.online && !node.unclean;
        self.nodes.iter().filter(good).map(|node| node.name.as_str()).collect()
    }
}

fn node_state(tag: &BytesStart<'_>) -> NodeState {
    NodeState {
        name: attribute(tag, "name"),
        online: attribute(tag, "online") == "true",
        unclean: attribute(tag, "unclean") == "true",
        standby: attribute(tag, "standby") == "true",
        maintenance: attribute(tag, "maintenance") == "true",
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> String {
    tag.try_get_attribute(name)
        .ok()
        .flatten()
        .and_then(|attribute| attribute.unescape_value().ok().map(std::borrow::Cow::into_owned))
        .unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const THREE_NODES: &str = r#"<pacemaker-result api-version="2.38" request="crm_mon">
  <summary><current_dc present="true" name="n2" with_quorum="true"/><nodes_configured number="2"/></summary>
  <nodes>
    <node name="n1" id="1" online="true" standby="false" maintenance="false" unclean="false"/>
    <node name="n2" id="2" online="false" standby="true" maintenance="false" unclean="true"/>
  </nodes>
  <resources>
    <clone id="pgtwin-clone" multi_state="true">
      <resource id="pgtwin" role="Promoted" failed="false"><node name="n1" id="1" cached="true"/></resource>
      <resource id="pgtwin" role="Stopped" failed="true"/>
    </clone>
    <resource id="vip" role="Started" failed="false"><node name="n1" id="1" cached="true"/></resource>
  </resources>
  <node_attributes>
    <node name="n1"><attribute name="master-pgtwin" value="1000"/></node>
    <node name="n2"><attribute name="master-pgtwin" value="-INFINITY"/></node>
  </node_attributes>
  <failures>
    <failure op_key="pgtwin_start_0" node="n2" exitstatus="error" exitreason="no &lt;primary>" exitcode="1"/>
  </failures>
  <status code="0" message="OK"/>
</pacemaker-result>"#;

    #[test]
    fn crm_mon_is_read_into_nodes_resources_and_failures() {
        let mon = CrmMon::parse(THREE_NODES).unwrap();
        assert!(mon.quorum);
        assert_eq!(mon.online(), ["n1"]);
        assert!(mon.node("n2").unwrap().standby && mon.node("n2").unwrap().unclean);
        assert_eq!((mon.promoted(), mon.vip()), (vec!["n1"], vec!["n1"]));
        assert_eq!(mon.resources.iter().filter(|one| one.failed).count(), 1);
        assert_eq!((mon.score("n1"), mon.score("n2"), mon.score("n3")), (Some(1000), None, None));
        assert_eq!(mon.attribute("n2", "master-pgtwin"), Some("-INFINITY"));
        assert_eq!(mon.failures.first().unwrap().reason, "no <primary>");
    }
}
