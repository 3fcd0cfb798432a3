// Lakes that are made anew beside the first one, and tenants that are erased.
import { type Schemas, listed, send } from './client';

export type Rebuild = Schemas['Rebuild'];
export type Erasure = Schemas['Erasure'];

export function rebuilds(): Promise<Rebuild[]> {
  return listed<Rebuild>('/api/v1/rebuilds');
}

export async function rebuild(name: string): Promise<void> {
  await send('POST', '/api/v1/rebuilds', { body: { name } });
}

export async function removeRebuild(name: string): Promise<void> {
  await send('DELETE', `/api/v1/rebuilds/${encodeURIComponent(name)}`);
}

export function erasures(): Promise<Erasure[]> {
  return listed<Erasure>('/api/v1/erasures');
}

/** The name twice, because nothing brings the tenant back. */
export async function erase(tenant: string, confirm: string): Promise<void> {
  await send('POST', '/api/v1/erasures', { body: { tenant, confirm } });
}
