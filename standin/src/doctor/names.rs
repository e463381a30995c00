//! `dns = "www.example.net"`: a name's addresses are exactly the VIPs it stands for, as the system
//! resolver sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{Finding, Findings};
use crate::file::ClusterFile;
use crate::host::resolve;

/// The resolver has no time limit that we could set; after this it is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// More addresses than this are counted instead of listed.
const MOST_LISTED: usize = 6;

/// Asks for every name of the file and compares.
pub fn judge(file: &ClusterFile, findings: &mut Findings) {
    let mut expected: BTreeMap<&str, BTreeSet<IpAddr>> = BTreeMap::new();
    for group in &file.vips {
        for name in &group.dns {
            let addresses = group.addresses().map(|(address, _)| address);
            expected.entry(name).or_default().extend(addresses);
        }
    }
    for (name, vips) in expected {
        compare(name, &vips, ask(name), findings);
    }
}

pub(super) fn ask(name: &str) -> Result<BTreeSet<IpAddr>, String> {
    let (tell, answer) = mpsc::channel();
    // A final dot: the search list of resolv.conf has no say. A name without a dot is not for DNS.
    let question = if name.contains('.') { format!("{name}.") } else { name.to_owned() };
    // Left alone when it takes too long: it ends with the process.
    let asking = thread::Builder::new().name("resolver".into()).spawn(move || {
        let found = resolve(&question).map(|found| found.iter().map(|one| one.ip).collect());
        let _ = tell.send(found.map_err(|failure| super::in_one_line(&failure)));
    });
    match asking {
        Ok(_) => answer
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| Err(format!("no answer within {}s", PATIENCE.as_secs()))),
        Err(error) => Err(crate::failure::plain_io(&error)),
    }
}

fn compare(
    name: &str,
    vips: &BTreeSet<IpAddr>,
    found: Result<BTreeSet<IpAddr>, String>,
    findings: &mut Findings,
) {
    let found = match found {
        Ok(found) => found,
        Err(why) => {
            findings.push(Finding::warn("dns", name, why));
            return;
        }
    };
    let missing: Vec<IpAddr> = vips.difference(&found).copied().collect();
    let others: Vec<IpAddr> = found.difference(vips).copied().collect();
    if missing.is_empty() && others.is_empty() {
        findings.ok("dns", name, format!("its addresses are exactly the VIPs: {}", list(&found)));
        return;
    }
    if !missing.is_empty() {
        let records: BTreeSet<&str> =
            missing.iter().map(|ip| if ip.is_ipv4() { "A" } else { "AAAA" }).collect();
        let records: Vec<&str> = records.into_iter().collect();
        let listed = list(&missing);
        findings.push(
            Finding::warn("dns", name, format!("it does not lead to the VIP {listed}"))
                .to_do(format!("add {} records, or look at /etc/hosts", records.join(" and "))),
        );
    }
    if !others.is_empty() {
        let listed = list(&others);
        findings.push(
            Finding::warn(
                "dns",
                name,
                format!("it also leads to {listed}, which nobody takes over"),
            )
            .to_do("make it a VIP, or remove its record"),
        );
    }
}

fn list<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    let all: Vec<String> = addresses.into_iter().map(IpAddr::to_string).collect();
    match all.len().checked_sub(MOST_LISTED) {
        Some(more @ 1..) => format!("{} and {more} more", all[..MOST_LISTED].join(", ")),
        _ => all.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(vips: &[&str], found: &[&str]) -> String {
        let set = |texts: &[&str]| -> BTreeSet<IpAddr> {
            texts.iter().map(|text| text.parse().expect("an address")).collect()
        };
        let mut findings = Findings::default();
        compare("www.example.net", &set(vips), Ok(set(found)), &mut findings);
        findings.render(false)
    }

    #[test]
    fn the_records_are_exactly_the_vips() {
        let text = said(&["10.0.0.9", "fd00::9"], &["fd00::9", "10.0.0.9"]);
        assert_eq!(
            text,
            "ok    dns  www.example.net  its addresses are exactly the VIPs: 10.0.0.9, fd00::9\n"
        );
        let text = said(&["10.0.0.9", "fd00::9"], &["10.0.0.8"]);
        assert!(text.contains("does not lead to the VIP 10.0.0.9, fd00::9"), "{text}");
        assert!(text.contains("add A and AAAA records"), "{text}");
        assert!(text.contains("it also leads to 10.0.0.8, which nobody takes over"), "{text}");
    }

    #[test]
    fn a_name_that_cannot_exist_is_a_warning() {
        let mut findings = Findings::default();
        compare(
            "no-such-host.invalid",
            &BTreeSet::new(),
            ask("no-such-host.invalid"),
            &mut findings,
        );
        assert!(findings.render(false).starts_with("warn  dns"), "{findings:?}");
    }

    #[test]
    fn a_long_list_is_counted() {
        let many: Vec<IpAddr> = (1..=9).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        assert!(list(&many).ends_with("10.0.0.6 and 3 more"), "{}", list(&many));
        assert_eq!(list(&many[..2]), "10.0.0.1, 10.0.0.2");
    }
}
