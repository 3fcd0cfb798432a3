//! The query files are embedded: a new one must lead to a new build.

fn main() {
    for folder in ["detectors", "predictions"] {
        println!("cargo::rerun-if-changed=../../queries/{folder}");
    }
}
