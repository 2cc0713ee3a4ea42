//! The REST API on its own: shapes, texts, refusals, and what its promises cost.
//!
//! | module | shows |
//! |---|---|
//! | [`access`] | every endpoint against every kind of stranger |
//! | [`accounts`] | register, login, me, and who is let in |
//! | [`hostile`] | operators, broken JSON and broken HTTP |
//! | [`input`] | what is refused, and how |
//! | [`people`] | the list of users and its search |
//! | [`conversations`] | create, list, get, change |
//! | [`cost`] | how many commands each endpoint takes, and how MongoDB carries them out |
//! | [`openapi`] | the api's document, and that answers against it are noticed |
//! | [`messages`] | send, list, mark as read |
//! | [`property`] | generated requests to every operation |
//! | [`races`] | what many do at the same time, over two nodes |
//! | [`activities`] | activities and their conversations |
//! | [`archive`] | archived conversations |
//! | [`edits`] | messages that are edited or deleted |
//! | [`headers`] | what every answer says, and methods that are not there |
//! | [`profiles`] | one's own profile, and what others see and find of it |
//! | [`relations`] | friends, requests and blocks |
//! | [`sessions`] | passwords, sessions, secrets, the end of an account |
//! | [`throttle`] | who tries too often |
//! | [`storage`] | what the database must look like: validators, versions, indexes, files |
//! | [`uploads`] | files in and out |
//! | [`weather`] | MongoDB away, slow clients, stopping |
//! | [`fixture`] | an api node and its users |

pub(crate) mod access;
mod accounts;
mod activities;
mod archive;
mod conversations;
mod cost;
mod edits;
pub(crate) mod fixture;
mod headers;
mod hostile;
mod input;
mod messages;
mod openapi;
mod people;
mod profiles;
mod property;
mod races;
mod relations;
mod sessions;
mod storage;
mod throttle;
mod uploads;
mod weather;
