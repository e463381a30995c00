//! Every key that a configuration file may have. The reference in `docs/CONFIGURATION.md` is held
//! to this list by a test, and an unknown key is compared with it.

/// A table of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// What stands before the first header.
    Top,
    /// One node of `[nodes]`, or witness of `[witnesses]`, written as a table.
    Node,
    /// One `[[vip]]`.
    Vip,
    /// One `[check.NAME]`.
    Check,
    /// `[timing]`.
    Timing,
    /// `[hooks]`.
    Hooks,
    /// `[control]`.
    Control,
    /// `[http]`.
    Http,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Top,
        Self::Node,
        Self::Vip,
        Self::Check,
        Self::Timing,
        Self::Hooks,
        Self::Control,
        Self::Http,
    ];

    /// Its keys.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Top => &[
                "cluster",
                "key-file",
                "port",
                "authority",
                "lease",
                "fence",
                "isolated-when-unreachable",
                "nodes",
                "witnesses",
                "vip",
                "check",
                "timing",
                "hooks",
                "control",
                "http",
            ],
            Self::Node => &["addresses", "witness"],
            Self::Vip => &[
                "address",
                "name",
                "home",
                "spread",
                "interface",
                "prefix",
                "check",
                "failback",
                "on-doubt",
                "on-answer",
                "as",
                "dns",
            ],
            Self::Check => &[
                "http",
                "tcp",
                "command",
                "expect-text",
                "expect-status",
                "insecure",
                "server-name",
                "ca-file",
                "interval",
                "timeout",
                "rise",
                "fall",
                "from",
            ],
            Self::Timing => &["dead-after", "interval", "back-after"],
            Self::Hooks => &["on-take", "on-release", "on-doubt", "on-conflict", "timeout"],
            Self::Control => &["socket", "mode", "group"],
            Self::Http => &["listen", "allow-remote", "token-file", "tls-cert", "tls-key"],
        }
    }

    /// Where a key of this section stands, as the end of a sentence.
    pub(super) fn place(self) -> &'static str {
        match self {
            Self::Top => "at the top of the file, before the first [header]",
            Self::Node => "in the table of a node",
            Self::Vip => "in a [[vip]]",
            Self::Check => "in a [check.NAME]",
            Self::Timing => "in [timing]",
            Self::Hooks => "in [hooks]",
            Self::Control => "in [control]",
            Self::Http => "in [http]",
        }
    }

    /// ` in [timing]`, or nothing for the top.
    pub(super) fn inside(self) -> String {
        if self == Self::Top { String::new() } else { format!(" {}", self.place()) }
    }
}

/// The sections that have a key of this name.
pub fn sections_with(key: &str) -> Vec<Section> {
    Section::ALL.into_iter().filter(|section| section.keys().contains(&key)).collect()
}
