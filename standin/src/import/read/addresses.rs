//! Addresses, and what stands on their line: `virtual_ipaddress`, `unicast_peer`, `unicast_src_ip`.

use std::net::IpAddr;

use super::Reader;
use crate::cli::options::unusable;
use crate::import::model::{Address, Said};
use crate::import::remarks::{Kind, Remark};
use crate::import::texts::Fault;
use crate::import::tree::Statement;
use crate::import::words::Word;

impl Reader<'_> {
    /// An address that one host can have.
    pub(super) fn host(&mut self, word: &Word) -> Option<Said<IpAddr>> {
        let alone = word.text.split(['%', '/']).next().unwrap_or_default();
        match alone.parse() {
            Ok(ip) if unusable(ip).is_none() => Some(Said { value: ip, place: word.place }),
            Ok(ip) => {
                let kind = unusable(ip).unwrap_or_default();
                self.faults.push(Fault::new(word.place, format!("{ip} is {kind}")));
                None
            }
            Err(_) => {
                let fault = Fault::new(word.place, format!("'{}' is not an address", word.text));
                let fault = fault.label("expected an IPv4 or IPv6 address");
                self.faults.push(match left_in(&word.text) {
                    Some(name) => fault.help(format!(
                        "${name} stands for its value only before a space, and below its \
                         definition; ${{{name}}} does before anything"
                    )),
                    None => fault,
                });
                None
            }
        }
    }

    /// A line of `unicast_peer`.
    pub(super) fn peer(&mut self, line: &Statement) -> Option<Said<IpAddr>> {
        let mut words = line.values().iter();
        while let Some(word) = words.next() {
            if word.is("min_ttl") || word.is("max_ttl") {
                words.next();
                let text = "how many routers a heartbeat passes is not looked at";
                self.remarks.push(Remark::new(Kind::Left, line.place, &*word.text, text));
            } else {
                let fault = Fault::new(word.place, format!("'{}' is not understood", word.text));
                self.faults.push(fault.label("expected one address a line"));
            }
        }
        self.host(line.words.first()?)
    }

    pub(super) fn address(&mut self, line: &Statement) -> Option<Address> {
        let word = line.words.first()?;
        let ip = self.host(word)?.value;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match word.text.split_once('/').map(|(_, prefix)| prefix.parse::<u8>()) {
            None => None,
            Some(Ok(prefix)) if (1..=most).contains(&prefix) => Some(prefix),
            Some(_) => {
                let fault = Fault::new(word.place, format!("'{}' has no prefix length", word.text));
                self.faults.push(fault.label(format!("expected /1 to /{most} behind the '/'")));
                return None;
            }
        };
        let mut address = Address { ip, prefix, interface: None, place: line.place };
        self.options(line, &mut address);
        Some(address)
    }

    /// What stands behind an address.
    fn options(&mut self, line: &Statement, address: &mut Address) {
        let mut words = line.values().iter();
        while let Some(word) = words.next() {
            let remark =
                |kind, message: &str| Remark::new(kind, word.place, word.text.as_str(), message);
            match word.text.as_str() {
                "dev" => match words.next() {
                    Some(name) => address.interface = Some(name.text.clone()),
                    None => self.faults.push(
                        Fault::new(word.place, "dev without an interface")
                            .label("expected its name behind it"),
                    ),
                },
                "label" => {
                    words.next();
                    let text = "an address of a cluster has no label; it is marked as standin's";
                    self.remarks
                        .push(remark(Kind::Left, text).advise("ask standin status instead"));
                }
                "brd" | "broadcast" | "scope" | "preferred_lft" => {
                    words.next();
                    let text = "an address is installed in the way that is right for a VIP";
                    self.remarks.push(remark(Kind::NotNeeded, text));
                }
                "peer" => {
                    words.next();
                    let text = "an address has no peer address";
                    self.remarks.push(remark(Kind::Left, text).advise("add a route by a hook"));
                }
                "use_vmac" => {
                    self.remarks.push(remark(Kind::Left, "there are no virtual MAC addresses"));
                }
                "home" | "-nodad" | "nodad" | "mngtmpaddr" | "noprefixroute" | "autojoin"
                | "no_track" => {
                    let text = "an address is installed in the way that is right for a VIP";
                    self.remarks.push(remark(Kind::NotNeeded, text));
                }
                other => {
                    let fault = Fault::new(word.place, format!("'{other}' is not understood"));
                    let label = "expected one address a line, and perhaps 'dev NAME'";
                    self.faults.push(fault.label(label));
                    return;
                }
            }
        }
    }
}

/// The first variable in a word that nothing was put in for.
fn left_in(text: &str) -> Option<&str> {
    let (_, behind) = text.split_once('$')?;
    let end = behind.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    Some(&behind[..end.unwrap_or(behind.len())]).filter(|name| !name.is_empty())
}
