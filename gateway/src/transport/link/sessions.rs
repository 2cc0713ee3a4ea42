//! What the application keeps for the clients of one connection.

use super::super::packet::Assembly;
use super::super::{Application, Socket};

/// One client and its session.
pub(super) struct Live<A: Application> {
    pub(super) socket: Socket,
    pub(super) session: A::Session,
}

/// The main client's session in place, and everything that few connections ever have elsewhere.
pub(super) struct Sessions<A: Application> {
    main: Option<Live<A>>,
    extra: Option<Box<Extra<A>>>,
}

struct Extra<A: Application> {
    /// Those in other namespaces.
    others: Vec<Live<A>>,
    /// A packet whose attachments are not all there.
    assembly: Option<Assembly>,
}

impl<A: Application> Default for Sessions<A> {
    fn default() -> Self {
        Self { main: None, extra: None }
    }
}

impl<A: Application> Sessions<A> {
    fn extra(&mut self) -> &mut Extra<A> {
        self.extra.get_or_insert_with(|| Box::new(Extra { others: Vec::new(), assembly: None }))
    }

    /// Keeps nothing that is empty.
    fn tidy(&mut self) {
        self.extra.take_if(|extra| extra.others.is_empty() && extra.assembly.is_none());
    }

    pub(super) fn insert(&mut self, is_main: bool, live: Live<A>) {
        if is_main {
            self.main = Some(live);
        } else {
            self.extra().others.push(live);
        }
    }

    /// The session of the client with this socket.
    pub(super) fn find(&self, id: u64) -> Option<&Live<A>> {
        let others = self.extra.as_ref().map_or(&[][..], |extra| &extra.others);
        self.main.iter().chain(others).find(|live| live.socket.id() == id)
    }

    /// Takes out those that do not stay: `main` is asked about the main client, `other` about the others.
    pub(super) fn take_over(
        &mut self,
        main: impl FnOnce(u64) -> bool,
        other: impl Fn(u64) -> bool,
    ) -> (Option<Live<A>>, Vec<Live<A>>) {
        let over = self.main.take_if(|live| !main(live.socket.id()));
        let mut others = Vec::new();
        if let Some(extra) = &mut self.extra {
            others.extend(extra.others.extract_if(.., |live| !other(live.socket.id())));
            self.tidy();
        }
        (over, others)
    }

    pub(super) fn assemble(&mut self, assembly: Assembly) {
        self.extra().assembly = Some(assembly);
    }

    pub(super) fn assembly(&mut self) -> Option<&mut Assembly> {
        self.extra.as_mut()?.assembly.as_mut()
    }

    pub(super) fn take_assembly(&mut self) -> Option<Assembly> {
        let assembly = self.extra.as_mut()?.assembly.take();
        self.tidy();
        assembly
    }
}
