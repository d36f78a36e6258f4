//! A run that was interrupted is finished with the lists that it had planned.

use proptest::prelude::*;

use super::*;

const PLATFORMS: [&str; 6] = [
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/arm/v6",
    "windows(10.0.1)/amd64",
    "windows(10.0.2)/amd64",
];

proptest! {
    /// Stopped after any tags in any of two registries, the next run has the same lists to write.
    #[test]
    fn what_was_interrupted_is_finished_with_the_same_lists(
        before in proptest::sample::subsequence(PLATFORMS.to_vec(), 1..6),
        after in proptest::sample::subsequence(PLATFORMS.to_vec(), 1..6),
        served in proptest::collection::vec(any::<bool>(), 6),
        written in proptest::collection::vec(any::<bool>(), 6),
        policies in proptest::collection::vec(any::<bool>(), 3),
        keep in any::<bool>(),
    ) {
        let policy = |fixed: bool| if fixed { TagPolicy::Immutable } else { TagPolicy::Moving };
        let mut second = target(&after);
        second.repositories.push("second.test/app".parse().unwrap());
        second.tags = (0..3)
            .map(|index| Tag { name: format!("t{index}"), policy: policy(policies[index]) })
            .collect();
        second.undeclared = if keep { Undeclared::Keep } else { Undeclared::Remove };
        let mut first = target(&before);
        first.tags = vec![Tag { name: "old".to_owned(), policy: TagPolicy::Moving }];
        let old = published(&first).places[0].tags[0].clone();

        let mut observed = unpublished(&second);
        for (place, served) in observed.places.iter_mut().zip(served.chunks(3)) {
            for ((state, tag), served) in place.tags.iter_mut().zip(&second.tags).zip(served) {
                // An immutable tag that serves something else is no case of an interrupted run.
                if *served && tag.policy == TagPolicy::Moving { *state = old.clone(); }
            }
        }
        let planned = plan(&second, &observed, Options::default());
        prop_assert_eq!(&planned.problems, &Vec::new());
        for (index, (plan, place)) in planned.places.iter().zip(&mut observed.places).enumerate() {
            let bytes = &plan.list.as_ref().unwrap().bytes;
            for (position, tag) in plan.tags.iter().enumerate() {
                if tag.action.is_write() && written[3 * index + position] {
                    place.tags[position] = serve(bytes);
                }
            }
        }
        let again = plan(&second, &observed, Options::default());
        prop_assert_eq!(&again.problems, &Vec::new());
        for (then, now) in planned.places.iter().zip(&again.places) {
            prop_assert_eq!(then.list.as_ref().unwrap(), now.list.as_ref().unwrap());
        }
    }
}
