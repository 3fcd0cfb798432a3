// The checks as files, a try before one is saved, who changed what; and the statements that people keep.
import { type Schemas, listed, send } from './client';

export type WrittenCheck = Schemas['WrittenCheck'];
export type Tried = Schemas['TriedResult'];
export type Change = Schemas['ConfigurationChangeItem'];
export type Definition = Record<string, unknown>;
export interface CheckFile {
  file: string;
  toml: string;
  /** Names the content. */
  tag: string;
}

const BASE = '/api/v1/configuration';

async function taken(response: Response): Promise<CheckFile> {
  return { ...((await response.json()) as Schemas['CheckFile']), tag: response.headers.get('etag') ?? '' };
}

export function checks(): Promise<WrittenCheck[]> {
  return listed<WrittenCheck>(`${BASE}/checks`);
}

export function changes(): Promise<Change[]> {
  return listed<Change>(`${BASE}/changes`);
}

export async function file(): Promise<CheckFile> {
  return taken(await send('GET', `${BASE}/file`));
}

export async function writeFile(toml: string, tag: string): Promise<CheckFile> {
  return taken(await send('PUT', `${BASE}/file`, { body: { toml }, headers: { 'if-match': tag } }));
}

/** In a path `~` stands for the `/` of an id. */
const at = (tenant: string, check: string) => `${BASE}/checks/${encodeURIComponent(tenant)}/${encodeURIComponent(check.replaceAll('/', '~'))}`;

export async function putCheck(tenant: string, check: string, definition: Definition): Promise<CheckFile> {
  return taken(await send('PUT', at(tenant, check), { body: { check: definition } }));
}

export async function removeCheck(tenant: string, check: string): Promise<CheckFile> {
  return taken(await send('DELETE', at(tenant, check)));
}

export async function tryCheck(definition: Definition): Promise<Tried> {
  return (await send('POST', `${BASE}/try`, { body: { check: definition } })).json() as Promise<Tried>;
}
