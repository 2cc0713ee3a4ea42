//! What every handler works with.

use std::sync::Arc;

use hyper::HeaderMap;
use protocol::code::text;
use store::Store;
use store::document::Profile;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::answer::Failure;
use crate::commit::Commit;
use crate::config::Config;
use crate::password::Passwords;
use crate::people::People;
use crate::request::bearer;
use crate::view::Views;

/// The api's parts. Shared by all requests.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) config: Config,
    pub(crate) people: People,
    pub(crate) passwords: Passwords,
    pub(crate) commit: Commit,
    stop_views: CancellationToken,
}

impl App {
    /// Starts the parts. The task that is returned ends after [`App::stop`], when the last views are written.
    pub(crate) fn start(store: Store, config: Config) -> (Self, JoinHandle<()>) {
        let views = Views::default();
        let stop_views = CancellationToken::new();
        let writing = views.clone().run(store.clone(), config.view_interval, stop_views.clone());
        let app = Self {
            people: People::start(store.clone()),
            passwords: Passwords::new(),
            commit: Commit::start(&store, &views, config.commit_timeout),
            store,
            config,
            stop_views,
        };
        (app, tokio::spawn(writing))
    }

    /// Lets the last views be written.
    pub(crate) fn stop(&self) {
        self.stop_views.cancel();
    }

    /// Who makes this request: the token must be good and its user must still exist.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Arc<Profile>, Failure> {
        let id = self.claimed(headers)?;
        self.people.find(id).await?.ok_or_else(|| Failure::unauthorized(text::USER_NOT_FOUND))
    }

    /// Whom the token names, without asking whether they exist.
    pub(crate) fn claimed(&self, headers: &HeaderMap) -> Result<protocol::Id, Failure> {
        let token = bearer(headers).ok_or_else(|| Failure::unauthorized(text::TOKEN_REQUIRED))?;
        let claims = self.config.tokens.verify(token);
        claims.map(|claims| claims.user_id).map_err(|_| Failure::unauthorized(text::INVALID_TOKEN))
    }
}
