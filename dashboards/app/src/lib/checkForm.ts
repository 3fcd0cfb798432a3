// The keys of a check as fields of a form. What is left at its default is not written.
import type { Definition } from '../api/configuration';

export type Sort = 'text' | 'number' | 'span' | 'yes' | 'list' | 'pairs' | 'method' | 'missing';
export interface Field {
  key: string;
  sort: Sort;
  /** As the product has it when the key is left out. */
  usual?: string;
  needed?: boolean;
}

const field = (key: string, sort: Sort = 'text', usual = ''): Field => ({ key, sort, usual });
const needed = (key: string, sort: Sort = 'text'): Field => ({ key, sort, needed: true });
const certificate = [field('verify', 'yes', 'true'), field('ca_file'), field('warning_days', 'number', '21'), field('critical_days', 'number', '7')];

export const KINDS: Record<string, Field[]> = {
  url: [needed('address'), field('body'), field('status', 'list'), field('method', 'method', 'GET'), field('headers', 'pairs'), field('warning_time', 'span'), field('critical_time', 'span'), field('redirects_max', 'number', '5'), field('body_bytes_max', 'number', '1048576'), ...certificate],
  port: [needed('host'), needed('port', 'number'), field('send'), field('expect'), field('tls', 'yes', 'false'), field('server_name'), ...certificate],
  ping: [needed('host'), field('packets', 'number', '3'), field('packet_timeout', 'span'), field('warning_loss_percent', 'number', '20'), field('critical_loss_percent', 'number', '60'), field('warning_rtt', 'span'), field('critical_rtt', 'span')],
  process: [field('name'), field('pattern'), field('min', 'number', '1'), field('max', 'number')],
  log: [needed('path'), field('include'), field('exclude'), field('warning_matches', 'number'), field('critical_matches', 'number'), field('from_start', 'yes', 'false'), field('missing', 'missing', 'unknown')],
  disk: [needed('path'), field('warning_percent', 'number', '80'), field('critical_percent', 'number', '90')],
  cpu: [field('warning_percent', 'number', '90'), field('critical_percent', 'number', '98')],
  memory: [field('warning_percent', 'number', '90'), field('critical_percent', 'number', '95'), field('warning_swap_percent', 'number'), field('critical_swap_percent', 'number')],
  pipeline: [field('warning_still', 'span', '30s'), field('critical_still', 'span', '2m'), field('warning_durable', 'span', '30s'), field('critical_durable', 'span', '5m')],
};
export const SCHEDULE: Field[] = [field('interval', 'span', '30s'), field('retry_interval', 'span', '10s'), field('timeout', 'span', '10s'), field('attempts', 'number', '3')];

export interface Form {
  id: string;
  tenant: string;
  kind: string;
  enabled: boolean;
  /** By key, as typed; those of the kind and of the schedule never share one. */
  values: Record<string, string>;
}

export function blank(): Form {
  return { id: '', tenant: 'default', kind: 'url', enabled: true, values: {} };
}

/** The definition as a form. */
export function filled(definition: Definition): Form {
  const kind = Object.keys(KINDS).find((one) => definition[one] !== undefined && definition[one] !== null) ?? 'url';
  const keys = (definition[kind] ?? {}) as Definition;
  const values: Record<string, string> = {};
  for (const one of SCHEDULE) values[one.key] = shown(definition[one.key]);
  for (const one of KINDS[kind]!) values[one.key] = shown(keys[one.key]);
  return { id: String(definition.id ?? ''), tenant: String(definition.tenant ?? 'default'), kind, enabled: definition.enabled !== false, values };
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value === 'object') return Object.entries(value).map(([name, text]) => `${name}: ${String(text)}`).join('\n');
  return String(value);
}

/** The form as a definition, without what is as usual. */
export function composed(form: Form): Definition {
  const definition: Definition = { id: form.id.trim() };
  if (form.tenant.trim() !== 'default') definition.tenant = form.tenant.trim();
  if (!form.enabled) definition.enabled = false;
  const put = (into: Definition, fields: readonly Field[]) => {
    for (const one of fields) {
      const text = form.values[one.key] ?? '';
      const value = read(one, text);
      if (value !== undefined && text.trim() !== one.usual) into[one.key] = value;
    }
  };
  put(definition, SCHEDULE);
  const keys: Definition = {};
  put(keys, KINDS[form.kind] ?? []);
  definition[form.kind] = keys;
  return definition;
}

/** What cannot be read stays as it is typed: the server says what is wrong with it. */
function read({ sort }: Field, text: string): unknown {
  const plain = text.trim();
  if (plain === '') return undefined;
  const number = (of: string) => (Number.isFinite(Number(of)) && of.trim() !== '' ? Number(of) : of.trim());
  switch (sort) {
    case 'number':
      return number(plain);
    case 'yes':
      return plain === 'true';
    case 'list':
      return plain.split(/[\s,]+/).filter(Boolean).map(number);
    case 'pairs':
      return Object.fromEntries(plain.split('\n').filter((line) => line.includes(':')).map((line) => [line.slice(0, line.indexOf(':')).trim(), line.slice(line.indexOf(':') + 1).trim()]));
    case 'text':
      return text;
    default:
      return plain;
  }
}

export function missing(form: Form): string[] {
  const keys = (KINDS[form.kind] ?? []).filter((one) => one.needed && !(form.values[one.key] ?? '').trim()).map((one) => one.key);
  return form.id.trim() ? keys : ['id', ...keys];
}
