// The steps of the pipeline, and their history.
import { type Schemas, listed, send } from './client';

export type Step = Schemas['Step'];
export type Backfill = Schemas['Backfill'];

export function steps(): Promise<Step[]> {
  return listed<Step>('/api/v1/steps');
}

/** Takes over the files; with days, of one step, its history is derived again. */
export async function apply(asked: { from: string; to: string; steps: string[] } | null): Promise<Step[]> {
  const answer = await send('POST', '/api/v1/steps/apply', { body: asked ?? {} });
  return ((await answer.json()) as { items: Step[] }).items;
}
