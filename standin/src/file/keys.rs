//! Every key that a configuration file may have, in one table: what it takes, what holds without
//! it, and what it means.
//!
//! The reader's list of known keys, the suggestions for an unknown one, the tables of
//! `docs/CONFIGURATION.md` and standin.toml(5) all come from here. Never judges a value. A test
//! writes every default into a file and finds that nothing changes by it.

use self::KeyDefault::{Derived, Needed, Unset, Value};

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
    /// One `[[webhook]]`.
    Webhook,
    /// `[realtime]`.
    Realtime,
}

/// One key of a section. Texts are in Markdown, of one line.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// The kind and the range of its value.
    pub takes: &'static str,
    /// What holds when it is left out.
    pub default: KeyDefault,
    /// What it means.
    pub meaning: &'static str,
}

/// What holds when a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyDefault {
    /// It has to be there; under which condition, or empty.
    Needed(&'static str),
    /// The thing that it names is not there; a word on it.
    Unset(&'static str),
    /// The same as if this were written, in TOML.
    Value(&'static str),
    /// It depends on other keys: how, and what that is, in TOML, with all others left out.
    Derived(&'static str, &'static str),
}

const fn key(
    name: &'static str,
    takes: &'static str,
    default: KeyDefault,
    meaning: &'static str,
) -> Key {
    Key { name, takes, default, meaning }
}

impl Section {
    /// All of them, in the order of the reference.
    pub const ALL: [Self; 10] = [
        Self::Top,
        Self::Node,
        Self::Vip,
        Self::Check,
        Self::Timing,
        Self::Hooks,
        Self::Control,
        Self::Http,
        Self::Webhook,
        Self::Realtime,
    ];

    /// Its keys.
    pub fn keys(self) -> &'static [Key] {
        match self {
            Self::Top => TOP,
            Self::Node => NODE,
            Self::Vip => VIP,
            Self::Check => CHECK,
            Self::Timing => TIMING,
            Self::Hooks => HOOKS,
            Self::Control => CONTROL,
            Self::Http => HTTP,
            Self::Webhook => WEBHOOK,
            Self::Realtime => REALTIME,
        }
    }

    /// The names of its keys.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        self.keys().iter().map(|key| key.name)
    }

    /// Whether it has a key of this name.
    pub fn has(self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// Its header as it is written in a file; that of the top is empty.
    pub fn header(self) -> &'static str {
        match self {
            Self::Top => "",
            Self::Node => "[nodes.NAME]",
            Self::Vip => "[[vip]]",
            Self::Check => "[check.NAME]",
            Self::Timing => "[timing]",
            Self::Hooks => "[hooks]",
            Self::Control => "[control]",
            Self::Http => "[http]",
            Self::Webhook => "[[webhook]]",
            Self::Realtime => "[realtime]",
        }
    }

    /// Where a key of this section stands, as the end of a sentence.
    pub(super) fn place(self) -> String {
        match self {
            Self::Top => "at the top of the file, before the first [header]".to_owned(),
            Self::Node => "in the table of a node".to_owned(),
            Self::Vip | Self::Check | Self::Webhook => format!("in a {}", self.header()),
            Self::Timing | Self::Hooks | Self::Control | Self::Http | Self::Realtime => {
                format!("in {}", self.header())
            }
        }
    }

    /// ` in [timing]`, or nothing for the top.
    pub(super) fn inside(self) -> String {
        if self == Self::Top { String::new() } else { format!(" {}", self.place()) }
    }
}

/// The sections that have a key of this name.
pub fn sections_with(key: &str) -> Vec<Section> {
    Section::ALL.into_iter().filter(|section| section.has(key)).collect()
}

const NONE: KeyDefault = Unset("none");

const TOP: &[Key] = &[
    key(
        "cluster",
        "text: 1 to 63 letters, digits, `-`, `_` and `.`",
        Needed(""),
        "the cluster's name, different from other clusters on the same network",
    ),
    key(
        "key-file",
        "a path; a relative one begins where this file is",
        Needed(""),
        "the file with [the cluster's key](#the-key-file)",
    ),
    key("port", "a number, 1 to 65535", Value("4961"), "the UDP port of the heartbeats"),
    key(
        "authority",
        "`\"none\"` or `\"quorum\"`",
        Value("\"none\""),
        "what gives a node the right to hold a VIP: what it sees, or \
         [a lease of a majority](#a-quorum)",
    ),
    key(
        "lease",
        "a duration, 50ms to 1h; at least two heartbeats, better three",
        Derived("`dead-after`, at least `\"50ms\"`", "\"1s\""),
        "with a quorum: for how long a lease is granted",
    ),
    key(
        "fence",
        "a command, as in `[hooks]`",
        NONE,
        "with a quorum: [it cuts a node off](#fencing)",
    ),
    key(
        "isolated-when-unreachable",
        "an address or a list",
        Unset("none: never judged so"),
        "other hosts, such as the router: a node that reaches neither a peer nor any of these is \
         cut off",
    ),
    key("nodes", "a table", Needed(""), "[the nodes](#nodes)"),
    key(
        "witnesses",
        "a table",
        NONE,
        "with a quorum: [those that vote and hold nothing](#witnesses)",
    ),
    key("vip", "tables", Needed(""), "[the addresses that move](#vip)"),
    key("check", "tables", NONE, "[the checks](#checkname)"),
    key("timing", "a table", Unset("as below"), "[the times](#timing)"),
    key("hooks", "a table", NONE, "[what is run when something happens](#hooks)"),
    key("control", "a table", Unset("as below"), "[the control socket](#control)"),
    key("http", "a table", Unset("none: not served"), "[the page and the metrics](#http)"),
    key("webhook", "tables", Unset("none"), "[who is told of what happens](#webhook)"),
    key("realtime", "a table", Unset("as below"), "[being on time](#realtime)"),
];

const NODE: &[Key] = &[
    key("addresses", "an address or a list", Needed(""), "the node's real addresses"),
    key(
        "witness",
        "`false`",
        Value("false"),
        "a witness is no node, it has [a table of its own](#witnesses)",
    ),
];

const VIP: &[Key] = &[
    key(
        "address",
        "an address, a range `\"10.0.0.10-10.0.0.40\"`, or a list of both; a prefix length may \
         follow: `\"10.0.0.9/24\"`",
        Needed(""),
        "the addresses, IPv4 and IPv6 mixed",
    ),
    key(
        "name",
        "text, as `cluster`",
        Unset("its addresses; of more than three, the first"),
        "how the group is called",
    ),
    key(
        "home",
        "a node or a list of nodes",
        Needed("without `spread`"),
        "one node: it comes first, then all others in the order of `[nodes]`. A list: these in \
         this order, and no others",
    ),
    key(
        "spread",
        "`true` or `false`",
        Value("false"),
        "a pool: its addresses are shared evenly over the healthy nodes (of the list in `home`, \
         if there is one)",
    ),
    key(
        "interface",
        "text",
        Unset("the one whose subnet they are in"),
        "the interface that carries the addresses, needed for link-local ones where there are several; a node that is not in `home = [...]` need not have it",
    ),
    key(
        "prefix",
        "a number, 1 to 32; for IPv6 to 128",
        Derived("`32`, for IPv6 `128`", "32"),
        "the prefix length of every address of the group",
    ),
    key(
        "check",
        "a check's name or a list",
        NONE,
        "a node is fit for the group when all of these [checks](#checkname) pass",
    ),
    key(
        "failback",
        "`\"yes\"`, `\"no\"`, or a duration, at most 24h",
        Value("\"yes\""),
        "home as soon as home is back; stay; home after so long",
    ),
    key(
        "on-doubt",
        "`\"release\"` or `\"hold\"`",
        Value("\"release\""),
        "what becomes of it [in doubt](#in-doubt)",
    ),
    key(
        "on-answer",
        "`\"wait\"` or `\"takeover\"`",
        Value("\"wait\""),
        "the holder is silent, but something still answers for the address: wait until it stops, \
         or take it",
    ),
    key(
        "as",
        "`\"addresses\"` or `\"routes\"`",
        Derived("by their number: routes from 256 IPv4 addresses on", "\"addresses\""),
        "[how the kernel is told](#addresses-or-routes) to have the IPv4 addresses",
    ),
    key(
        "dns",
        "a DNS name or a list",
        NONE,
        "names whose A and AAAA records should be exactly these addresses, together with those of \
         every other `[[vip]]` that names them; only `standin check` looks",
    ),
];

const CHECK: &[Key] = &[
    key(
        "http",
        "a URL, `http://` or `https://`",
        Needed("without another of the first five"),
        "a page is asked for; the URL's host is `{vip}`, one of the VIPs, or a name that is used \
         as virtual host",
    ),
    key(
        "tcp",
        "a port, or `\"HOST:PORT\"`",
        Needed("without another of the first five"),
        "a connection is opened",
    ),
    key(
        "dns",
        "a name, or `\"//{vip}:PORT/NAME?type=TYPE\"`; TYPE is `A`, `AAAA`, `CNAME`, `MX`, `NS`, `PTR`, \
         `SOA` or `TXT`",
        Needed("without another of the first five"),
        "the name server on the VIP is asked, port 53 and `A` unless it says otherwise, and has to \
         answer with such a record",
    ),
    key(
        "icmp",
        "`\"{vip}\"`, or one of the VIPs",
        Needed("without another of the first five"),
        "an echo request has to be answered; a node answers its own, so it takes `from = \"peers\"`",
    ),
    key(
        "command",
        "a program with its arguments: one text with quotes as in a shell, or a list of words",
        Needed("without another of the first five"),
        "it is run without a shell, and passes when it exits with 0; what it started in its process group ends with it",
    ),
    key(
        "expect-text",
        "text",
        NONE,
        "has to be in the page's first MiB, or be one of the answers of `dns` in full",
    ),
    key(
        "expect-status",
        "HTTP status codes: `200`, `\"200,204\"`, `\"200-299,401\"`",
        Value("\"200-399\""),
        "the page's status has to be one of them",
    ),
    key("insecure", "`true` or `false`", Value("false"), "any TLS certificate will do"),
    key("server-name", "text", Unset("the URL's host"), "the name in the TLS certificate"),
    key(
        "ca-file",
        "a path",
        NONE,
        "a PEM file of certificate authorities to trust beside the system's",
    ),
    key(
        "interval",
        "a duration, 10ms to 1h",
        Derived("`\"1s\"`, at least the timeout", "\"1s\""),
        "from the start of one run to the next",
    ),
    key(
        "timeout",
        "a duration, at most the interval",
        Derived("`\"1s\"`, at most the interval", "\"1s\""),
        "the time that one run has",
    ),
    key("rise", "a number, 1 to 100", Value("2"), "successes in a row that end a failure"),
    key("fall", "a number, 1 to 100", Value("3"), "failures in a row that are a failure"),
    key(
        "from",
        "`\"self\"` or `\"peers\"`",
        Value("\"self\""),
        "each node checks itself; or the other nodes check the holder from outside",
    ),
];

const TIMING: &[Key] = &[
    key(
        "dead-after",
        "a duration, 5ms to 1h",
        Value("\"1s\""),
        "a node is dead when nothing at all was heard of it for so long; everything else is \
         derived from it",
    ),
    key(
        "interval",
        "a duration, 1ms to half of `dead-after`",
        Derived("a quarter of `dead-after`", "\"250ms\""),
        "from one heartbeat to the next",
    ),
    key(
        "back-after",
        "a duration, at most 24h",
        Value("\"1s\""),
        "a node is back when it was heard steadily for so long",
    ),
];

const HOOKS: &[Key] = &[
    key(
        "on-take",
        "a command",
        NONE,
        "this node has taken a VIP: it is on the interface and announced. Also when a run begins \
         with a VIP that the last one left to it (`standin stop --keep`)",
    ),
    key(
        "on-release",
        "a command",
        NONE,
        "this node has given a VIP up: it is no longer on the interface",
    ),
    key(
        "on-doubt",
        "a command",
        NONE,
        "this node is cut off: it cannot know whether it may hold what it holds, and gives it up",
    ),
    key("on-conflict", "a command", NONE, "another host answers for a VIP that this node holds"),
    key(
        "timeout",
        "a duration, 100ms to 10m",
        Value("\"10s\""),
        "the time that one run has; then it is killed with everything that it started in its \
         process group",
    ),
];

const CONTROL: &[Key] = &[
    key(
        "socket",
        "an absolute path",
        Value("\"/run/standin/standin.sock\""),
        "the Unix socket; its directory is made when it is missing",
    ),
    key("mode", "octal digits: `\"0660\"` or `0o660`", Value("\"0660\""), "its permissions"),
    key(
        "group",
        "a group of `/etc/group`, or its number",
        Unset("that of the daemon"),
        "the group that it belongs to",
    ),
];

const HTTP: &[Key] = &[
    key(
        "listen",
        "an address of this host with a TCP port; the port may be left out",
        Value("\"127.0.0.1:4962\""),
        "where page and metrics are served",
    ),
    key(
        "allow-remote",
        "`true` or `false`",
        Value("false"),
        "the address may be one that other hosts reach",
    ),
    key(
        "token-file",
        "a path",
        Unset("none: nobody is asked"),
        "a file whose first line is a token of at least 16 characters; the file may not be \
         readable by everybody",
    ),
    key(
        "tls-cert",
        "a path",
        Unset("none: without TLS"),
        "a PEM file: the certificate, followed by those between it and its authority",
    ),
    key("tls-key", "a path", Needed("with `tls-cert`"), "a PEM file: its private key"),
];

const WEBHOOK: &[Key] = &[
    key(
        "url",
        "a URL, `http://` or `https://`; may hold `user:password@`",
        Needed(""),
        "where events are sent. Its path, too, may be a secret, as chat services hand them out",
    ),
    key(
        "name",
        "text: 1 to 63 letters, digits, `-`, `_` and `.`",
        Unset("the URL's scheme, host and port"),
        "how the log, the metrics and `standin check` call it; nothing more of the URL is shown",
    ),
    key("events", "a list of the names below", Unset("all of them"), "which events"),
    key(
        "secret-file",
        "a path",
        Unset("none: not signed"),
        "a file whose first line, of at least 16 characters, is what events are signed with; the \
         file may not be readable by everybody",
    ),
    key(
        "ca-file",
        "a path",
        Unset("none"),
        "a PEM file of certificate authorities to trust beside the system's",
    ),
    key("timeout", "a duration, 100ms to 1m", Value("\"5s\""), "the time of one attempt"),
    key(
        "retry-for",
        "a duration, at most 24h",
        Value("\"1h\""),
        "an event that is older is not tried again",
    ),
];

const REALTIME: &[Key] = &[
    key(
        "priority",
        "a number, 0 to 49",
        Value("20"),
        "the real-time priority (`SCHED_FIFO`) of the thread that decides, and of nothing that it \
         starts; `0`: scheduled as any other",
    ),
    key(
        "lock-memory",
        "`\"used\"`, `\"all\"` or `\"none\"`",
        Value("\"used\""),
        "what is never swapped out or dropped: what was used once, or the whole program, read in at \
         the start",
    ),
    key(
        "cpus",
        "processors: `\"2\"`, `\"2-3,6\"`",
        Unset("any"),
        "those that the thread that decides runs on; the rest of the daemon runs on any",
    ),
];
