//! What the product ships passes its own tests.

use kizashi_steps::{StepSet, testing};

#[tokio::test]
async fn shipped_steps_pass_their_tests() {
    let cases = testing::test_all(None).await.unwrap();
    let steps = StepSet::load(None).await.unwrap().infos().len();
    assert!(steps > 0 && cases >= steps, "{cases} cases of {steps} steps");
}
