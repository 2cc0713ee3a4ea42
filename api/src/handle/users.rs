//! The list of users.

use hyper::Request;
use hyper::body::Incoming;
use protocol::model::User;

use crate::answer::{Answer, Failure, ok};
use crate::app::App;
use crate::render;
use crate::request::Query;

/// `GET /api/users`: two commands.
pub(super) async fn list(app: &App, request: &Request<Incoming>) -> Result<Answer, Failure> {
    app.caller(request.headers()).await?;
    let query = Query::parse(request.uri().query());
    let limit = query.limit()?;
    let found = app.store.search_users(query.search()?, query.skip(limit)?, limit).await?;
    let users: Vec<User> = found.into_iter().map(render::user).collect();
    Ok(ok(&users))
}
