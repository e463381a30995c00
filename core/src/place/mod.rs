//! Who should hold each VIP group of a cluster, and why: a pure function of one node's view.
//!
//! Owns the rules of placement for 2 to 64 nodes: preference orders, shared pools, failback, what
//! a drain or a failing check means. Never looks at a clock, keeps no state, takes no action.
//!
//! Invariant: a decision names the present holder, a node that may take the group, or nobody.
//!
//! Every node computes this on its own view. Two steps follow from it and no others: the present
//! holder starts a planned move when it decides for another node, and a group that nobody holds
//! is claimed by the node that decides for itself. So views that disagree for a moment do no
//! harm, and equal views give equal decisions.
//!
//! ```text
//!  [`View`] ─▶ case: who could take it, who has it ─▶ settle: one branch per situation ─▶ [`Decision`]
//!                        │         ▲
//!                        ▼         │ (pools only)
//!                        spread: one share for each group of the pool
//!
//!  held by    may keep it              unfit, participates     daemon gone        nobody / two
//!  decision   Keep, or Move to one     Move to the best, or    the best,          the best: Claim /
//!             that is preferred        Keep if there is none   ClaimWhenSilent    one: Resolve
//! ```

mod case;
mod explain;
mod plan;
mod reason;
mod set;
mod settle;
mod spread;
mod view;

pub use explain::{Change, ChangeSentence, Explanation, NodeReport, explain};
pub use plan::{Planned, plan};
pub use reason::{Course, Decision, Names, Rank, Reason, Sentence};
pub use set::{MOST_NODES, NodeId, NodeSet};
pub use settle::{candidates, decide, decide_group};
pub use spread::{Item, Spread, spread};
pub use view::{
    Bar, BarSentence, Group, GroupRules, Health, Holding, Life, NodeView, PoolId, Preference,
    Standing, View, address_key,
};
