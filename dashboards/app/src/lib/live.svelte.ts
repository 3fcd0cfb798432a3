// What several pages show, kept fresh: by the server's events where it has them, and by asking every ten seconds where not.
// Pages read the lists; only this file knows where changes come from.
import { ApiError, type Check, type CheckResult, type Prediction, type ProblemChange, type Ticket, all, get } from '../api/client';
import { events } from '../api/events';
import { newer, told } from './told';

const EVERY_MS = 10_000;
/** With events the lists are still read anew now and then, so that a lost one does not last. */
const EVERY_WITH_EVENTS_MS = 60_000;
const GATHER_MS = 300;
/** Beyond so many changed checks at once the whole list is read. */
const ONE_BY_ONE_MAX = 20;
const CHECKS_MAX = 20_000;
const TICKETS_MAX = 2_000;

type Part = 'checks' | 'tickets' | 'predictions';

class Live {
  checks = $state.raw<Check[]>([]);
  /** Open and resolved ones, and the newest closed. */
  tickets = $state.raw<Ticket[]>([]);
  predictions = $state.raw<Prediction[]>([]);
  loaded = $state(false);
  /** The checks alone: the list of them waits for nothing else. */
  checksLoaded = $state(false);
  error = $state.raw<ApiError | null>(null);
  /** When the lists were last known to be right. */
  at = $state(0);
  streaming = $state(false);

  ticketOf = $derived(byCheck(this.tickets));

  private stopping: AbortController | null = null;
  private wanted = new Set<Part>();
  private reading = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private results = new Map<string, CheckResult>();
  /** Checks of which the server knows more than an event said. */
  private unsure = new Set<string>();

  start() {
    if (this.stopping) return;
    this.stopping = new AbortController();
    void this.poll(this.stopping.signal);
    void this.listen(this.stopping.signal);
  }

  stop() {
    this.stopping?.abort();
    this.stopping = null;
    clearTimeout(this.timer);
    this.loaded = false;
    this.checksLoaded = false;
    this.checks = [];
    this.tickets = [];
    this.predictions = [];
  }

  /** Reads a part anew soon; several wishes within a moment are one request. */
  want(...parts: Part[]) {
    for (const part of parts) this.wanted.add(part);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.judge();
      this.readWanted();
    }, GATHER_MS);
  }

  /** One at a time: when the server is slow, wishes wait and become one. */
  private readWanted() {
    if (!this.stopping || this.reading || this.wanted.size === 0) return;
    const now = [...this.wanted];
    this.wanted.clear();
    this.reading = true;
    void this.read(now, this.stopping.signal).finally(() => {
      this.reading = false;
      if (this.wanted.size > 0) this.want();
    });
  }

  async refresh(...parts: Part[]): Promise<void> {
    if (this.stopping) await this.read(parts, this.stopping.signal);
  }

  private async poll(stop: AbortSignal) {
    while (!stop.aborted) {
      await this.read(['checks', 'tickets', 'predictions'], stop);
      await new Promise((resolve) => setTimeout(resolve, this.streaming ? EVERY_WITH_EVENTS_MS : EVERY_MS));
      while (document.hidden && !stop.aborted) await shown();
    }
  }

  private async listen(stop: AbortSignal) {
    await events(stop, {
      open: (open) => (this.streaming = open),
      event: (name, data) => this.take(name, data),
    });
  }

  private take(name: string, data: string) {
    if (name === 'check_result') {
      const result = JSON.parse(data) as CheckResult;
      this.results.set(keyOf(result), result);
      this.want();
    } else if (name === 'ticket') {
      const { ticket } = JSON.parse(data) as { ticket: Ticket };
      this.tickets = [ticket, ...this.tickets.filter((other) => other.ticket_key !== ticket.ticket_key || other.tenant !== ticket.tenant)];
    } else if (name === 'problem') {
      this.unsure.add(keyOf(JSON.parse(data) as ProblemChange));
      this.want();
    } else if (name === 'prediction') {
      this.want('predictions');
    } else if (name === 'check_removed') {
      this.want('checks');
    } else if (name === 'reset') {
      this.want('checks', 'tickets', 'predictions');
    }
  }

  /**
   * Puts the results that came into the list, at once: the server may still have to judge them. A new state also has an
   * attempt and perhaps a problem, which only the server knows and is asked for.
   */
  private judge() {
    if (this.results.size === 0 && this.unsure.size === 0) return;
    const { results, unsure } = this;
    [this.results, this.unsure] = [new Map(), new Set()];
    const asked: Check[] = [];
    let known = 0;
    this.checks = this.checks.map((check) => {
      const key = keyOf(check);
      const result = results.get(key);
      if (result) known += 1;
      const after = result ? told(check, result) : check;
      if (unsure.has(key) || (result && after.current?.hard === false)) asked.push(after);
      return after;
    });
    if (known < results.size || asked.length > ONE_BY_ONE_MAX) this.want('checks');
    else for (const check of asked) void this.one(check);
  }

  private async one(of: Check) {
    const stop = this.stopping?.signal;
    const query = { tenant: of.tenant, check_id: of.check_id };
    const page = await get('/api/v1/checks', stop ? { query, signal: stop } : { query }).catch(() => null);
    const fresh = page?.items[0] as Check | undefined;
    if (!fresh || stop?.aborted) return;
    this.checks = this.checks.map((check) => (keyOf(check) === keyOf(of) ? newer(check, fresh) : check));
  }

  private async read(parts: Part[], stop: AbortSignal) {
    try {
      await Promise.all(parts.map((part) => this.part(part, stop)));
      if (stop.aborted) return;
      this.error = null;
      this.at = Date.now();
      this.loaded = true;
    } catch (error) {
      if (stop.aborted) return;
      this.error = error instanceof ApiError ? error : new ApiError(0, String(error));
    }
  }

  private async part(part: Part, stop: AbortSignal) {
    if (part === 'checks') {
      const checks = await all('/api/v1/checks', {}, CHECKS_MAX, stop);
      if (stop.aborted) return;
      const before = new Map(this.checks.map((check) => [keyOf(check), check]));
      this.checks = checks.map((check) => newer(before.get(keyOf(check)), check));
      this.checksLoaded = true;
    } else if (part === 'predictions') {
      const predictions = await all('/api/v1/predictions', { open: true }, 1_000, stop);
      if (!stop.aborted) this.predictions = predictions;
    } else {
      const lists = await Promise.all([
        all('/api/v1/tickets', { status: 'open' }, TICKETS_MAX, stop),
        all('/api/v1/tickets', { status: 'resolved' }, TICKETS_MAX, stop),
        all('/api/v1/tickets', { status: 'closed' }, 100, stop),
      ]);
      if (!stop.aborted) this.tickets = lists.flat();
    }
  }
}

/** The most urgent ticket of each check that a person has not closed. */
function byCheck(tickets: Ticket[]): Map<string, Ticket> {
  const found = new Map<string, Ticket>();
  for (const ticket of tickets) {
    if (ticket.status === 'closed') continue;
    const key = keyOf(ticket);
    const other = found.get(key);
    const better = !other || rank(ticket) < rank(other);
    if (better) found.set(key, ticket);
  }
  return found;
}

const rank = (ticket: Ticket) => (ticket.status === 'open' ? 0 : 10) + ticket.priority;

export function keyOf(of: { tenant: string; check_id: string }): string {
  return `${of.tenant}\n${of.check_id}`;
}

function shown(): Promise<void> {
  return new Promise((resolve) => document.addEventListener('visibilitychange', () => resolve(), { once: true }));
}

export const live = new Live();
