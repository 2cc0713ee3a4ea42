//! What must hold when many come at once, when one does not keep up, and when everything changes all the time.
//!
//! | module | shows |
//! |---|---|
//! | [`storm`] | five thousand users who are cut off and come back at once |
//! | [`slow`] | one client that stops reading while a thousand others get a thousand events each |
//! | [`entitlement`] | nobody is given an event that they may not see, and nobody misses one |

mod entitlement;
mod slow;
mod storm;
