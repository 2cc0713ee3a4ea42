//! The REST API on its own: shapes, texts, refusals, and what its promises cost.
//!
//! | module | shows |
//! |---|---|
//! | [`accounts`] | register, login, me, and who is let in |
//! | [`input`] | what is refused, and how |
//! | [`people`] | the list of users and its search |
//! | [`conversations`] | create, list, get, change |
//! | [`messages`] | send, list, mark as read |
//! | [`weather`] | MongoDB away, slow clients, stopping |
//! | [`fixture`] | an api node and its users |

mod accounts;
mod conversations;
pub(crate) mod fixture;
mod input;
mod messages;
mod people;
mod weather;
