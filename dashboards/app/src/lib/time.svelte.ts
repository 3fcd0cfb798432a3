// Times are shown in the reader's zone, or UTC by choice, and the zone always stands beside them (the frame shows it).
import { i18n, t } from './i18n.svelte';

const STORED = 'kizashi.zone';
const LOCAL = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

class Clock {
  /** Milliseconds, moved on once a second. */
  now = $state(Date.now());
  zone = $state(localStorage.getItem(STORED) === 'UTC' ? 'UTC' : LOCAL);

  constructor() {
    setInterval(() => (this.now = Date.now()), 1000);
  }

  toggle() {
    this.zone = this.zone === 'UTC' ? LOCAL : 'UTC';
    localStorage.setItem(STORED, this.zone);
  }
}

export const clock = new Clock();

const formats = new Map<string, Intl.DateTimeFormat>();
function format(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${name} ${clock.zone} ${i18n.language}`;
  let made = formats.get(key);
  if (!made) {
    // Swedish writes ISO dates; the parts are the same in both languages.
    made = new Intl.DateTimeFormat('sv-SE', { timeZone: clock.zone, hour12: false, ...options });
    formats.set(key, made);
  }
  return made;
}

type When = string | number;
const ms = (when: When) => (typeof when === 'number' ? when : Date.parse(when));

/** 2026-11-22 18:30:00 */
export function full(when: When): string {
  return format('full', { dateStyle: 'short', timeStyle: 'medium' }).format(ms(when));
}

/** 18:30 today, 11-21 18:30 before. */
export function short(when: When): string {
  const day = format('day', { dateStyle: 'short' });
  const date = day.format(ms(when));
  const time = format('time', { timeStyle: 'short' }).format(ms(when));
  if (date === day.format(clock.now)) return time;
  return date.slice(0, 4) === day.format(clock.now).slice(0, 4) ? `${date.slice(5)} ${time}` : `${date} ${time}`;
}

/** The zone as people say it: `Asia/Tokyo, UTC+9`. */
export function zoneName(): string {
  return clock.zone === 'UTC' ? 'UTC' : `${clock.zone.replace('_', ' ')}, ${offset()}`;
}

/** `UTC+9`, where there is little room. */
export function offset(): string {
  const part = new Intl.DateTimeFormat('en', { timeZone: clock.zone, timeZoneName: 'shortOffset' })
    .formatToParts(clock.now)
    .find((one) => one.type === 'timeZoneName');
  return part?.value.replace('GMT', 'UTC') ?? clock.zone;
}

/** A span in its two largest units: 3 d 4 h, 12 min, 40 s. */
export function span(length: number): string {
  const s = Math.max(0, Math.round(length / 1000));
  const units: [number, string][] = [
    [86_400, t('unit.day')],
    [3_600, t('unit.hour')],
    [60, t('unit.minute')],
    [1, t('unit.second')],
  ];
  const at = units.findIndex(([size]) => s >= size);
  if (at < 0) return `0 ${t('unit.second')}`;
  const [size, name] = units[at]!;
  const whole = Math.floor(s / size);
  const next = units[at + 1];
  const rest = next ? Math.floor((s % size) / next[0]) : 0;
  // Seconds beside minutes would only make the screen restless.
  if (!next || rest === 0 || next[0] === 1 || whole >= 10) return `${whole} ${name}`;
  return `${whole} ${name} ${rest} ${next[1]}`;
}

export function since(when: When): string {
  return span(clock.now - ms(when));
}
