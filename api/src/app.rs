//! What every handler works with.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::{HeaderMap, Request};
use protocol::code::text;
use protocol::token::Claims;
use protocol::{ErrorCode, Id};
use service::health::Check;
use service::monitoring::Monitoring;
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
use crate::metrics::{Limit, Metrics};
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
    pub(crate) metrics: Arc<Metrics>,
    /// Whether MongoDB takes writes.
    pub(crate) mongodb: Check,
    /// Whether requests are taken.
    pub(crate) serving: Check,
    uploads_throttle: Throttle<Id>,
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

/// To a probe.
const PROBE: &str = "This account can do nothing but exchange messages over a socket";

/// To whoever names somebody else where they must name themself.
pub(crate) const NOT_YOURS: &str = "This is not your account";

/// From where a request came; one of its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(pub(crate) IpAddr);

impl App {
    /// Starts the parts. The task that is returned ends after [`App::stop`], when the last views are written.
    pub(crate) fn start(store: Store, config: Config, monitoring: &Monitoring) -> (Self, JoinHandle<()>) {
        let metrics = Metrics::new(&monitoring.registry);
        let views = Views::default();
        let stop_views = CancellationToken::new();
        let (interval, written) = (config.view_interval, metrics.views.clone());
        let writing = views.clone().run(store.clone(), interval, written, stop_views.clone());
        let app = Self {
            people: People::start(store.clone(), &metrics),
            passwords: Passwords::new(metrics.password.clone()),
            commit: Commit::start(&store, &views, config.commit_timeout, &metrics),
            marks: Marks::start(store.clone(), &metrics),
            views,
            mongodb: monitoring.health.check("mongodb"),
            serving: monitoring.health.check("serving"),
            metrics,
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

    /// Whether what is asked for now can be done.
    pub(crate) fn is_ready(&self) -> Result<(), Failure> {
        let unavailable = |why: &str| Failure::new(ErrorCode::Unavailable, why);
        if !self.serving.holds() {
            return Err(unavailable("This node takes no more requests"));
        }
        if !self.mongodb.holds() {
            return Err(unavailable("MongoDB does not take writes"));
        }
        Ok(())
    }

    /// Who makes this request: the token must be good, its user must still exist, and not have ended its session. A
    /// share of one command.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Arc<Profile>, Failure> {
        let claims = self.claims(headers)?;
        let found = self.people.find(claims.user_id).await?;
        let profile = found.ok_or_else(|| Failure::unauthorized(text::USER_NOT_FOUND))?;
        current(&claims, profile.generation)?;
        no_probe(profile.probe.as_ref())?;
        Ok(profile)
    }

    /// The same, with everything that is stored of them. One command.
    pub(crate) async fn calling_user(&self, headers: &HeaderMap) -> Result<User, Failure> {
        let claims = self.claims(headers)?;
        let found = self.store.user(claims.user_id).await?;
        let user = found.ok_or_else(|| Failure::unauthorized(text::USER_NOT_FOUND))?;
        current(&claims, user.generation)?;
        no_probe(user.probe.as_ref())?;
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
        self.addresses_throttle.check(&key).map_err(self.throttled(Limit::Address))
    }

    /// Counts an attempt to register with an address.
    pub(crate) fn admit_registration(&self, email: &str) -> Result<(), Failure> {
        // No address has a blank in it.
        self.admit_account_key(&format!("register {email}"))
    }

    /// Counts an attempt to sign in against an account, whether it exists or not.
    pub(crate) fn admit_account(&self, email: &str) -> Result<(), Failure> {
        self.admit_account_key(&email.to_owned())
    }

    /// Counts an attempt of somebody who is signed in to prove it with the password. Not with the attempts of those who
    /// are not: whoever guesses at a password from outside must not keep its owner from changing it.
    pub(crate) fn admit_own_account(&self, id: Id) -> Result<(), Failure> {
        self.admit_account_key(&id.to_string())
    }

    fn admit_account_key(&self, key: &String) -> Result<(), Failure> {
        self.accounts_throttle.check(key).map_err(self.throttled(Limit::Account))
    }

    /// Counts people whom a user brings into conversations.
    pub(crate) fn admit_invites(&self, user: Id, people: usize) -> Result<(), Failure> {
        let people = u32::try_from(people).unwrap_or(u32::MAX);
        self.invites_throttle.check_many(&user, people).map_err(self.throttled(Limit::Invites))
    }

    /// Counts a change of what others are told about at once: a conversation, or who takes part in an activity.
    pub(crate) fn admit_change(&self, user: Id) -> Result<(), Failure> {
        self.changes_throttle.check(&user).map_err(self.throttled(Limit::Changes))
    }

    /// Counts a file that a user uploads.
    pub(crate) fn admit_upload(&self, user: Id) -> Result<(), Failure> {
        self.uploads_throttle.check(&user).map_err(self.throttled(Limit::Uploads))
    }

    fn throttled(&self, limit: Limit) -> impl Fn(Duration) -> Failure {
        move |wait| {
            self.metrics.throttled(limit);
            Failure::throttled(wait)
        }
    }
}

/// Refuses a token from before the user's sessions were ended.
pub(crate) fn current(claims: &Claims, generation: i64) -> Result<(), Failure> {
    if claims.generation == generation { Ok(()) } else { Err(Failure::unauthorized(text::INVALID_TOKEN)) }
}

/// Refuses the accounts of probes: all they do is exchange messages over their sockets, in the one conversation that
/// they have, so a token of theirs that leaks opens nothing.
fn no_probe(probe: Option<&String>) -> Result<(), Failure> {
    if probe.is_some() { Err(Failure::forbidden(PROBE)) } else { Ok(()) }
}
