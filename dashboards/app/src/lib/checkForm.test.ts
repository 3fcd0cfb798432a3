import { expect, test } from 'vitest';
import { blank, composed, filled, missing } from './checkForm';

test('what is left as usual is not written', () => {
  const form = { ...blank(), id: 'web', values: { address: 'https://a.example/', interval: '30s', redirects_max: '5', status: '200, 204', warning_time: '2s', verify: 'false' } };
  expect(composed(form)).toEqual({ id: 'web', url: { address: 'https://a.example/', status: [200, 204], warning_time: '2s', verify: false } });
});

test('a definition goes through the form and comes back', () => {
  const definition = { id: 'db', tenant: 'aozora', interval: '5s', retry_interval: '5s', timeout: '2s', attempts: 2, enabled: false, port: { host: 'db.internal', port: 5432, tls: true, verify: true, warning_days: 21, critical_days: 7 } };
  const { port, ...rest } = definition;
  expect(composed(filled(definition))).toEqual({ ...rest, port: { host: 'db.internal', port: 5432, tls: true } });
  const headers = { id: 'web', url: { address: 'http://a/', headers: { authorization: 'Bearer a:b', accept: '*/*' } } };
  expect(composed(filled(headers))).toEqual(headers);
});

test('what is needed is named, and what cannot be read is left to the server', () => {
  expect(missing(blank())).toEqual(['id', 'address']);
  const form = { ...blank(), id: 'p', kind: 'port', values: { host: 'h', port: 'many' } };
  expect(missing(form)).toEqual([]);
  expect(composed(form)).toEqual({ id: 'p', port: { host: 'h', port: 'many' } });
});
