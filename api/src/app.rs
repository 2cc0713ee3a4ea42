//! What every handler works with.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::{HeaderMap, Request};
use protocol::Id;
use protocol::code::text;
use protocol::token::Claims;
use service::throttle::Throttle;
use store::Store;
use store::document::{Profile, User};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::Failure;
use crate::commit::Commit;
use crate::config::Config;
use crate::marks::Marks;
use crate::metrics::METRICS;
use crate::password::Passwords;
use crate::people::People;
use crate::request::bearer;
use crate::view::Views;

/// How many files are sent at the same time; each takes a megabyte or two.
const DOWNLOADS: usize = 256;

/// The api's parts. Shared by all requests.
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) config: Config,
    pub(crate) people: People,
    pub(crate) passwords: Passwords,
    pub(crate) commit: Commit,
    pub(crate) marks: Marks,
    pub(crate) views: Views,
    pub(crate) uploads_throttle: Throttle<Id>,
    addresses_throttle: Throttle<IpAddr>,
    accounts_throttle: Throttle<String>,
    invites_throttle: Throttle<Id>,
    changes_throttle: Throttle<Id>,
    /// What is carried out even if the client goes away.
    pub(crate) tasks: TaskTracker,
    /// Downloads that may be under way.
    pub(crate) downloads: Arc<Semaphore>,
    stop_views: CancellationToken,
}

/// To whoever names somebody else where they must name themself.
pub(crate) const NOT_YOURS: &str = "This is not your account";

/// From where a request came; one of its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(pub(crate) IpAddr);

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
            marks: Marks::start(store.clone()),
            views,
            uploads_throttle: Throttle::new(config.upload_rate_per_user),
            addresses_throttle: Throttle::new(config.auth_rate_per_address),
            accounts_throttle: Throttle::new(config.auth_rate_per_account),
            invites_throttle: Throttle::new(config.invite_rate_per_user),
            changes_throttle: Throttle::new(config.change_rate_per_user),
            tasks: TaskTracker::new(),
            downloads: Arc::new(Semaphore::new(DOWNLOADS)),
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

    /// Who makes this request: the token must be good, its user must still exist, and not have ended its session. A share of
    /// one command.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Arc<Profile>, Failure> {
        let claims = self.claims(headers)?;
        let found = self.people.find(claims.user_id).await?;
        let profile = found.ok_or_else(|| Failure::unauthorized(text::USER_NOT_FOUND))?;
        current(&claims, profile.generation)?;
        Ok(profile)
    }

    /// The same, with everything that is stored of them. One command.
    pub(crate) async fn calling_user(&self, headers: &HeaderMap) -> Result<User, Failure> {
        let claims = self.claims(headers)?;
        let found = self.store.user(claims.user_id).await?;
        let user = found.ok_or_else(|| Failure::unauthorized(text::USER_NOT_FOUND))?;
        current(&claims, user.generation)?;
        Ok(user)
    }

    /// The same, where the path names a user, who must be the caller.
    pub(crate) async fn own_user(&self, headers: &HeaderMap, named: Id) -> Result<User, Failure> {
        let user = self.calling_user(headers).await?;
        if user.id == named { Ok(user) } else { Err(Failure::forbidden(NOT_YOURS)) }
    }

    fn claims(&self, headers: &HeaderMap) -> Result<Claims, Failure> {
        let token = bearer(headers).ok_or_else(|| Failure::unauthorized(text::TOKEN_REQUIRED))?;
        self.config.tokens.verify(token).map_err(|_| Failure::unauthorized(text::INVALID_TOKEN))
    }

    /// Counts an attempt to register or to sign in against the client's address.
    pub(crate) fn admit_address<B>(&self, request: &Request<B>) -> Result<(), Failure> {
        let Some(Client(address)) = request.extensions().get() else {
            return Err(Failure::fault("a request without the address of its client"));
        };
        let key = service::client_address::throttle_key(*address);
        self.addresses_throttle.check(&key).map_err(throttled)
    }

    /// Counts an attempt to register with an address.
    pub(crate) fn admit_registration(&self, email: &str) -> Result<(), Failure> {
        // No address has a blank in it.
        self.accounts_throttle.check(&format!("register {email}")).map_err(throttled)
    }

    /// Counts an attempt to sign in against an account, whether it exists or not.
    pub(crate) fn admit_account(&self, email: &str) -> Result<(), Failure> {
        self.accounts_throttle.check(&email.to_owned()).map_err(throttled)
    }

    /// Counts an attempt of somebody who is signed in to prove it with the password. Not with the attempts of those who are not:
    /// whoever guesses at a password from outside must not keep its owner from changing it.
    pub(crate) fn admit_own_account(&self, id: Id) -> Result<(), Failure> {
        self.accounts_throttle.check(&id.to_string()).map_err(throttled)
    }

    /// Counts people whom a user brings into conversations.
    pub(crate) fn admit_invites(&self, user: Id, people: usize) -> Result<(), Failure> {
        let people = u32::try_from(people).unwrap_or(u32::MAX);
        self.invites_throttle.check_many(&user, people).map_err(throttled)
    }

    /// Counts a change of what others are told about at once: a conversation, or who takes part in an activity.
    pub(crate) fn admit_change(&self, user: Id) -> Result<(), Failure> {
        self.changes_throttle.check(&user).map_err(throttled)
    }
}

/// Refuses a token from before the user's sessions were ended.
pub(crate) fn current(claims: &Claims, generation: i64) -> Result<(), Failure> {
    if claims.generation == generation { Ok(()) } else { Err(Failure::unauthorized(text::INVALID_TOKEN)) }
}

pub(crate) fn throttled(wait: std::time::Duration) -> Failure {
    METRICS.throttled.inc();
    Failure::throttled(wait)
}
