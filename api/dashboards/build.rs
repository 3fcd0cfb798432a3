//! A dashboard that is added to the shipped ones is in the next build.

fn main() {
    println!("cargo::rerun-if-changed=../../dashboards/shipped");
}
