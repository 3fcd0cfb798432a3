// Records that could not be taken in.
import { type Schemas, get, post, send } from './client';

export type Reject = Schemas['Reject'];
export type Record = Omit<Schemas['RejectedRecord'], 'headers'> & { headers: { [name: string]: string } };
export type Decided = Schemas['Decision'];
export interface Wanted {
  status: string | null;
  reason: string | null;
  before: string | null;
}

/** In a path `~` stands for the slashes of an id. */
const at = (id: string) => ({ reject_id: id.replaceAll('/', '~') });

export async function rejects(query: Wanted): Promise<{ items: Reject[]; next?: string | null }> {
  const asked = { ...query };
  return (await (await send('GET', '/api/v1/rejects', { query: asked })).json()) as { items: Reject[]; next?: string | null };
}

export function reject(id: string): Promise<Record> {
  return get('/api/v1/rejects/{reject_id}', { at: at(id) }) as Promise<Record>;
}

export function retry(id: string, body: { payload: string | null; comment: string | null }): Promise<Decided> {
  return post('/api/v1/rejects/{reject_id}/retry', at(id), { ...body, event_type: null });
}

export function discard(id: string, body: { comment: string | null }): Promise<Decided> {
  return post('/api/v1/rejects/{reject_id}/drop', at(id), body);
}
