//! `kizashi import`: a file of times and values onto a check.

use anyhow::Result;

use super::series::{PIECE, Totals, send};
use crate::cli::{ImportArgs, Place};
use crate::client::Client;
use crate::config::load;
use crate::recording;

pub fn run(place: &Place, args: &ImportArgs) -> Result<()> {
    let loaded = load(place)?;
    let client = Client::new(place, &loaded)?;
    let recording = recording::read(&args.series)?;
    let bar = super::progress(recording.points.len() as u64, "importing");
    let mut totals = Totals::default();
    for piece in recording.points.chunks(PIECE) {
        send(&client, &args.series, piece, &mut totals)?;
        bar.inc(piece.len() as u64);
    }
    bar.finish_and_clear();
    totals.print(&recording.rejected);
    Ok(())
}
