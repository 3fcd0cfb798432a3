// Messages in files, one per language.
import en from '../messages/en.json';
import ja from '../messages/ja.json';
import { fill, type Values } from './fill';

export type Key = keyof typeof en;
export type Language = 'en' | 'ja';

export const MESSAGES: Record<Language, Record<string, string>> = { en, ja };
const STORED = 'kizashi.language';

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
