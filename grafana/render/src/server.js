import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('../', import.meta.url);
const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};
// Grafana's icons come with its components, its fonts do not.
const FILES = [
  [/^\/public\/build\/img\/icons\/(.+\.svg)$/, 'node_modules/@grafana/ui/dist/public/img/icons/'],
  [/^\/public\/fonts\/inter\/(.+\.woff2)$/, 'node_modules/inter-ui/web/'],
];
const MONOSPACE = 'node_modules/@fontsource/roboto-mono/files/roboto-mono-latin-400-normal.woff2';

/** Serves the page on loopback and passes its queries on to Prometheus, so that they are of one origin. */
export async function serve(bundle, prometheus) {
  const server = createServer((request, response) => {
    answer(request, bundle, prometheus).then(
      ({ status = 200, type, body }) => response.writeHead(status, { 'content-type': type }).end(body),
      (error) => response.writeHead(502, { 'content-type': 'text/plain' }).end(error.message),
    );
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  };
}

async function answer(request, bundle, prometheus) {
  const { pathname, search } = new URL(request.url, 'http://page');
  if (pathname.startsWith('/prometheus/'))
    return pass(request, prometheus + pathname.slice('/prometheus'.length) + search);
  if (bundle.has(pathname)) return { type: TYPES[extname(pathname)], body: bundle.get(pathname) };
  const file = find(pathname);
  if (!file) return { status: 404, type: 'text/plain', body: `there is no ${pathname}` };
  return { type: TYPES[extname(file)], body: await readFile(fileURLToPath(new URL(file, ROOT))) };
}

function find(pathname) {
  if (pathname === '/') return 'src/page/index.html';
  if (pathname.startsWith('/public/fonts/roboto/')) return MONOSPACE;
  for (const [pattern, directory] of FILES) {
    const match = pattern.exec(normalize(pathname));
    if (match) return directory + match[1];
  }
  return undefined;
}

async function pass(request, url) {
  const { method, headers } = request;
  const body = method === 'POST' ? Buffer.concat(await request.toArray()) : undefined;
  const type = headers['content-type'];
  const answer = await fetch(url, { method, body, headers: type ? { 'content-type': type } : {} }).catch((error) => {
    throw new Error(`Prometheus cannot be reached: ${error.cause?.message ?? error.message}`);
  });
  return {
    status: answer.status,
    type: answer.headers.get('content-type'),
    body: Buffer.from(await answer.arrayBuffer()),
  };
}
