// A real OpenID provider (the certified `oidc-provider`) with a few people, over TLS: provider.mjs PORT CERT KEY REDIRECT_URI.
// It runs in the lane's own folder, where its packages are.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { Provider } from 'oidc-provider';

const [port, cert, key, redirect] = process.argv.slice(2);
const PEOPLE = {
  hanako: { name: '佐藤 花子', email: 'hanako@example.com', locale: 'ja-JP', groups: ['staff', 'ops'] },
  tarou: { name: 'Aozora Tarou', email: 'tarou@aozora.example.com', groups: ['aozora'] },
  stranger: { name: 'A stranger', email: 'stranger@example.com', groups: ['staff'] },
};

const provider = new Provider(`https://localhost:${port}`, {
  clients: [
    {
      client_id: 'kizashi',
      client_secret: 'a secret of the oidc lane',
      redirect_uris: [redirect],
      response_types: ['code'],
      grant_types: ['authorization_code'],
    },
  ],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'locale', 'groups'], email: ['email'] },
  pkce: { required: () => true },
  cookies: { keys: ['a key of the oidc lane'] },
  // Profile claims come by the userinfo endpoint, as this provider does unless told otherwise.
  findAccount: (_, id) =>
    PEOPLE[id] && { accountId: id, claims: () => ({ sub: `user-${id}`, preferred_username: id, ...PEOPLE[id] }) },
  features: { devInteractions: { enabled: true } },
});
// The lane speaks plain names; its pages load a font from elsewhere, which nobody needs here.
createServer({ cert: readFileSync(cert), key: readFileSync(key) }, provider.callback()).listen(Number(port), '127.0.0.1', () => {
  console.log(`ready on ${port}`);
});
