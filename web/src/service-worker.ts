/**
 * Answers requests from a cache, so that the page needs no network after the first visit.
 *
 * `poets-edge web` prepends the list of files with their checksums to this script: a changed file changes the
 * script, and the browser installs it again. Either all files of a version are stored, or none.
 */
import { singleThreaded } from "./runtime_choice";

interface Site {
  readonly version: string;
  /** Value of `integrity` in the Fetch standard, by path. */
  readonly files: Readonly<Record<string, string>>;
}

declare const SITE: Site;
declare const self: ServiceWorkerGlobalScope;

const PREFIX = "poets_edge-";
// One origin can have several pages; each service worker handles only its own page.
const SCOPE = new URL("./", self.location.href).href;
const CACHE = `${PREFIX}${SCOPE} ${SITE.version}`;

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(removeOlder()));
self.addEventListener("message", (event) => {
  if (event.data === "take over") void self.skipWaiting();
});
self.addEventListener("fetch", (event) => {
  const path = pathOf(event.request);
  if (path !== undefined) event.respondWith(answer(path));
});

async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  const needed = Object.keys(SITE.files).filter((path) => !path.startsWith("runtime/") || path.includes(`${singleThreaded()}.`));
  await Promise.all(needed.map((path) => fetchInto(cache, path)));
}

async function removeOlder(): Promise<void> {
  for (const name of await caches.keys()) {
    if (name.startsWith(`${PREFIX}${SCOPE} `) && name !== CACHE) await caches.delete(name);
  }
}

/** Returns the relative path of a file of this page; undefined for other requests. */
function pathOf(request: Request): string | undefined {
  const url = new URL(request.url);
  if (request.method !== "GET" || !url.href.startsWith(SCOPE)) return undefined;
  const path = url.origin + url.pathname === SCOPE ? "index.html" : (url.origin + url.pathname).slice(SCOPE.length);
  return path in SITE.files ? path : undefined;
}

async function answer(path: string): Promise<Response> {
  const cache = await caches.open(CACHE);
  const kept = (await cache.match(path)) ?? (await fetchInto(cache, path));
  // These headers, which the server may not send, allow the page to use several threads.
  const headers = new Headers(kept.headers);
  headers.delete("Content-Encoding"); // applies to the transfer; the cached content is decompressed
  headers.delete("Content-Length");
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  return new Response(kept.body, { status: kept.status, statusText: kept.statusText, headers });
}

async function fetchInto(cache: Cache, path: string): Promise<Response> {
  const response = await fetch(path, { cache: "no-cache", integrity: SITE.files[path] });
  if (!response.ok) throw new TypeError(`${path}: status ${response.status}`);
  await cache.put(path, response.clone());
  return response;
}
