//! Activities as they are stored.

use protocol::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::convert::stored;

/// An activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// The identifier.
    #[serde(rename = "_id", with = "stored")]
    pub id: Id,
    /// Whose it is. Always a participant.
    #[serde(with = "stored")]
    pub host_id: Id,
    /// What it is called.
    pub title: String,
    /// What it is about.
    #[serde(default)]
    pub description: String,
    /// `academic`, `hobby`, `wellness` or `social`.
    pub activity_type: String,
    /// Where it takes place, in the host's words.
    #[serde(default)]
    pub location_type: String,
    /// When it begins.
    #[serde(with = "stored")]
    pub date_time: Timestamp,
    /// How long it takes, in minutes.
    pub duration: i64,
    /// How many may take part, the host included.
    pub max_participants: i64,
    /// Who takes part, the host among them.
    #[serde(with = "stored")]
    pub participants: Vec<Id>,
    /// Its conversation, once there is one.
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Id>,
    /// When it was made.
    #[serde(with = "stored")]
    pub created_at: Timestamp,
    /// When it was last changed, by its host or by somebody who joined or left.
    #[serde(with = "stored")]
    pub updated_at: Timestamp,
    /// The last change, written with it in one piece so that the change stream carries all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ActivityChange>,
}

/// What was changed about an activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityChange {
    /// `join`, `leave` or `update`.
    pub kind: String,
    /// Who joined, left or changed it.
    #[serde(with = "stored")]
    pub user: Id,
    /// When.
    #[serde(with = "stored")]
    pub at: Timestamp,
}
