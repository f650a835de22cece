//! What is asked of every database.

use modelet_policy::names::{ModelName, Version};
use modelet_policy::rollout::evidence::{Counts, Evidence, Split};
use modelet_policy::rollout::{Phase, Rollout};
use modelet_policy::spec::ModelSpec;
use modelet_store::{Entry, Joined, Prediction, State, StateError};

async fn state(url: &str, node: &str) -> State {
    State::open(url, node.to_owned()).await.unwrap()
}

fn model() -> ModelName {
    "iris".parse().unwrap()
}

fn version(number: u64) -> Version {
    Version::try_from(number).unwrap()
}

fn rollout() -> Rollout {
    let spec = "[strategy.canary]\nsteps = [{ setWeight = 10 }, { pause = {} }]";
    let strategy = ModelSpec::parse(spec).unwrap().strategy.unwrap();
    Rollout::start("first".to_owned(), strategy, version(1), version(2), 7)
}

fn evidence(requests: u64) -> Evidence {
    let mut evidence = Evidence::default();
    let canary = Counts {
        requests,
        ..Counts::default()
    };
    let split = Split {
        canary,
        ..Split::default()
    };
    evidence.splits.insert(1000, split);
    evidence
}

fn entry(what: &str) -> Entry {
    Entry {
        revision: 0,
        at: 42,
        who: "anna".to_owned(),
        what: what.to_owned(),
        evidence: evidence(5),
    }
}

pub async fn a_rollout_is_read_as_it_was_written(url: String) {
    let state = state(&url, "a").await;
    assert_eq!(state.rollout(&model()).await.unwrap(), None);
    let mut rollout = rollout();
    let first = state.save(&model(), 0, &rollout, entry("started")).await;
    assert_eq!(first.unwrap(), 1);
    rollout.phase = Phase::Degraded;
    let second = state.save(&model(), 1, &rollout, entry("aborted")).await;
    assert_eq!(second.unwrap(), 2);
    let saved = state.rollout(&model()).await.unwrap().unwrap();
    assert_eq!((saved.revision, &saved.rollout), (2, &rollout));
    assert_eq!(state.rollouts().await.unwrap(), [saved]);
    let history = state.history(&model(), 10).await.unwrap();
    let said: Vec<_> = history
        .iter()
        .map(|entry| (entry.revision, &*entry.what))
        .collect();
    assert_eq!(said, [(2, "aborted"), (1, "started")]);
    assert_eq!((history[0].at, &*history[0].who), (42, "anna"));
    assert_eq!(history[0].evidence, evidence(5));
}

pub async fn a_change_that_was_made_from_an_old_revision_is_refused(url: String) {
    let state = state(&url, "a").await;
    state
        .save(&model(), 0, &rollout(), entry("started"))
        .await
        .unwrap();
    for revision in [0, 2, 7] {
        let refused = state
            .save(&model(), revision, &rollout(), entry("again"))
            .await;
        assert!(
            matches!(refused, Err(StateError::Conflict(_))),
            "{refused:?}"
        );
    }
    assert_eq!(state.history(&model(), 10).await.unwrap().len(), 1);
}

pub async fn of_many_that_change_it_at_once_one_succeeds(url: String) {
    let state = state(&url, "a").await;
    let attempts = (0..8).map(|_| {
        let state = state.clone();
        tokio::spawn(async move { state.save(&model(), 0, &rollout(), entry("started")).await })
    });
    let attempts: Vec<_> = attempts.collect();
    let mut succeeded = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(1) => succeeded += 1,
            Err(StateError::Conflict(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(succeeded, 1);
}

pub async fn one_node_leads_until_its_lease_is_over(url: String) {
    let (a, b) = (state(&url, "a").await, state(&url, "b").await);
    assert!(
        !a.lead(&model(), 0, 10).await.unwrap(),
        "there is no rollout"
    );
    a.save(&model(), 0, &rollout(), entry("started"))
        .await
        .unwrap();
    assert!(a.lead(&model(), 100, 200).await.unwrap());
    assert!(!b.lead(&model(), 150, 250).await.unwrap());
    assert!(a.lead(&model(), 160, 260).await.unwrap(), "it may go on");
    assert!(!b.lead(&model(), 250, 350).await.unwrap());
    assert!(b.lead(&model(), 261, 361).await.unwrap());
    assert!(!a.lead(&model(), 270, 370).await.unwrap());
}

pub async fn evidence_of_all_nodes_is_added_up(url: String) {
    let (a, b) = (state(&url, "a").await, state(&url, "b").await);
    assert_eq!(a.evidence("first").await.unwrap(), Evidence::default());
    a.put_evidence("first", &evidence(5)).await.unwrap();
    a.put_evidence("first", &evidence(6)).await.unwrap();
    b.put_evidence("first", &evidence(10)).await.unwrap();
    b.put_evidence("other", &evidence(1000)).await.unwrap();
    assert_eq!(b.evidence("first").await.unwrap(), evidence(16));
}

pub async fn a_reward_is_joined_once(url: String) {
    let state = state(&url, "a").await;
    let prediction = |id: &str, number| Prediction {
        model: model(),
        id: id.to_owned(),
        rollout: "first".to_owned(),
        version: version(number),
        at: 1000,
        prediction: "setosa".to_owned(),
    };
    let all: Vec<_> = (1..=9)
        .map(|number| prediction(&number.to_string(), 1 + number % 2))
        .collect();
    state.add_predictions(&all).await.unwrap();
    state.add_predictions(&all).await.unwrap();
    assert_eq!(state.prediction(&model(), "10").await.unwrap(), None);
    let found = state.prediction(&model(), "1").await.unwrap().unwrap();
    assert_eq!(found, prediction("1", 2));
    let reward = |reward, not_before| state.reward(&found, reward, not_before);
    assert_eq!(reward(1.0, 1001).await.unwrap(), Joined::Late);
    assert_eq!(reward(0.5, 1000).await.unwrap(), Joined::Joined);
    assert_eq!(reward(0.9, 1000).await.unwrap(), Joined::Duplicate);
    let rewards = state.evidence("first").await.unwrap().rewards;
    let only = &rewards[&version(2)];
    assert_eq!(
        (rewards.len(), only.count, only.sum, only.squares),
        (1, 1, 0.5, 0.25)
    );
    assert_eq!(state.forget_predictions(1001).await.unwrap(), 9);
}

pub async fn tables_are_created_once(url: String) {
    let opened = (0..4).map(|node| {
        let url = url.clone();
        tokio::spawn(async move { State::open(&url, node.to_string()).await })
    });
    for opened in opened.collect::<Vec<_>>() {
        opened.await.unwrap().unwrap();
    }
    state(&url, "late")
        .await
        .save(&model(), 0, &rollout(), entry("started"))
        .await
        .unwrap();
    assert_eq!(
        state(&url, "later").await.rollouts().await.unwrap().len(),
        1
    );
}
