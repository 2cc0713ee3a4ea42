//! Method and path to an entry of the table.

use std::sync::LazyLock;

use hyper::Method;
use matchit::Router;
use protocol::Id;

use super::{ENDPOINTS, Endpoint, Verb};

/// An endpoint that was found, with what the path says.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) endpoint: &'static Endpoint,
    /// Its place in the table.
    pub(crate) place: usize,
    /// Its name.
    pub(crate) name: &'static str,
    /// The identifiers, in the order of the path.
    ids: [Option<Id>; 2],
    /// The seal of an upload.
    pub(crate) seal: String,
}

impl Call {
    /// The path's first identifier.
    pub(crate) fn id(&self) -> Id {
        // A path with an identifier was matched only with one.
        self.ids[0].unwrap_or(Id::from_bytes([0; 12]))
    }

    /// The path's second identifier.
    pub(crate) fn other(&self) -> Id {
        self.ids[1].unwrap_or(Id::from_bytes([0; 12]))
    }
}

/// Why no endpoint was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// There is nothing at this path.
    NotFound,
    /// There is, but not with this method; these would do.
    Method(String),
    /// An identifier of the path is none.
    BadId,
}

/// Method and path of each of [`ENDPOINTS`], in their order: their names in metrics.
pub(crate) static ROUTES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let route = |endpoint: &Endpoint| format!("{} {}", endpoint.verb.as_str(), endpoint.path);
    ENDPOINTS.iter().map(route).collect()
});

/// An endpoint with its place in the table and its name.
type Entry = (usize, &'static Endpoint, String);
/// The endpoints of each path.
type Paths = Router<Vec<Entry>>;

/// Insertion fails only where two paths cannot be told apart, which the first start would show.
static PATHS: LazyLock<Paths> = LazyLock::new(|| {
    let mut by_path: Vec<(&'static str, Vec<Entry>)> = Vec::new();
    for (place, endpoint) in ENDPOINTS.iter().enumerate() {
        let entry = (place, endpoint, endpoint.name());
        match by_path.iter_mut().find(|(path, _)| *path == endpoint.path) {
            Some((_, entries)) => entries.push(entry),
            None => by_path.push((endpoint.path, vec![entry])),
        }
    }
    let mut router = Router::new();
    for (path, entries) in by_path {
        if let Err(error) = router.insert(path, entries) {
            tracing::error!(%error, path, "a path of the table is left out");
        }
    }
    router
});

/// Finds the endpoint of a request.
pub(crate) fn find(method: &Method, path: &str) -> Result<Call, Miss> {
    let matched = PATHS.at(path).map_err(|_| Miss::NotFound)?;
    let (mut ids, mut seal) = ([None; 2], String::new());
    for (name, value) in matched.params.iter() {
        match name {
            "seal" => value.clone_into(&mut seal),
            _ => ids[usize::from(name == "other")] = Some(value.parse().map_err(|_| Miss::BadId)?),
        }
    }
    let entries = matched.value;
    match entries.iter().find(|(_, endpoint, _)| endpoint.verb.takes(method)) {
        Some((place, endpoint, name)) => Ok(Call { endpoint, place: *place, name, ids, seal }),
        None => Err(Miss::Method(allowed(entries))),
    }
}

fn allowed(entries: &[Entry]) -> String {
    let mut verbs: Vec<&str> = Vec::new();
    for (_, endpoint, _) in entries {
        verbs.push(endpoint.verb.as_str());
        if endpoint.verb == Verb::Get {
            verbs.push("HEAD");
        }
    }
    verbs.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_can_be_told_from_the_others() {
        let id = Id::mint();
        for (place, endpoint) in ENDPOINTS.iter().enumerate() {
            let path = endpoint.path.replace("{id}", &id.to_string()).replace("{other}", &id.to_string());
            let method = Method::from_bytes(endpoint.verb.as_str().as_bytes()).unwrap();
            let found = find(&method, &path).unwrap();
            assert_eq!(found.endpoint.operation, endpoint.operation, "{path}");
            assert_eq!((found.name, found.place), (endpoint.name().as_str(), place));
            if endpoint.path.contains("{id}") {
                assert_eq!(found.id(), id);
            }
        }
        assert_eq!(find(&Method::POST, protocol::command::PATH).unwrap().name, "commands");
    }

    #[test]
    fn methods_and_identifiers() {
        let id = Id::mint();
        let miss = |method: Method, path: &str| find(&method, path).unwrap_err();
        assert_eq!(miss(Method::DELETE, "/api/conversations"), Miss::Method("GET, HEAD, POST".to_owned()));
        assert_eq!(miss(Method::GET, "/api/conversations/12"), Miss::BadId);
        assert_eq!(miss(Method::POST, &format!("/api/users/{id}/friends/x")), Miss::BadId);
        assert!(find(&Method::HEAD, "/api/auth/me").is_ok());
        let seal = find(&Method::GET, &format!("/api/uploads/{id}/a-b")).unwrap().seal;
        assert_eq!(seal, "a-b");
    }

    #[test]
    fn tricks_with_paths_lead_nowhere() {
        for path in [
            "/",
            "",
            "/api",
            "/api/auth",
            "/api/conversations/",
            "/api//auth/me",
            "/internal",
            "/api/../internal/commands",
            "/api/%2e%2e/internal/commands",
            "/API/auth/me",
            "//api/auth/me",
            "/api/auth/me/",
            "api/auth/me",
            "/api/{id}",
            "/api/users/{id}",
        ] {
            assert!(matches!(find(&Method::GET, path), Err(Miss::NotFound | Miss::BadId)), "{path}");
        }
    }
}
