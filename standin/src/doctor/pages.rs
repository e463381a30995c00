//! `[http]`: whether its files can be used, and whether its address is here. Binds nothing: a run
//! that is under way has the port.

use std::path::PathBuf;

use super::{Finding, Findings, Patient};
use crate::failure::Failure;
use crate::file::{Http, TlsFiles};
use crate::http::Door;

/// Judges where the page and the metrics are to be served.
pub fn judge(patient: &Patient<'_, '_>, findings: &mut Findings) {
    let Some(http) = &patient.file.http else { return };
    let shown = http.listen.to_string();
    let here = |path: &PathBuf| patient.files.path(path);
    let tls = http.tls.as_ref();
    let http = Http {
        listen: http.listen,
        token_file: http.token_file.as_ref().map(here),
        tls: tls.map(|tls| TlsFiles { cert: here(&tls.cert), key: here(&tls.key) }),
    };
    if let Err(failure) = Door::judge(Some(&http), &http) {
        findings.push(Finding::failure("http", &shown, &failure));
        return;
    }
    let ip = http.listen.ip();
    let own = &patient.ground.addresses;
    let anywhere = ip.is_unspecified() || http.is_loopback();
    if !anywhere && !own.iter().any(|address| address.ip == ip.to_canonical()) {
        let failure = Failure::config(format!("{ip} is no address of this host"))
            .expected("an address that is here whenever a run begins, in [http] listen");
        findings.push(Finding::failure("http", &shown, &failure));
        return;
    }
    let to = match (http.is_loopback(), &http.token_file) {
        (true, None) => "to this host",
        (false, None) => "to everybody who reaches it",
        (_, Some(_)) => "to who knows the token",
    };
    findings.ok("http", &shown, format!("the page and the metrics are served {to}"));
}
