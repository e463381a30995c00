//! `authority = "quorum"`: whether this kernel can end a lease by itself, and how short one may be.

use super::{Finding, Findings};
use crate::duration;
use crate::file::{Authority, ClusterFile};
use crate::host::quorum::unguarded;
use standin_core::lease::{LENGTH_MIN, LENGTH_MIN_UNGUARDED};

/// Looks at nftables, where a lease needs them.
pub fn judge(file: &ClusterFile, findings: &mut Findings) {
    if let Authority::Quorum { lease } = file.authority {
        tell(lease, unguarded(file).as_deref(), findings);
    }
}

fn tell(lease: std::time::Duration, why_not: Option<&str>, findings: &mut Findings) {
    let shown = duration::show(lease);
    let (shortest, without) = (duration::show(LENGTH_MIN), duration::show(LENGTH_MIN_UNGUARDED));
    let Some(why) = why_not else {
        let what = format!(
            "nftables end a lease of {shown} to the millisecond; the smallest safe one here is {shortest}"
        );
        return findings.ok("quorum", "lease", what);
    };
    let what = format!(
        "nftables cannot be used ({why}): the smallest safe lease here is {without}, and the \
         file has {shown}"
    );
    let finding = if lease < LENGTH_MIN_UNGUARDED {
        Finding::fail("quorum", "lease", what).to_do(format!("or lease = \"{without}\""))
    } else {
        Finding::warn("quorum", "lease", what)
    };
    findings.push(
        finding.to_do("a kernel with CONFIG_NF_TABLES, _ARP, _IPV4 and _IPV6: modprobe nf_tables"),
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn said(lease_ms: u64, why_not: Option<&str>) -> String {
        let mut findings = Findings::default();
        tell(Duration::from_millis(lease_ms), why_not, &mut findings);
        findings.render(false)
    }

    #[test]
    fn a_lease_is_as_short_as_the_kernel_lets_it_be() {
        let text = said(60, None);
        assert!(text.starts_with("ok") && text.contains("one here is 50ms"), "{text}");
        let text = said(60, Some("Protocol not supported"));
        assert!(text.starts_with("fail") && text.contains("the smallest safe lease here is 5s"));
        assert!(text.contains("lease = \"5s\""), "{text}");
        assert!(said(6000, Some("Protocol not supported")).starts_with("warn"));
    }
}
