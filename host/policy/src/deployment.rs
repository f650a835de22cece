//! Who is asked, request by request, in a host that has no more state than this.
//!
//! A version is somewhere: in a page, on a device, at a server. That is the host's concern; here it is a
//! name and a number, asked one after the other until one answers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::breaker::Breaker;
use crate::fallback::{Target, Trigger};
use crate::guard::{Guards, Numbers};
use crate::names::{ModelName, Version, Which};
use crate::routing::{self, Sticky, Why, hash};
use crate::spec::ModelSpec;
use crate::versions;

/// How long a version is passed over that could not be loaded or reached.
const AWAY: Duration = Duration::from_secs(5);

/// The models of such a host. Times are durations since a beginning that stays the same.
#[derive(Default)]
pub struct Deployment {
    models: BTreeMap<ModelName, Model>,
}

struct Model {
    spec: ModelSpec,
    versions: BTreeMap<Version, Candidate>,
}

struct Candidate {
    breaker: Option<Breaker>,
    away_until: Duration,
}

/// What a request says of itself, beside its tensors.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// A version or a label that is to answer, and no other.
    pub version: Option<String>,
    /// What keeps the caller with a version, whatever `traffic.sticky` names.
    pub key: Option<String>,
    /// Different for each request: the key where there is no other.
    pub id: String,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    pub cookies: BTreeMap<String, String>,
    pub parameters: BTreeMap<String, String>,
    /// The address that it came from, where the host knows one.
    pub address: Option<String>,
}

/// A name that stands for nothing here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    #[error("there is no model `{0}`")]
    Model(String),
    #[error("model `{model}` has no version `{version}`")]
    Version { model: String, version: String },
}

/// A request on its way from one version to the next.
pub struct Request {
    model: ModelName,
    first: Result<Version, Trigger>,
    pinned: bool,
    by_weight: bool,
    deadline: Duration,
    begun: bool,
    /// Why each attempt so far failed.
    triggers: Vec<Trigger>,
    asking: Option<(ModelName, Version)>,
}

/// What is to be done next for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Ask {
        model: ModelName,
        version: Version,
        timeout: Duration,
    },
    /// Answer with these outputs, which are a list of tensors in the protocol's JSON.
    Static(String),
    /// Tell the first failure.
    End,
}

impl Deployment {
    /// Adds a model. `then` names others that are asked when its own chain of versions and models is at
    /// its end, before any static answer. `seed` spreads the breakers of many hosts out.
    pub fn add(
        &mut self,
        name: &str,
        mut spec: ModelSpec,
        versions: &[String],
        then: &[String],
        seed: u64,
    ) -> Result<(), String> {
        let name: ModelName = name.parse().map_err(told)?;
        let chain = &mut spec.fallback.chain;
        let is_static = |target: &Target| matches!(target, Target::Static(_));
        let end = chain.iter().position(is_static).unwrap_or(chain.len());
        let others = then.iter().map(|name| {
            let name = name.parse().map_err(told)?;
            Ok(Target::Model {
                name,
                version: None,
            })
        });
        chain.splice(end..end, others.collect::<Result<Vec<_>, String>>()?);
        let numbers = versions.iter().map(|version| version.parse());
        let numbers: Vec<Version> = numbers.collect::<Result<_, _>>().map_err(told)?;
        self.insert(name, spec, numbers, seed);
        Ok(())
    }

    /// Adds a model in these versions, those of them that its spec serves.
    pub fn insert(&mut self, name: ModelName, spec: ModelSpec, versions: Vec<Version>, seed: u64) {
        let candidate = |version: Version| {
            let seed = breaker_seed(&name, version, seed);
            Candidate {
                breaker: spec
                    .breaker
                    .clone()
                    .map(|limits| Breaker::new(limits, seed)),
                away_until: Duration::ZERO,
            }
        };
        let served = versions::served(&spec.versions, versions).into_iter();
        let mut versions = BTreeMap::new();
        versions.extend(served.map(|version| (version, candidate(version))));
        self.models.insert(name, Model { spec, versions });
    }

    /// Serves a model by another spec from now on, in the versions that it has.
    pub fn change(&mut self, name: &ModelName, spec: ModelSpec) {
        if let Some(model) = self.models.get_mut(name) {
            model.spec = spec;
        }
    }

    /// How a model is served.
    pub fn spec(&self, name: &ModelName) -> Option<&ModelSpec> {
        Some(&self.models.get(name)?.spec)
    }

    /// The versions that are served, in order.
    pub fn versions(&self, name: &ModelName) -> impl Iterator<Item = Version> {
        let model = self.models.get(name);
        model
            .into_iter()
            .flat_map(|model| model.versions.keys().copied())
    }

    /// The version that answers a question which is no inference.
    pub fn resolve(&self, model: &str, version: Option<&str>) -> Result<Option<Version>, Unknown> {
        let (name, model) = self.model(model)?;
        match version {
            Some(version) => model.known(&name, version).map(Some),
            None => Ok(versions::default(
                &model.spec.versions,
                model.versions.keys().copied(),
            )),
        }
    }

    /// Takes the breaker of a version from somewhere that remembers for longer.
    pub fn restore(&mut self, name: &ModelName, version: Version, breaker: Breaker) {
        let model = self.models.get_mut(name);
        if let Some(candidate) = model.and_then(|model| model.versions.get_mut(&version)) {
            candidate.breaker = Some(breaker);
        }
    }

    /// Routes a request.
    pub fn begin(
        &self,
        model: &str,
        caller: &Caller,
        deadline: Duration,
        now: Duration,
    ) -> Result<Request, Unknown> {
        let (name, model) = self.model(model)?;
        let (first, by_weight) = match &caller.version {
            Some(version) => (Ok(model.known(&name, version)?), false),
            None => model.route(caller, now),
        };
        Ok(Request {
            first,
            pinned: caller.version.is_some(),
            by_weight,
            model: name,
            deadline,
            begun: false,
            triggers: Vec::new(),
            asking: None,
        })
    }

    /// What follows. A step that asks is to be followed by [`Deployment::answered`] or
    /// [`Deployment::failed`].
    pub fn step(&mut self, request: &mut Request, now: Duration) -> Step {
        if !request.begun {
            request.begun = true;
            let tried = match request.first {
                Ok(version) => self.ask(request, &request.model.clone(), Some(version), now),
                Err(trigger) => Err(trigger),
            };
            match tried {
                Ok(step) => return step,
                Err(trigger) => request.triggers.push(trigger),
            }
        }
        while let Some(target) = self.next(request, now) {
            let tried = match target {
                Target::Static(outputs) => return Step::Static(outputs),
                Target::Version(which) => match self.version(&request.model, &which) {
                    Some(version) => self.ask(request, &request.model.clone(), Some(version), now),
                    None => Err(Trigger::Load),
                },
                Target::Model { name, version } => self.ask(request, &name, version, now),
                // Never of this plan, as `next` makes it.
                Target::Remote(_) => Err(Trigger::Load),
            };
            match tried {
                Ok(step) => return step,
                Err(trigger) => request.triggers.push(trigger),
            }
        }
        Step::End
    }

    /// What the model that is asked now wants of its answers.
    pub fn guards(&self, request: &Request) -> Option<&Guards> {
        let (model, _) = request.asking.as_ref()?;
        let guards = &self.models.get(model)?.spec.guards;
        (!guards.is_empty()).then_some(guards)
    }

    /// Why these outputs may not be given.
    pub fn guard(&self, request: &Request, outputs: &[Numbers<'_>]) -> Result<(), String> {
        let guards = self.guards(request);
        guards.map_or(Ok(()), |guards| guards.check(outputs))
    }

    /// The version that was asked has answered.
    pub fn answered(&mut self, request: &mut Request, now: Duration) {
        if let Some(breaker) = self.asked(request).and_then(|asked| asked.breaker.as_mut()) {
            breaker.end(now, false);
        }
        request.asking = None;
    }

    /// The version that was asked has failed; `None` is the caller's own doing.
    pub fn failed(&mut self, request: &mut Request, trigger: Option<Trigger>, now: Duration) {
        if let Some(asked) = self.asked(request) {
            if trigger == Some(Trigger::Load) {
                asked.away_until = now + AWAY;
            }
            match &mut asked.breaker {
                Some(breaker) if trigger.is_some_and(Trigger::counts_against_version) => {
                    breaker.end(now, true);
                }
                Some(breaker) => breaker.forget(),
                None => {}
            }
        }
        request.asking = None;
        match trigger {
            Some(trigger) => request.triggers.push(trigger),
            // What is wrong with a request is wrong everywhere; but one that does not suit another
            // model is no reason to give up on it.
            None if request.triggers.is_empty() => request.pinned = true,
            None => request.triggers.push(Trigger::Failed),
        }
    }

    fn model(&self, text: &str) -> Result<(ModelName, &Model), Unknown> {
        let unknown = || Unknown::Model(text.to_owned());
        // A text that is no name is no model either.
        let name: ModelName = text.parse().map_err(|_| unknown())?;
        let model = self.models.get(&name).ok_or_else(unknown)?;
        Ok((name, model))
    }

    fn asked(&mut self, request: &Request) -> Option<&mut Candidate> {
        let (model, version) = request.asking.as_ref()?;
        self.models.get_mut(model)?.versions.get_mut(version)
    }

    /// The next of the plan, which is a pure function of what failed so far.
    fn next(&self, request: &Request, now: Duration) -> Option<Target> {
        if request.pinned {
            return None;
        }
        let left = request.deadline.saturating_sub(now);
        let spec = &self.models.get(&request.model)?.spec;
        // The remotes of a `model.toml` are the server's, whose pages may not ask them.
        let mut plan = spec.fallback.plan(&spec.labels, request.first.ok(), true);
        let mut target = None;
        for trigger in &request.triggers {
            target = Some(plan.next(*trigger, left)?);
        }
        target.cloned()
    }

    fn version(&self, model: &ModelName, which: &Which) -> Option<Version> {
        which.version(&self.models.get(model)?.spec.labels)
    }

    fn ask(
        &mut self,
        request: &mut Request,
        name: &ModelName,
        version: Option<Version>,
        now: Duration,
    ) -> Result<Step, Trigger> {
        let model = self.models.get_mut(name).ok_or(Trigger::Load)?;
        let version = match version {
            Some(version) => version,
            None => {
                versions::default(&model.spec.versions, model.ready(now)).ok_or(Trigger::Load)?
            }
        };
        let left = request.deadline.saturating_sub(now);
        let timeout = model.spec.limits.timeout;
        let candidate = model.versions.get_mut(&version).ok_or(Trigger::Load)?;
        if let Some(breaker) = &mut candidate.breaker
            && !breaker.begin(now)
        {
            return Err(Trigger::Breaker);
        }
        request.asking = Some((name.clone(), version));
        Ok(Step::Ask {
            model: name.clone(),
            version,
            timeout: timeout.map_or(left, |timeout| timeout.min(left)),
        })
    }
}

impl Request {
    /// The version that is asked first.
    pub fn first(&self) -> Option<Version> {
        self.first.ok()
    }

    /// Whether the caller chose the version.
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Whether the weights alone chose the version, with none passed over.
    pub fn by_weight(&self) -> bool {
        self.by_weight
    }

    /// Why nobody was asked at first.
    pub fn kept_away(&self) -> Option<Trigger> {
        self.first.err()
    }

    /// Why the first attempt failed.
    pub fn reason(&self) -> Option<Trigger> {
        self.triggers.first().copied()
    }
}

impl Model {
    fn ready(&self, now: Duration) -> impl Iterator<Item = Version> + Clone {
        let ready = move |candidate: &Candidate| now >= candidate.away_until;
        self.versions
            .iter()
            .filter_map(move |(version, candidate)| ready(candidate).then_some(*version))
    }

    fn known(&self, name: &ModelName, text: &str) -> Result<Version, Unknown> {
        self.named(text).ok_or_else(|| Unknown::Version {
            model: name.to_string(),
            version: text.to_owned(),
        })
    }

    fn named(&self, text: &str) -> Option<Version> {
        let labelled = self.spec.labels.get(text).copied();
        let version = labelled.or_else(|| text.parse().ok());
        version.filter(|version| self.versions.contains_key(version))
    }

    /// The version, and whether the weights alone chose it.
    fn route(&self, caller: &Caller, now: Duration) -> (Result<Version, Trigger>, bool) {
        let willing = |version: &Version| {
            let breaker = self.versions.get(version).map(|known| &known.breaker);
            breaker
                .and_then(Option::as_ref)
                .is_none_or(|breaker| breaker.is_willing(now))
        };
        let header = |name: &str| caller.headers.get(name).map(String::as_str);
        let key = hash(&self.spec.traffic.salt, self.key(caller).as_bytes());
        let of = |ready: &[Version]| routing::route(&self.spec, ready.iter().copied(), header, key);
        let ready: Vec<Version> = self.ready(now).collect();
        let willing: Vec<Version> = ready.iter().copied().filter(willing).collect();
        match of(&willing) {
            Some((version, why)) => {
                // Where a version was passed over, the shares are not those of the weights.
                let mut weighted = self.spec.traffic.weights.iter();
                let is_fair = weighted.all(|(it, parts)| *parts == 0 || willing.contains(it));
                (Ok(version), is_fair && why == Why::Weight)
            }
            None if of(&ready).is_some() => (Err(Trigger::Breaker), false),
            None => (Err(Trigger::Load), false),
        }
    }

    fn key<'a>(&self, caller: &'a Caller) -> &'a str {
        let sticky = self.spec.traffic.sticky.as_ref();
        let named = sticky.and_then(|sticky| match sticky {
            Sticky::Header(name) => caller.headers.get(name),
            Sticky::Cookie(name) => caller.cookies.get(name),
            Sticky::Parameter(name) => caller.parameters.get(name),
            Sticky::Client => caller.address.as_ref(),
        });
        caller.key.as_ref().or(named).unwrap_or(&caller.id)
    }
}

/// The seed of one version's breaker, out of the host's.
pub fn breaker_seed(model: &ModelName, version: Version, seed: u64) -> u64 {
    hash("breaker", format!("{model}/{version}/{seed}").as_bytes())
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);
    const DEADLINE: Duration = Duration::from_secs(100);

    /// A model on this device in two versions, and the same at a server.
    fn deployment(model_toml: &str) -> Deployment {
        let mut deployment = Deployment::default();
        let texts = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        let spec = |model_toml| ModelSpec::parse(model_toml).unwrap();
        let versions = texts(&["1", "2"]);
        let server = texts(&["server"]);
        deployment
            .add("digits", spec(model_toml), &versions, &server, 7)
            .unwrap();
        deployment
            .add("server", spec(""), &texts(&["1"]), &texts(&["digits"]), 7)
            .unwrap();
        deployment
    }

    fn begin(deployment: &Deployment, model: &str) -> Request {
        let caller = Caller::default();
        deployment.begin(model, &caller, DEADLINE, NOW).unwrap()
    }

    /// Who is asked when each that is asked fails with `trigger`.
    fn story(deployment: &mut Deployment, mut request: Request, trigger: Trigger) -> Vec<String> {
        let mut asked = Vec::new();
        loop {
            match deployment.step(&mut request, NOW) {
                Step::Ask { model, version, .. } => asked.push(format!("{model}/{version}")),
                Step::Static(outputs) => {
                    asked.push(outputs);
                    return asked;
                }
                Step::End => return asked,
            }
            deployment.failed(&mut request, Some(trigger), NOW);
        }
    }

    #[test]
    fn this_device_first_and_the_server_if_it_fails() {
        let mut deployment = deployment("fallback.chain = [{ version = 1 }, { static = \"[]\" }]");
        let request = begin(&deployment, "digits");
        let asked = story(&mut deployment, request, Trigger::Trap);
        assert_eq!(asked, ["digits/2", "digits/1", "server/1", "[]"]);
    }

    #[test]
    fn the_server_first_and_this_device_if_it_fails() {
        let mut deployment = deployment("");
        let request = begin(&deployment, "server");
        let asked = story(&mut deployment, request, Trigger::Load);
        assert_eq!(asked, ["server/1", "digits/2"]);
        // What could not be loaded is passed over for a while.
        let request = begin(&deployment, "server");
        assert_eq!(request.first, Err(Trigger::Load));
        let later = NOW + AWAY;
        let caller = Caller::default();
        let request = deployment.begin("server", &caller, DEADLINE, later);
        assert!(request.unwrap().first.is_ok());
    }

    #[test]
    fn a_named_version_answers_or_nobody() {
        let mut deployment = deployment("labels.old = 1");
        let of = |version: &str| Caller {
            version: Some(version.to_owned()),
            ..Caller::default()
        };
        let request = deployment
            .begin("digits", &of("old"), DEADLINE, NOW)
            .unwrap();
        assert_eq!(story(&mut deployment, request, Trigger::Trap), ["digits/1"]);
        assert!(deployment.begin("digits", &of("3"), DEADLINE, NOW).is_err());
    }

    #[test]
    fn the_callers_own_mistake_is_not_tried_elsewhere() {
        let mut deployment = deployment("");
        let mut request = begin(&deployment, "digits");
        assert!(matches!(
            deployment.step(&mut request, NOW),
            Step::Ask { .. }
        ));
        deployment.failed(&mut request, None, NOW);
        assert_eq!(deployment.step(&mut request, NOW), Step::End);
    }

    #[test]
    fn a_breaker_keeps_requests_away_from_a_version_that_fails() {
        let mut deployment = deployment("breaker.consecutive = 2\nversions.default = 2");
        for _ in 0..2 {
            let request = begin(&deployment, "digits");
            story(&mut deployment, request, Trigger::Trap);
        }
        let request = begin(&deployment, "digits");
        assert_eq!(request.first, Err(Trigger::Breaker));
        let asked = story(&mut deployment, request, Trigger::Trap);
        assert_eq!(asked, ["server/1"]);
    }

    #[test]
    fn nothing_is_asked_after_the_deadline() {
        let mut deployment = deployment("");
        let mut request = begin(&deployment, "digits");
        deployment.step(&mut request, NOW);
        deployment.failed(&mut request, Some(Trigger::Deadline), DEADLINE);
        assert_eq!(deployment.step(&mut request, DEADLINE), Step::End);
    }

    #[test]
    fn a_key_stays_with_its_version_and_weights_hold() {
        let deployment = deployment("traffic.weights = { 1 = 25, 2 = 75 }");
        let of = |key: usize| {
            let caller = Caller {
                key: Some(format!("user {key}")),
                ..Caller::default()
            };
            let request = deployment.begin("digits", &caller, DEADLINE, NOW).unwrap();
            request.first.unwrap().number()
        };
        let first: Vec<u64> = (0..1000).map(of).collect();
        assert_eq!((0..1000).map(of).collect::<Vec<_>>(), first);
        let ones = first.iter().filter(|&&version| version == 1).count();
        assert!((200..300).contains(&ones), "{ones}");
    }

    #[test]
    fn an_answer_is_guarded_by_the_model_that_gave_it() {
        let mut deployment = deployment("guards.finite = true");
        let mut request = begin(&deployment, "digits");
        deployment.step(&mut request, NOW);
        let guard = |value: f64| {
            let output = Numbers {
                name: "y",
                shape: &[1],
                values: &[value],
            };
            deployment.guard(&request, &[output])
        };
        assert!(guard(1.0).is_ok());
        assert!(guard(f64::NAN).is_err());
    }

    #[test]
    fn a_breaker_that_somebody_else_remembers_is_taken_over() {
        let mut deployment = deployment("breaker.consecutive = 1\nversions.default = 2");
        let digits: ModelName = "digits".parse().unwrap();
        let limits = deployment.spec(&digits).unwrap().breaker.clone().unwrap();
        let mut breaker = Breaker::new(limits, 7);
        breaker.begin(NOW);
        breaker.end(NOW, true);
        deployment.restore(&digits, Version::try_from(2).unwrap(), breaker);
        assert_eq!(begin(&deployment, "digits").first, Err(Trigger::Breaker));
    }
}
