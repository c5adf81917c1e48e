//! Members of a lab, each with its namespace.

use crate::LabError;
use crate::net::namespace::Namespace;
use crate::plan::Node;

/// The namespaces of the protected host, the clients and the attackers.
#[derive(Debug)]
pub(crate) struct Members {
    /// The lab's id.
    lab: String,
    namespaces: Vec<(Node, Namespace)>,
}

impl Members {
    pub(crate) fn none_of(lab: &str) -> Self {
        Self { lab: lab.to_owned(), namespaces: Vec::new() }
    }

    pub(crate) fn add(&mut self, node: Node, namespace: Namespace) {
        self.namespaces.push((node, namespace));
    }

    pub(crate) fn all(&self) -> &[(Node, Namespace)] {
        &self.namespaces
    }

    pub(crate) fn namespace(&self, node: &Node) -> Result<&Namespace, LabError> {
        self.namespaces
            .iter()
            .find_map(|(member, namespace)| (member == node).then_some(namespace))
            .ok_or_else(|| {
                LabError::Invalid(format!("`{}` is no member of the lab `{}`", node.name, self.lab))
            })
    }
}
