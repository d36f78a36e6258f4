use super::*;

fn inputs() -> Inputs {
    [
        (Input::Dockerfile, "1"),
        (Input::Path("a".to_owned()), "file 644 x"),
        (Input::Argument("A".to_owned()), "1"),
        (Input::Platform, "linux/amd64"),
    ]
    .into_iter()
    .map(|(input, value)| (input, value.to_owned()))
    .collect()
}

#[test]
fn every_input_and_every_state_counts() {
    let inputs = inputs();
    let same = inputs.clone();
    assert_eq!(inputs.fingerprint(), same.fingerprint());
    for (input, _) in inputs.iter() {
        let mut other = inputs.clone();
        other.add(input.clone(), "another");
        assert_ne!(other.fingerprint(), inputs.fingerprint(), "{input}");
        let less: Inputs =
            inputs.iter().filter(|(known, _)| *known != input).map(|(i, v)| (i.clone(), v.clone())).collect();
        assert_ne!(less.fingerprint(), inputs.fingerprint(), "{input}");
    }
}

#[test]
fn what_stands_next_to_each_other_is_not_one() {
    let of = |name: &str, value: &str| {
        let mut inputs = Inputs::default();
        inputs.add(Input::Argument(name.to_owned()), value);
        inputs.fingerprint()
    };
    assert_ne!(of("A", "BC"), of("AB", "C"));
    let mut label = Inputs::default();
    label.add(Input::Label("A".to_owned()), "BC");
    assert_ne!(label.fingerprint(), of("A", "BC"));
}

/// A fingerprint in a committed lock has to mean the same in the next version: a change here needs another [`SCHEME`].
#[test]
fn a_fingerprint_stays_what_it_is() {
    assert_eq!(
        inputs().fingerprint().to_string(),
        "2:sha256:1eeb0031a032d58e7bf164ed962fe93157155b4e9b1d688a0e7a17187864ebef"
    );
}
