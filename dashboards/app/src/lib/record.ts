// The record of each predictor, from its predictions alone, and of all of them together, from what failed.
import type { Failure, Prediction } from '../api/client';

export interface Tally {
  predictor: string;
  hit: number;
  prevented: number;
  miss: number;
  void: number;
  open: number;
  /** Share of those that came true or were prevented among those that could be judged; null when none could. */
  precision: number | null;
  /** Hours from the making to the score of each hit, ascending: how long there was to act. */
  leads: number[];
}

export function tallies(predictions: readonly Prediction[]): Tally[] {
  const found = new Map<string, Tally>();
  for (const one of predictions) {
    let tally = found.get(one.predictor);
    if (!tally) {
      tally = { predictor: one.predictor, hit: 0, prevented: 0, miss: 0, void: 0, open: 0, precision: null, leads: [] };
      found.set(one.predictor, tally);
    }
    tally[one.outcome ?? 'open'] += 1;
    if (one.outcome === 'hit' && one.scored_at) {
      tally.leads.push((Date.parse(one.scored_at) - Date.parse(one.made_at)) / 3_600_000);
    }
  }
  for (const tally of found.values()) {
    const judged = tally.hit + tally.prevented + tally.miss;
    tally.precision = judged > 0 ? (tally.hit + tally.prevented) / judged : null;
    tally.leads.sort((a, b) => a - b);
  }
  return [...found.values()].sort((a, b) => a.predictor.localeCompare(b.predictor));
}

export interface Recall {
  foretold: number;
  missed: number;
  /** Share of the failures that were foretold; null when nothing failed. */
  recall: number | null;
}

export function recalled(failures: readonly Failure[]): Recall {
  const foretold = failures.filter((one) => one.foretold).length;
  const missed = failures.length - foretold;
  return { foretold, missed, recall: failures.length > 0 ? foretold / failures.length : null };
}

export function median(sorted: readonly number[]): number | null {
  if (sorted.length === 0) return null;
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}
