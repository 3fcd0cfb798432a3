// Who is signed in: a person with a cookie, or whoever holds a service token, which stays in memory only.
import { ApiError, credentials, get, send } from '../api/client';
import { i18n } from './i18n.svelte';

export interface Person {
  /** null for a service. */
  id: number | null;
  name: string;
  display_name: string;
  role: string;
  tenant: string | null;
  language: 'ja' | 'en' | null;
}
interface Body {
  person: Person;
  permissions: string[];
  csrf: string | null;
  must_change_password: boolean;
}

class Session {
  /** `asking` until the server said whether there is a session. */
  state = $state<'asking' | 'out' | 'in'>('asking');
  person = $state.raw<Person | null>(null);
  /** null: a server without roles, where a token may do everything. */
  private permissions = $state.raw<readonly string[] | null>(null);
  mustChange = $state(false);
  /** False when this server knows tokens only. */
  people = $state(true);
  expired = $state(false);

  /** As tickets name an assignee. */
  login = $derived(this.person?.name ?? 'admin');
  name = $derived(this.person?.display_name || this.login);

  constructor() {
    credentials.refused = () => {
      if (this.state !== 'in') return;
      this.expired = true;
      this.forget();
    };
  }

  async resume(): Promise<void> {
    try {
      this.take((await (await send('GET', '/api/v1/session')).json()) as Body);
    } catch (error) {
      this.people = !(error instanceof ApiError && error.status === 404);
      this.state = 'out';
    }
  }

  async enter(name: string, password: string): Promise<void> {
    const body = { name, password };
    this.take((await (await send('POST', '/api/v1/session', { body })).json()) as Body);
  }

  async enterWithToken(token: string): Promise<void> {
    credentials.token = token;
    try {
      if (this.people) return this.take((await (await send('GET', '/api/v1/session')).json()) as Body);
      await get('/api/v1/checks', { query: { limit: 1 } });
      this.permissions = null;
      this.expired = false;
      this.state = 'in';
    } catch (error) {
      credentials.token = '';
      throw error;
    }
  }

  async leave(): Promise<void> {
    if (!credentials.token) await send('DELETE', '/api/v1/session').catch(() => {});
    this.forget();
  }

  async changePassword(old: string, fresh: string): Promise<void> {
    await send('PUT', '/api/v1/session/password', { body: { old, new: fresh } });
    this.mustChange = false;
  }

  /** Kept on the server too, so that it is the same on the next machine. */
  setLanguage(language: 'ja' | 'en') {
    i18n.set(language);
    if (this.person?.id) send('PATCH', '/api/v1/session', { body: { language } }).catch(() => {});
  }

  may(permission: string): boolean {
    return this.permissions?.includes(permission) ?? true;
  }

  private take(body: Body) {
    credentials.csrf = body.csrf ?? '';
    this.person = body.person;
    this.permissions = body.permissions;
    this.mustChange = body.must_change_password;
    if (body.person.language) i18n.set(body.person.language);
    this.expired = false;
    this.state = 'in';
  }

  private forget() {
    credentials.token = '';
    credentials.csrf = '';
    this.person = null;
    this.state = 'out';
  }
}

export const session = new Session();
