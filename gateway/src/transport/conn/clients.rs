//! The clients on one connection: at most one in each namespace.

/// Where a client stands. Who is not there has no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Absent,
    /// It asked to be connected, and the application has not answered yet.
    Asked,
    Admitted,
}

/// All clients of a connection. One that only uses the main namespace, as nearly all do, allocates nothing.
pub(super) struct Clients {
    /// The id of the main client's [`Socket`](super::Socket); 0 for none.
    main: u64,
    standing: Standing,
    others: Option<Box<Others>>,
}

/// Never empty.
struct Others(Vec<Other>);

struct Other {
    socket: u64,
    standing: Standing,
    /// With the comma that stands behind it in packets.
    namespace: Box<str>,
}

impl Clients {
    /// How many namespaces a connection may use at the same time.
    const MAX: usize = 64;

    pub(super) const fn new() -> Self {
        Self { main: 0, standing: Standing::Absent, others: None }
    }

    fn others(&self) -> &[Other] {
        self.others.as_deref().map_or(&[], |others| &others.0)
    }

    /// The id of the main client; 0 for none.
    pub(super) fn main(&self) -> u64 {
        self.main
    }

    /// The id of the client in a namespace other than the main one; 0 for none.
    pub(super) fn named(&self, namespace: &str) -> u64 {
        let is = |other: &&Other| other.namespace.strip_suffix(',') == Some(namespace);
        self.others().iter().find(is).map_or(0, |other| other.socket)
    }

    /// A client comes, in the main namespace if none is given. False if one is there, or too many are.
    pub(super) fn enter(&mut self, namespace: Option<&str>, socket: u64, standing: Standing) -> bool {
        let Some(namespace) = namespace else {
            let free = self.main == 0;
            if free {
                (self.main, self.standing) = (socket, standing);
            }
            return free;
        };
        if self.named(namespace) != 0 || self.others().len() >= Self::MAX {
            return false;
        }
        let namespace = format!("{namespace},").into_boxed_str();
        let others = self.others.get_or_insert_with(|| Box::new(Others(Vec::new())));
        others.0.push(Other { socket, standing, namespace });
        true
    }

    /// Where a client stands, and its namespace as it stands in packets.
    pub(super) fn find(&self, socket: u64) -> Option<(Standing, &str)> {
        if socket == self.main {
            return (socket != 0).then_some((self.standing, ""));
        }
        let other = self.others().iter().find(|other| other.socket == socket)?;
        Some((other.standing, &other.namespace))
    }

    /// The namespace of a client that was admitted, as it stands in packets.
    pub(super) fn admitted(&self, socket: u64) -> Option<&str> {
        self.find(socket)
            .filter(|(standing, _)| *standing == Standing::Admitted)
            .map(|(_, namespace)| namespace)
    }

    /// Lets a client in that [`Clients::find`] finds.
    pub(super) fn admit(&mut self, socket: u64) {
        if socket == self.main {
            self.standing = Standing::Admitted;
        } else if let Some(others) = &mut self.others
            && let Some(other) = others.0.iter_mut().find(|other| other.socket == socket)
        {
            other.standing = Standing::Admitted;
        }
    }

    /// A client is gone.
    pub(super) fn leave(&mut self, socket: u64) {
        if socket == self.main {
            (self.main, self.standing) = (0, Standing::Absent);
        } else if let Some(others) = &mut self.others {
            others.0.retain(|other| other.socket != socket);
            if others.0.is_empty() {
                self.others = None;
            }
        }
    }

    /// Whether there is nobody, not even one who waits for an answer.
    pub(super) fn is_empty(&self) -> bool {
        self.main == 0 && self.others.is_none()
    }

    /// Whether somebody is let in.
    pub(super) fn any_admitted(&self) -> bool {
        let admitted = |standing| standing == Standing::Admitted;
        admitted(self.standing) || self.others().iter().any(|other| admitted(other.standing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_namespace_has_one_client() {
        let mut clients = Clients::new();
        assert!(clients.is_empty() && clients.find(0).is_none());
        assert!(clients.enter(None, 1, Standing::Asked));
        assert!(!clients.enter(None, 2, Standing::Asked));
        assert!(clients.enter(Some("/a"), 3, Standing::Asked));
        assert!(!clients.enter(Some("/a"), 4, Standing::Asked));
        assert!(clients.enter(Some("/ab"), 5, Standing::Asked));
        assert_eq!(
            (clients.main(), clients.named("/a"), clients.named("/ab"), clients.named("/b")),
            (1, 3, 5, 0)
        );
        assert!(!clients.any_admitted());
        clients.admit(5);
        assert!(clients.any_admitted());
        assert_eq!((clients.admitted(5), clients.admitted(3)), (Some("/ab,"), None));
        clients.leave(1);
        clients.leave(3);
        assert!(clients.any_admitted() && !clients.is_empty());
        clients.leave(5);
        assert!(clients.is_empty() && !clients.any_admitted());
    }

    #[test]
    fn namespaces_are_bounded() {
        let mut clients = Clients::new();
        let entered =
            (1..1_000).take_while(|&n| clients.enter(Some(&format!("/{n}")), n, Standing::Asked)).count();
        assert_eq!(entered, Clients::MAX);
    }
}
