// The statements that people keep: their own, and those that are shared with them.
import { type Schemas, listed, send } from './client';

export type Saved = Schemas['StatementItem'];
export type Keep = Schemas['Keep'];

export function statements(): Promise<Saved[]> {
  return listed<Saved>('/api/v1/statements');
}

/** A new one, or one's own of this id. */
export async function keep(body: Keep, id: number | null): Promise<Saved> {
  const response = id === null ? await send('POST', '/api/v1/statements', { body }) : await send('PUT', `/api/v1/statements/${id}`, { body });
  return (await response.json()) as Saved;
}

export async function forget(id: number): Promise<void> {
  await send('DELETE', `/api/v1/statements/${id}`);
}
