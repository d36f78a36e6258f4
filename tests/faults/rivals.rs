//! Two declarations that publish different lists under one immutable tag, in the worst order of their requests: only one
//! of them may end well, and the tag serves its list.

use std::sync::atomic::Ordering;

use manifests::error::render;
use manifests::model::digest::Digest;

use crate::content::{Content, image, list};
use crate::race::Race;
use crate::scenarios::{Scenario, scenario};
use crate::world::{RETRY_POLICY, Template, World, declaration, reconcile, registry, scratch};

const AMD64: &str = "linux/amd64";
const RIVALS: [&str; 2] = ["one", "other"];
const TAG: &str = "/v2/rivals/app/manifests/1.0";
const ROUNDS: usize = 20;

fn target(name: &str) -> String {
    format!(
        r#"
[target.{name}]
repository = "{{0}}/rivals/app"
tags = [{{ name = "1.0", policy = "immutable" }}]
image = "{{0}}/images/{name}:{{arch}}"
platforms = ["{AMD64}"]
"#
    )
}

fn rival(name: &str) -> Content {
    image(AMD64, name, 40).tagged("amd64").within(0, &format!("images/{name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_of_an_immutable_tag_one_ends_well_and_is_served() {
    let contents = RIVALS.map(rival).into_iter().collect();
    let scenario = Scenario { contents, ..scenario(&target("unused")) };
    let template = Template::fill(&scenario).await;
    for takes_conditions in [true, false] {
        for round in 0..ROUNDS {
            let what = format!("round {round}, takes conditions: {takes_conditions}");
            race(&scenario, &template, takes_conditions, &what).await;
        }
    }
}

async fn race(scenario: &Scenario, template: &Template, takes_conditions: bool, what: &str) {
    let world = World::start(scenario, template, None).await;
    world.injector.ignores_conditions.store(!takes_conditions, Ordering::Relaxed);
    assert!(world.injector.race.set(Race::new(TAG.to_owned())).is_ok());
    let cache = scratch();
    let run = async |name: &str| {
        let declaration = declaration(&target(name), world.hosts());
        let registry = registry(cache.path().to_owned(), RETRY_POLICY, || {});
        reconcile(&registry, &declaration).await.map(drop).map_err(|error| render(&error))
    };
    let results = tokio::join!(run(RIVALS[0]), run(RIVALS[1]));
    let results = [results.0, results.1];
    let order = world.injector.race.get().unwrap().order();
    let writes: Vec<_> = order.iter().filter(|what| **what != "look").collect();
    assert_eq!(writes, [&"first", &"second"], "{what}");
    let served = world.backdoors[0].get(TAG).await.map(|(_, bytes)| Digest::of(&bytes));
    let ended_well: Vec<&str> =
        RIVALS.into_iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|(name, _)| name).collect();
    let [winner] = ended_well[..] else { panic!("{what}: {results:?}") };
    assert_eq!(served, Some(list(vec![(AMD64, rival(winner))]).digest()), "{what}");
    let told = if takes_conditions { "was moved by somebody else" } else { "was overtaken" };
    let errors: Vec<&String> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(errors[0].contains(told), "{what}: {}", errors[0]);
    assert_eq!(world.wrongs().await, Vec::<String>::new(), "{what}");
}
