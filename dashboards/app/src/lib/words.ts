// An error as a sentence for the reader that says what to do.
import { ApiError } from '../api/client';
import { t } from './i18n.svelte';

export function sentence(error: unknown): string {
  if (!(error instanceof ApiError)) return String(error);
  if (error.status === 0) return t('error.away');
  if (error.status === 401) return t('error.signed_out');
  if (error.status === 403) return t('error.forbidden');
  if (error.status === 412) return t('error.changed');
  if (error.status === 429) return t('error.limited', { n: error.retryAfter || 60 });
  if (error.status === 503) return t('error.busy', { detail: error.detail });
  if (error.status >= 500) return t('error.server', { detail: error.detail });
  return error.detail;
}

export function number(value: number): string {
  if (!Number.isFinite(value)) return '';
  const size = Math.abs(value);
  const digits = size >= 1000 || Number.isInteger(value) ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
  return value.toLocaleString('en', { maximumFractionDigits: digits });
}
