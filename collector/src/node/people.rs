//! Queries and acts of people on a node: [`control::Node`].

use control::{
    Feed, Who,
    metrics::Exposition,
    wire::{
        Alert, AlertQuery, AllowQuery, AllowRequest, AllowSource, Allowed, Block, BlockQuery,
        BlockRequest, DisallowRequest, ImportRequest, Imported, LearnRequest, Maintenance,
        MaintenanceRequest, ModeRequest, ModeState, Models, Page, Prefix, Refused, Reloaded,
        RollBackRequest, Status, UnblockAllRequest, UnblockRequest, Unblocked, VerdictRequest,
    },
};
use ipnet::IpNet;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use super::{
    Inner, Node,
    acts::{Done, internal},
    journal::moment,
    known::{PersonAllowed, ProtectedBy},
    status::timestamp,
};
use crate::{
    clock::{boot_ns, nanos},
    config::Config,
    kept,
    protected::read_allow_files,
};

impl Node {
    pub(super) fn write_allowed(&self, inner: &Inner) -> Result<(), Refused> {
        let Some(path) = self.allowed_file() else { return Ok(()) };
        kept::write(&path, &inner.protected.people).map_err(|error| {
            Refused::internal(format!("it is done, but a restart forgets it: {error:#}"))
        })
    }

    /// Takes back what a person allowed, here and in the kernel.
    pub(super) fn take_back(inner: &mut Inner, prefix: IpNet) -> Result<(), Refused> {
        inner.protected.people.remove(&prefix);
        inner.protect().map_err(internal)
    }
}

impl Inner {
    /// True where some source allows this very prefix.
    pub(super) fn is_allowed(&self, prefix: IpNet) -> bool {
        self.sources(&self.protected.people).any(|(other, ..)| other == prefix)
    }

    /// Everything that is allowed, by where it comes from, in no order.
    fn sources<'a>(
        &'a self,
        people: &'a BTreeMap<IpNet, PersonAllowed>,
    ) -> impl Iterator<Item = (IpNet, AllowSource, Option<&'a PersonAllowed>)> {
        let ProtectedBy { reader, clients, files, .. } = &self.protected;
        let address = |source: AllowSource| move |one: &IpAddr| (IpNet::from(*one), source, None);
        let prefix = |source: AllowSource| move |one: &IpNet| (*one, source, None);
        let administrators = reader.administrators.iter().chain(clients.keys());
        reader
            .own
            .iter()
            .map(address(AllowSource::Own))
            .chain(reader.gateways.iter().map(address(AllowSource::Gateway)))
            .chain(reader.resolvers.iter().map(address(AllowSource::Resolver)))
            .chain(administrators.map(address(AllowSource::Administrator)))
            .chain(self.policy.config().allow.iter().map(prefix(AllowSource::Config)))
            .chain(files.iter().map(prefix(AllowSource::File)))
            .chain(people.iter().map(|(net, who)| (*net, AllowSource::Person, Some(who))))
    }
}

fn allowed(prefix: IpNet, source: AllowSource, person: Option<&PersonAllowed>) -> Allowed {
    Allowed {
        prefix: prefix.into(),
        source,
        who: person.map(|one| one.who.clone()),
        since: person.map(|one| one.since),
        expires: person.and_then(|one| one.expires),
        note: person.and_then(|one| one.note.clone()),
    }
}

impl control::Node for Node {
    fn status(&self) -> Result<Status, Refused> {
        self.read_status()
    }

    fn ready(&self) -> Result<(), Refused> {
        self.check_ready()
    }

    fn blocks(&self, query: &BlockQuery) -> Result<Page<Block>, Refused> {
        self.list_blocks(query)
    }

    fn block(&self, who: &Who, request: &BlockRequest) -> Result<Block, Refused> {
        self.make_block(who, request)
    }

    fn import(&self, who: &Who, request: &ImportRequest) -> Result<Imported, Refused> {
        self.take_list(who, request)
    }

    fn unblock(&self, who: &Who, request: &UnblockRequest) -> Result<Block, Refused> {
        self.end_block(who, request)
    }

    fn unblock_all(&self, who: &Who, request: &UnblockAllRequest) -> Result<Unblocked, Refused> {
        self.end_blocks(who, request)
    }

    fn allowed(&self, query: &AllowQuery) -> Result<Page<Allowed>, Refused> {
        let mut inner = self.inner();
        self.protect_heard(&mut inner);
        // One prefix may be allowed for several reasons; the first that speaks for it is told.
        let mut by_prefix = BTreeMap::new();
        for (prefix, source, person) in inner.sources(&inner.protected.people) {
            by_prefix
                .entry(Prefix::from(prefix))
                .or_insert_with(|| allowed(prefix, source, person));
        }
        let limit = query.limit.unwrap_or(control::wire::LIMIT_DEFAULT);
        let from = by_prefix
            .into_iter()
            .filter(|(prefix, _)| query.after.is_none_or(|after| *prefix > after))
            .map(|(_, one)| one);
        Ok(Page::cut(from, limit, |one| one.prefix.to_string()))
    }

    fn allow(&self, who: &Who, request: &AllowRequest) -> Result<Allowed, Refused> {
        let prefix = request.prefix.net();
        let now = moment();
        let mut inner = self.inner();
        let expires_ns = request
            .for_s
            .map(|seconds| now.boot_ns.saturating_add(nanos(Duration::from_secs(seconds))));
        let expires = expires_ns.map(|at_ns| timestamp(now.wall_ns_at(at_ns)));
        let person = PersonAllowed {
            who: who.to_string(),
            since: timestamp(now.wall_ns),
            expires,
            expires_ns,
            note: request.note.clone(),
        };
        let told = allowed(prefix, AllowSource::Person, Some(&person));
        let before = inner.protected.people.insert(prefix, person);
        if let Err(error) = inner.protect() {
            match before {
                Some(before) => inner.protected.people.insert(prefix, before),
                None => inner.protected.people.remove(&prefix),
            };
            inner.protect_or_warn();
            return Err(internal(error));
        }
        let kept = self.write_allowed(&inner);
        let arguments = serde_json::to_value(request);
        let done = Done { what: "allow", arguments, records: Vec::new() };
        let recorded = self.record(inner, who, done);
        kept.and(recorded).map(|()| told)
    }

    fn disallow(&self, who: &Who, request: &DisallowRequest) -> Result<Allowed, Refused> {
        let prefix = request.prefix.net();
        let mut inner = self.inner();
        let Some(person) = inner.protected.people.get(&prefix).cloned() else {
            let nobody = BTreeMap::new();
            let other = inner.sources(&nobody).find(|(other, ..)| *other == prefix);
            return Err(match other {
                Some((_, source, _)) => Refused::conflict(format!(
                    "`{prefix}` was allowed by no person but as {}",
                    source.name()
                )),
                None => Refused::not_found(format!("`{prefix}` is not allowed")),
            });
        };
        Self::take_back(&mut inner, prefix)?;
        let kept = self.write_allowed(&inner);
        let arguments = serde_json::to_value(request);
        let done = Done { what: "disallow", arguments, records: Vec::new() };
        let recorded = self.record(inner, who, done);
        let told = allowed(prefix, AllowSource::Person, Some(&person));
        kept.and(recorded).map(|()| told)
    }

    fn alerts(&self, query: &AlertQuery) -> Result<Page<Alert>, Refused> {
        self.list_alerts(query)
    }

    fn set_mode(&self, who: &Who, request: &ModeRequest) -> Result<ModeState, Refused> {
        self.go_to(who, request)
    }

    fn maintain(&self, who: &Who, request: &MaintenanceRequest) -> Result<Maintenance, Refused> {
        self.take_maintenance(who, request)
    }

    fn models(&self) -> Result<Models, Refused> {
        Ok(self.list_models())
    }

    fn roll_back(&self, who: &Who, request: &RollBackRequest) -> Result<Models, Refused> {
        self.take_back_model(who, *request)
    }

    fn learn(&self, who: &Who, request: &LearnRequest) -> Result<Models, Refused> {
        self.let_learn(who, *request)
    }

    fn vouch(&self, who: &Who, request: &VerdictRequest) -> Result<Models, Refused> {
        self.hear_verdict(who, request)
    }

    fn confirm(&self, who: &Who) -> Result<ModeState, Refused> {
        self.confirm_mode(who)
    }

    fn rearm(&self, who: &Who) -> Result<Status, Refused> {
        self.close_breaker(who)
    }

    fn reload(&self, who: &Who) -> Result<Reloaded, Refused> {
        let Some(reread) = &self.reread else {
            return Err(Refused::conflict("this node was started without a configuration"));
        };
        let invalid = |error: anyhow::Error| Refused::invalid(format!("{error:#}"));
        let config = reread().map_err(invalid)?;
        let files = read_allow_files(&config.policy.allow_files).map_err(|e| invalid(e.into()))?;
        let model = self.reread_model(&config)?.zip(config.model.clone());
        let mut inner = self.inner();
        let taken = match model {
            Some((model, path)) => self.take_model(&path, model)?,
            None => None,
        };
        let (hash, before) = taken.unzip();
        let mut reloaded = match inner.take_config(config, files, hash.is_some()) {
            Ok(reloaded) => reloaded,
            Err(error) => {
                if let Some(before) = before {
                    self.take_model_back(before);
                }
                return Err(error);
            }
        };
        reloaded.model = hash;
        let arguments = serde_json::to_value(&reloaded);
        self.record(inner, who, Done { what: "reload", arguments, records: Vec::new() })?;
        Ok(reloaded)
    }

    fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    fn metrics(&self, to: &mut Exposition) {
        self.expose(to);
    }

    fn heard_from(&self, address: IpAddr) {
        let address = address.to_canonical();
        if address.is_loopback() {
            return;
        }
        // Not the node's own lock: the server's thread must not wait for a window.
        self.heard().insert(address, boot_ns());
    }
}

impl Inner {
    /// Takes over what may change while it runs, all of it or nothing.
    /// `is_model_taken` is whether the configured model is already.
    fn take_config(
        &mut self,
        config: Config,
        files: Vec<IpNet>,
        is_model_taken: bool,
    ) -> Result<Reloaded, Refused> {
        let Some(before) = self.config.clone() else {
            return Err(Refused::conflict("this node was started without a configuration"));
        };
        let (changed, needs_restart) =
            before.differing_keys(&config).into_iter().partition(|key| match &**key {
                "policy.mode" => false,
                "model.path" => is_model_taken,
                key => key.starts_with("policy."),
            });
        let files = std::mem::replace(&mut self.protected.files, files);
        self.policy.reconfigure(config.policy.clone());
        if let Err(error) = self.protect() {
            self.policy.reconfigure(before.policy);
            self.protected.files = files;
            self.protect_or_warn();
            return Err(internal(error));
        }
        self.config = Some(config);
        let allowed = self.sources(&self.protected.people).count() as u64;
        Ok(Reloaded { allowed, changed, needs_restart, model: None })
    }
}
