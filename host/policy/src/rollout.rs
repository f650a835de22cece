//! How a new version takes over, step by step.
//!
//! ```text
//!            last step done                    undo
//!  PROGRESSING ──────────▶ HEALTHY ───────────────────▶ HEALTHY, the version before
//!   │   ▲   │
//!   │   │   └─ a run fails, abort ─▶ DEGRADED ── retry ─▶ PROGRESSING, from the first step
//!   │   │
//!   │   └── promote, resume ──┐
//!   └─ pause, inconclusive ─▶ PAUSED
//! ```
//!
//! A rollout is a value. [`Rollout::tick`] and the verbs change it and say what happened; who keeps it
//! and applies its weights is the host's affair. Times are milliseconds since 1970.

pub mod analysis;
pub mod bandit;
pub mod evidence;
pub mod kept;
pub mod measure;
pub mod strategy;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fallback::Target;
use crate::names::{Version, Which};
use crate::routing::{Mirror, WHOLE};
use crate::spec::ModelSpec;
use analysis::{Analysis, Run, RunPhase};
use evidence::Evidence;
use strategy::{Step, Strategy};

/// A time since 1970, or between two such times, in milliseconds.
pub type Millis = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Progressing,
    Paused(Pause),
    /// Aborted: everything goes to stable.
    Degraded,
    /// Nothing is under way.
    Healthy,
}

/// Why a rollout waits for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pause {
    /// A step says so.
    Step,
    InconclusiveAnalysisRun,
    /// Somebody said so.
    Asked,
}

/// One model's rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Another one for each start and retry. Evidence belongs to it, and keys are shared out by it.
    pub id: String,
    pub strategy: Strategy,
    pub stable: Version,
    pub canary: Version,
    /// What was stable before; undo goes back to it.
    pub previous: Option<Version>,
    pub phase: Phase,
    /// The index of the current step, from 0.
    pub step: usize,
    pub step_since: Millis,
    /// Of the canary, in parts of [`WHOLE`].
    pub weight: u32,
    /// Of requests that the canary answers too and nobody sees, in parts of [`WHOLE`].
    pub mirror: u32,
    /// Of a bandit's arms, in place of `weight`.
    pub arms: BTreeMap<Version, u32>,
    /// How often the arms were weighed.
    pub rounds: u64,
    /// The current step's analysis.
    pub run: Option<Run>,
    pub background: Option<Run>,
    /// Why it is where it is.
    pub message: String,
}

/// Why a verb changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the rollout is {phase}: {why}")]
    Phase { phase: String, why: &'static str },
    #[error("version {0} has not passed a readiness inference")]
    NotReady(Version),
    #[error("there is no version before {0} to go back to")]
    NoPrevious(Version),
}

/// What a tick may look at.
pub struct Seen<'a> {
    pub now: Millis,
    pub evidence: &'a Evidence,
    /// Whether a version has passed a readiness inference.
    pub is_ready: &'a dyn Fn(Version) -> bool,
    /// Whether callers keep their version.
    pub sticky: bool,
}

impl Rollout {
    pub fn start(
        id: String,
        mut strategy: Strategy,
        stable: Version,
        canary: Version,
        now: Millis,
    ) -> Rollout {
        for step in &mut strategy.steps {
            if let Step::Bandit(bandit) = step
                && bandit.arms.is_empty()
            {
                bandit.arms = vec![stable, canary];
            }
        }
        Rollout {
            id,
            strategy,
            stable,
            canary,
            previous: None,
            phase: Phase::Progressing,
            step: 0,
            step_since: now,
            weight: 0,
            mirror: 0,
            arms: BTreeMap::new(),
            rounds: 0,
            run: None,
            background: None,
            message: String::new(),
        }
    }

    /// Of a model's first version, which takes over from nobody.
    pub fn first(id: String, strategy: Strategy, stable: Version, now: Millis) -> Rollout {
        let mut rollout = Rollout::start(id, strategy, stable, stable, now);
        rollout.step = rollout.strategy.steps.len();
        rollout.phase = Phase::Healthy;
        rollout.message = format!("version {stable} is stable");
        rollout
    }

    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Progressing | Phase::Paused(_))
    }

    /// Whether its shares are shares; what comes from somewhere else may be damaged.
    pub fn is_sound(&self) -> bool {
        let of_arms: u64 = self.arms.values().map(|parts| u64::from(*parts)).sum();
        self.weight <= WHOLE
            && self.mirror <= WHOLE
            && (self.arms.is_empty() || of_arms == u64::from(WHOLE))
    }

    /// The versions that requests may be sent to.
    pub fn needs(&self) -> Vec<Version> {
        let mut versions = vec![self.stable];
        if self.is_active() {
            versions.push(self.canary);
            versions.extend(self.arms.keys());
        }
        versions
    }

    /// The weights of all versions that take part, [`WHOLE`] together.
    pub fn weights(&self) -> BTreeMap<Version, u32> {
        if !self.arms.is_empty() {
            return self.arms.clone();
        }
        let mut weights = BTreeMap::new();
        weights.insert(self.stable, WHOLE - self.weight);
        if self.weight > 0 {
            weights.insert(self.canary, self.weight);
        }
        weights
    }

    /// The model's spec with what the rollout has to say of it: weights, mirror, the default version,
    /// and the labels `stable`, `canary` and `preview`, unless the spec has its own.
    pub fn applied_to(&self, spec: &ModelSpec) -> ModelSpec {
        let mut spec = spec.clone();
        spec.versions.default = Some(self.stable);
        if self.is_active() {
            spec.traffic.weights = self.weights();
            // The version that takes part did not ask to be tried.
            if spec.fallback.chain.is_empty() {
                let stable = Target::Version(Which::Version(self.stable));
                spec.fallback.chain.push(stable);
            }
        }
        // Each rollout shares the keys out anew, so that no key is always the first to try things.
        spec.traffic.salt = format!("{}/{}", spec.traffic.salt, self.id);
        spec.traffic.mirror = (self.mirror > 0).then_some(Mirror {
            version: self.canary,
            parts: self.mirror,
        });
        for (label, version) in [
            ("stable", self.stable),
            ("canary", self.canary),
            ("preview", self.canary),
        ] {
            spec.labels.entry(label.to_owned()).or_insert(version);
        }
        spec
    }

    /// Goes as far as time and evidence allow, and says what happened on the way.
    pub fn tick(&mut self, seen: &Seen<'_>) -> Vec<String> {
        let mut said = Vec::new();
        if self.is_active() {
            self.watch(seen, &mut said);
        }
        while self.phase == Phase::Progressing && self.take_step(seen, &mut said) {}
        said
    }

    /// The background analysis, from its starting step on and also while the rollout is paused.
    fn watch(&mut self, seen: &Seen<'_>, said: &mut Vec<String>) {
        let Some(background) = self.strategy.background.clone() else {
            return;
        };
        if self.step < background.starting_step {
            return;
        }
        // What was inconclusive is looked at again: the canary may still turn out to be worse.
        let run = self.background.take();
        let run = run.filter(|run| run.phase != RunPhase::Inconclusive);
        let run = self.measure(run, &background.analysis, seen);
        match run.phase {
            RunPhase::Failed | RunPhase::Error => {
                self.give_up(format!("background analysis {}", run.reason()), said);
            }
            RunPhase::Inconclusive if self.phase == Phase::Progressing => {
                self.hold(format!("background analysis {}", run.reason()), said);
            }
            _ => {}
        }
        self.background = Some(run);
    }

    fn measure(&self, run: Option<Run>, analysis: &Analysis, seen: &Seen<'_>) -> Run {
        let mut run = run.unwrap_or_else(|| Run::new(analysis, seen.now));
        let versions = (self.stable, self.canary);
        run.measure(analysis, seen.now, seen.evidence, versions, seen.sticky);
        run
    }

    /// Whether there is a next step to look at at once.
    fn take_step(&mut self, seen: &Seen<'_>, said: &mut Vec<String>) -> bool {
        let Some(step) = self.strategy.steps.get(self.step).cloned() else {
            self.finish(seen, said);
            return false;
        };
        let needs_canary = !matches!(
            step,
            Step::Pause(_) | Step::SetWeight(0) | Step::SetMirror(0)
        );
        if needs_canary && !(seen.is_ready)(self.canary) {
            self.message = format!(
                "waits for version {} to pass a readiness inference",
                self.canary
            );
            return false;
        }
        match step {
            Step::SetWeight(weight) => {
                self.weight = weight;
                self.next(seen.now, format!("weight {}", percent(weight)), said)
            }
            Step::SetMirror(mirror) => {
                self.mirror = mirror;
                self.next(seen.now, format!("mirror {}", percent(mirror)), said)
            }
            Step::Pause(None) => {
                self.phase = Phase::Paused(Pause::Step);
                self.message = "waits for promote".to_owned();
                said.push(format!("paused at step {}", self.step));
                false
            }
            Step::Pause(Some(time)) if seen.now >= self.step_since + time => {
                self.next(seen.now, "the pause is over".to_owned(), said)
            }
            Step::Pause(Some(_)) => {
                self.message = "pauses".to_owned();
                false
            }
            Step::Analysis(analysis) => self.analyse(&analysis, seen, said),
            Step::Bandit(bandit) => self.play(&bandit, seen, said),
        }
    }

    fn analyse(&mut self, analysis: &Analysis, seen: &Seen<'_>, said: &mut Vec<String>) -> bool {
        let run = self.run.take();
        let run = self.measure(run, analysis, seen);
        let (phase, reason) = (run.phase, run.reason());
        self.run = Some(run);
        match phase {
            RunPhase::Successful => {
                return self.next(seen.now, format!("analysis passed: {reason}"), said);
            }
            RunPhase::Failed | RunPhase::Error => {
                self.give_up(format!("analysis {reason}"), said);
            }
            RunPhase::Inconclusive => self.hold(format!("analysis {reason}"), said),
            RunPhase::Running => self.message = format!("analyses: {reason}"),
        }
        false
    }

    fn play(&mut self, bandit: &bandit::Bandit, seen: &Seen<'_>, said: &mut Vec<String>) -> bool {
        let played = seen.now.saturating_sub(self.step_since);
        if bandit.duration.is_some_and(|duration| played >= duration) {
            if let Some(best) = bandit.best(seen.evidence) {
                self.canary = best;
                return self.next(seen.now, format!("version {best} is the best arm"), said);
            }
            self.hold("no reward came back".to_owned(), said);
            return false;
        }
        let rounds = 1 + played / bandit.interval.max(1);
        if rounds > self.rounds && bandit.arms.iter().all(|arm| (seen.is_ready)(*arm)) {
            self.rounds = rounds;
            self.message = format!("round {rounds}");
            let weights = bandit.weights(seen.evidence);
            if weights != self.arms {
                let shown = weights
                    .iter()
                    .map(|(arm, parts)| format!("{arm}: {}", percent(*parts)));
                said.push(format!("weights {}", shown.collect::<Vec<_>>().join(", ")));
                self.arms = weights;
            }
        }
        false
    }

    /// To the next step.
    fn next(&mut self, now: Millis, what: String, said: &mut Vec<String>) -> bool {
        said.push(format!("step {}: {what}", self.step));
        self.step += 1;
        self.step_since = now;
        self.run = None;
        self.message.clear();
        true
    }

    fn finish(&mut self, seen: &Seen<'_>, said: &mut Vec<String>) {
        if !self.strategy.promotes {
            self.end(
                format!(
                    "done, and version {} is kept out as the strategy says",
                    self.canary
                ),
                said,
            );
            return;
        }
        if !(seen.is_ready)(self.canary) {
            self.message = format!("waits for version {} to be ready again", self.canary);
            return;
        }
        if self.canary != self.stable {
            self.previous = Some(self.stable);
        }
        self.stable = self.canary;
        self.end(format!("version {} is stable", self.stable), said);
    }

    fn end(&mut self, message: String, said: &mut Vec<String>) {
        self.clear();
        self.phase = Phase::Healthy;
        self.message.clone_from(&message);
        said.push(message);
    }

    fn give_up(&mut self, message: String, said: &mut Vec<String>) {
        self.clear();
        self.phase = Phase::Degraded;
        said.push(format!("aborted: {message}"));
        self.message = message;
    }

    fn hold(&mut self, message: String, said: &mut Vec<String>) {
        self.phase = Phase::Paused(Pause::InconclusiveAnalysisRun);
        said.push(format!("inconclusive: {message}"));
        self.message = message;
    }

    fn clear(&mut self) {
        self.weight = 0;
        self.mirror = 0;
        self.arms.clear();
    }
}

/// The verbs.
impl Rollout {
    /// Past the step that waits, or with `full` past all that are left.
    pub fn promote(&mut self, full: bool, seen: &Seen<'_>) -> Result<Vec<String>, Refused> {
        let mut said = vec![format!("promoted{}", if full { " in full" } else { "" })];
        match self.phase {
            Phase::Progressing | Phase::Paused(_) if full => {
                if !(seen.is_ready)(self.canary) {
                    return Err(Refused::NotReady(self.canary));
                }
                self.step = self.strategy.steps.len();
                self.phase = Phase::Progressing;
                // Who says so wants it in service, also where the strategy would keep it out.
                self.strategy.promotes = true;
            }
            Phase::Paused(_) => {
                self.phase = Phase::Progressing;
                self.next(seen.now, "passed by promote".to_owned(), &mut said);
            }
            _ => {
                return Err(
                    self.refused("only one that is paused is promoted, or one under way with full")
                );
            }
        }
        said.extend(self.tick(seen));
        Ok(said)
    }

    pub fn pause(&mut self) -> Result<Vec<String>, Refused> {
        if self.phase != Phase::Progressing {
            return Err(self.refused("only one that is progressing is paused"));
        }
        self.phase = Phase::Paused(Pause::Asked);
        self.message = "waits for resume".to_owned();
        Ok(vec!["paused".to_owned()])
    }

    /// Goes on where it was; an inconclusive analysis begins anew.
    pub fn resume(&mut self, seen: &Seen<'_>) -> Result<Vec<String>, Refused> {
        let mut said = vec!["resumed".to_owned()];
        match self.phase {
            Phase::Paused(Pause::Step) => {
                self.phase = Phase::Progressing;
                self.next(seen.now, "passed by resume".to_owned(), &mut said);
            }
            Phase::Paused(pause) => {
                self.phase = Phase::Progressing;
                if pause == Pause::InconclusiveAnalysisRun {
                    self.run = None;
                    self.background = None;
                }
                self.message.clear();
            }
            _ => return Err(self.refused("only one that is paused is resumed")),
        }
        said.extend(self.tick(seen));
        Ok(said)
    }

    pub fn abort(&mut self) -> Result<Vec<String>, Refused> {
        if !self.is_active() {
            return Err(self.refused("only one that is under way is aborted"));
        }
        let mut said = Vec::new();
        self.give_up("somebody said so".to_owned(), &mut said);
        Ok(said)
    }

    /// From the first step, with evidence of its own.
    pub fn retry(&mut self, id: String, seen: &Seen<'_>) -> Result<Vec<String>, Refused> {
        if self.phase != Phase::Degraded {
            return Err(self.refused("only one that was aborted is tried again"));
        }
        let previous = self.previous;
        let strategy = self.strategy.clone();
        *self = Rollout::start(id, strategy, self.stable, self.canary, seen.now);
        self.previous = previous;
        Ok(vec!["begins again".to_owned()])
    }

    /// Back to the version that was stable before, at once.
    pub fn undo(&mut self, seen: &Seen<'_>) -> Result<Vec<String>, Refused> {
        if self.is_active() {
            return Err(self.refused("one that is under way is aborted"));
        }
        let previous = self.previous.ok_or(Refused::NoPrevious(self.stable))?;
        if !(seen.is_ready)(previous) {
            return Err(Refused::NotReady(previous));
        }
        self.previous = Some(self.stable);
        self.stable = previous;
        let mut said = Vec::new();
        self.end(format!("back to version {previous}"), &mut said);
        Ok(said)
    }

    fn refused(&self, why: &'static str) -> Refused {
        let phase = self.phase.word().to_owned();
        Refused::Phase { phase, why }
    }
}

impl Phase {
    /// In Argo Rollouts' words.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Progressing => "Progressing",
            Phase::Paused(_) => "Paused",
            Phase::Degraded => "Degraded",
            Phase::Healthy => "Healthy",
        }
    }
}

/// As people write it: `12.5 %`.
pub fn percent(parts: u32) -> String {
    format!("{} %", f64::from(parts) * 100.0 / f64::from(WHOLE))
}
