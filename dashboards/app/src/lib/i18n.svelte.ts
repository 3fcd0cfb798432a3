// Messages in files, one per language. `{name}` is filled in; `{n:one|many}` chooses by the number n.
import en from '../messages/en.json';
import ja from '../messages/ja.json';

export type Key = keyof typeof en;
export type Language = 'en' | 'ja';
type Values = Record<string, string | number>;

export const MESSAGES: Record<Language, Record<string, string>> = { en, ja };
const STORED = 'kizashi.language';

export function fill(template: string, values: Values): string {
  return template.replace(/\{(\w+)(?::([^{}|]*)\|((?:[^{}]|\{\w+\})*))?\}/g, (whole, name: string, one?: string, many?: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    if (one === undefined || many === undefined) return String(value);
    return Number(value) === 1 ? one : fill(many, values);
  });
}

function first(): Language {
  const stored = localStorage.getItem(STORED);
  if (stored === 'en' || stored === 'ja') return stored;
  return navigator.language.startsWith('ja') ? 'ja' : 'en';
}

class I18n {
  language = $state<Language>(first());

  set(language: Language) {
    this.language = language;
    localStorage.setItem(STORED, language);
  }
}

export const i18n = new I18n();

export function t(key: Key, values: Values = {}): string {
  return fill(MESSAGES[i18n.language][key] ?? key, values);
}

/** A word that came from the product (a state, a kind, a closure code); itself when the files have none for it. */
export function word(group: string, value: string): string {
  return MESSAGES[i18n.language][`${group}.${value}`] ?? value;
}
