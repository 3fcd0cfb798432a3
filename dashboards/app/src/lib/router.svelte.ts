// Hash routes (`#/alerts?state=CRITICAL`): the server sees one page, so the portal works under any sub-path.

export interface Route {
  path: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#/, '').split(/\?(.*)/s);
  const parts = path.split('/').filter((part) => part !== '');
  return { path: parts.map(decoded), query: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The hash for a place; empty values of the query are left out. */
export function href(path: readonly (string | number)[], query: Record<string, string | null | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) search.set(name, value);
  const text = search.toString();
  return `#/${path.map((part) => encodeURIComponent(part)).join('/')}${text ? `?${text}` : ''}`;
}

class Router {
  route = $state.raw<Route>(parse(location.hash));

  constructor() {
    addEventListener('hashchange', () => this.read());
  }

  private read() {
    this.route = parse(location.hash);
  }

  go(to: string) {
    location.hash = to;
  }

  /** Changes the query of the present page without a new entry in the browser's history. */
  patch(query: Record<string, string | null>) {
    const next: Record<string, string | null> = { ...Object.fromEntries(this.route.query), ...query };
    history.replaceState(null, '', href(this.route.path, next));
    this.read();
  }

  get(name: string): string {
    return this.route.query.get(name) ?? '';
  }
}

export const router = new Router();
