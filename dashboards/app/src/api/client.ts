// The one door to the API. Types come from the product's own OpenAPI document (`npm run types`); URLs are relative to the
// page, so that the portal works under a sub-path.
import type { components, paths } from './schema';

export type Schemas = components['schemas'];
export type Check = Schemas['Check'];
export type CheckResult = Schemas['CheckResult'];
export type Failure = Schemas['Failure'];
export type Finding = Schemas['Finding'];
export type Prediction = Schemas['Prediction'];
export type ProblemChange = Schemas['ProblemChange'];
export type ProblemItem = Schemas['ProblemItem'];
export type Ticket = Schemas['TicketItem'];
export type SimilarTicket = Schemas['SimilarTicket'];
export type TicketDetail = Schemas['TicketWithHistory'];
export type State = Schemas['State'];
export type ClosureCode = Schemas['ClosureCode'];
export type Readiness = Schemas['Readiness'];

type Query = Record<string, string | number | boolean | null | undefined>;
type Ok<Operation> = Operation extends { responses: { 200: { content: { 'application/json': infer Body } } } } ? Body : never;
type Get<P extends keyof paths> = paths[P] extends { get: infer Operation } ? Ok<Operation> : never;
type Post<P extends keyof paths> = paths[P] extends { post: infer Operation } ? Ok<Operation> : never;
type PostBody<P extends keyof paths> = paths[P] extends {
  post: { requestBody: { content: { 'application/json': infer Body } } };
}
  ? Body
  : never;

/** What the server refused, or `status` 0 when it did not answer. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly detail: string,
    readonly type = '',
    readonly position: { line: number; column: number } | null = null,
    readonly retryAfter = 0,
  ) {
    super(detail);
  }
}

/** What proves who asks: a token kept in memory, or the cookie with its CSRF word. */
export const credentials = { token: '', csrf: '', refused: () => {} };

export function url(path: string, query: Query = {}): URL {
  const target = new URL(path.replace(/^\//, ''), new URL('.', document.baseURI));
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') target.searchParams.set(name, String(value));
  }
  return target;
}

interface Options {
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Sends a request and gives the answer if it is good. */
export async function send(method: string, path: string, { query, body, signal, headers: more = {} }: Options = {}): Promise<Response> {
  const headers = new Headers(more);
  if (credentials.token) headers.set('authorization', `Bearer ${credentials.token}`);
  if (credentials.csrf && method !== 'GET') headers.set('x-csrf-token', credentials.csrf);
  if (body !== undefined) headers.set('content-type', 'application/json');
  let response: Response;
  try {
    const sent = body === undefined ? null : JSON.stringify(body);
    response = await fetch(url(path, query), { method, headers, body: sent, signal: signal ?? null, cache: 'no-store' });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, '');
  }
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as Partial<Schemas['Problem']>;
  if (response.status === 401 && !path.includes('/session')) credentials.refused();
  throw new ApiError(
    response.status,
    problem.detail ?? response.statusText,
    problem.type ?? '',
    problem.position ?? null,
    Number(response.headers.get('retry-after') ?? 0),
  );
}

function filled(path: string, values: Record<string, string | number>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));
}

export async function get<P extends keyof paths & string>(
  path: P,
  { at = {}, ...options }: Options & { at?: Record<string, string | number> } = {},
): Promise<Get<P>> {
  return (await send('GET', filled(path, at), options)).json() as Promise<Get<P>>;
}

/** The items of a list that is always one page, or of its first page. */
export async function listed<T>(path: keyof paths & string, options: Options = {}): Promise<T[]> {
  return ((await (await send('GET', path, options)).json()) as { items: T[] }).items;
}

export async function post<P extends keyof paths & string>(
  path: P,
  at: Record<string, string | number>,
  body: PostBody<P>,
  /** What the reader has seen: done only if it still is so. */
  seen?: number,
): Promise<Post<P>> {
  // The key names this request: sent again because no answer came, it is done once.
  const headers: Record<string, string> = { 'idempotency-key': key() };
  if (seen !== undefined) headers['if-match'] = `"${seen}"`;
  const ask = () => send('POST', filled(path, at), { body, headers });
  const response = await ask().catch((error: unknown) => {
    if (error instanceof ApiError && error.status === 0) return ask();
    throw error;
  });
  return response.json() as Promise<Post<P>>;
}

/** Random, also where the page is not served as a secure one. */
function key(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

interface Items {
  '/api/v1/checks': Check;
  '/api/v1/tickets': Ticket;
  '/api/v1/predictions': Prediction;
  '/api/v1/problems': ProblemItem;
  '/api/v1/results': CheckResult;
  '/api/v1/findings': Finding;
  '/api/v1/failures': Failure;
}

/** Items on a page: the most that the server gives. */
const PAGE = 1_000;
const PAGE_OF_CHECKS = 10_000;

/** Every item of a list, page by page, up to `most`. */
export async function all<P extends keyof Items>(path: P, query: Query, most: number, signal?: AbortSignal): Promise<Items[P][]> {
  const items: Items[P][] = [];
  const page = path === '/api/v1/checks' ? PAGE_OF_CHECKS : PAGE;
  let before: string | null | undefined = null;
  do {
    const options: Options = { query: { ...query, limit: Math.min(page, most - items.length), before } };
    if (signal) options.signal = signal;
    const found = (await get(path, options)) as { items: Items[P][]; next?: string | null };
    for (const item of found.items) items.push(item);
    before = found.next;
  } while (before && items.length < most);
  return items;
}
