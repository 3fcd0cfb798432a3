// A proxy that serves the product under a sub-path, as a company's front door does.
import { createServer, request } from 'node:http';

/** Gives the base URL under which `target` now also answers, and what ends it. */
export async function proxy(target, prefix) {
  const server = createServer((from, to) => {
    if (!from.url.startsWith(prefix)) {
      to.writeHead(421).end();
      return;
    }
    const onward = request(new URL(from.url.slice(prefix.length - 1), target), { method: from.method, headers: from.headers }, (answer) => {
      to.writeHead(answer.statusCode, answer.headers);
      answer.pipe(to);
    });
    onward.on('error', () => to.destroy());
    to.on('close', () => onward.destroy());
    from.pipe(onward);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${prefix}`,
    end: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}
