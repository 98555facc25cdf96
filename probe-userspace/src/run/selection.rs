//! What is captured, from the configuration: rules and expression, compiled for the interfaces, and what is said of them.

use super::Error;
use super::mode::Mode;
use super::plan::Port;
use crate::config;
use crate::source::LinkLayer;
use crate::source::bpf::{Expression, Selector};
use crate::source::packet::link_layer;
use crate::source::selection::Selection;
use crate::source::xdp::CaptureFilter;

/// Link layers of the interfaces.
pub(super) fn links(ports: &[Port]) -> Vec<LinkLayer> {
    ports.iter().map(|port| link_layer(port.interface.hardware_type)).collect()
}

/// Compiles the expression for these link layers.
pub(super) fn selection(
    rules: CaptureFilter,
    expression: Option<&Expression>,
    links: &[LinkLayer],
) -> Result<Selection, Error> {
    let Some(expression) = expression else { return Ok(Selection { rules, selector: None }) };
    if let Some(LinkLayer::Other(hardware_type)) =
        links.iter().find(|link| matches!(link, LinkLayer::Other(_)))
    {
        return Err(Error::Config(config::Error::Word {
            option: "-f",
            value: format!("'{expression}'"),
            reason: format!("an interface has a link layer (ARPHRD type {hardware_type}) that is not read"),
            mend: "leave that interface out".into(),
        }));
    }
    let selector = Selector::new(expression, links).map_err(config::Error::from)?;
    Ok(Selection { rules, selector: Some(selector) })
}

/// Where the expression is run, for people.
pub(super) fn sentences(selection: &Selection, ports: &[Port]) -> Vec<String> {
    let Some(selector) = &selection.selector else { return Vec::new() };
    let of = |port: &Port| {
        format!("{}: -f '{}': {}", port.interface.name, selector.expression(), how(selection, port))
    };
    ports.iter().map(of).collect()
}

fn how(selection: &Selection, port: &Port) -> String {
    let rules = selection.selector.as_ref().and_then(Selector::rules);
    match (port.mode, rules) {
        (Mode::Xdp, Some((words, _))) if selection.rules.is_empty() => format!(
            "the XDP program passes to the host what 'net|port|proto' rules '{words}' do not select; the workers judge the rest"
        ),
        (Mode::Xdp, Some(_)) => {
            "the workers judge what --capture-filter selects; the XDP program has one set of rules".into()
        }
        (Mode::Xdp, None) => {
            "the workers judge every frame: rules of the XDP program would leave out what it selects (ARP, VLAN or \
             other than IP); what they leave out does not reach the host"
                .into()
        }
        (Mode::Packet, _) => {
            "the kernel spares the copy of what it does not select, where it can tell; the workers judge every frame"
                .into()
        }
    }
}
