/**
 * Answers from this device, so that the page needs no network after the first visit.
 *
 * `poets-edge web` puts the list of files, with a checksum each, in front of this script: a changed file changes the
 * script, and the browser installs it anew. All files of a version are kept together, or none.
 */
import { singleThreaded } from "./runtime_choice";

interface Site {
  readonly version: string;
  /** Path -> its `integrity`, as the Fetch standard has it. */
  readonly files: Readonly<Record<string, string>>;
}

declare const SITE: Site;
declare const self: ServiceWorkerGlobalScope;

const PREFIX = "poets_edge-";
// One origin can hold several such pages; each looks after its own.
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

/** A file of this page, by its path below it; undefined for anything else. */
function pathOf(request: Request): string | undefined {
  const url = new URL(request.url);
  if (request.method !== "GET" || !url.href.startsWith(SCOPE)) return undefined;
  const path = url.origin + url.pathname === SCOPE ? "index.html" : (url.origin + url.pathname).slice(SCOPE.length);
  return path in SITE.files ? path : undefined;
}

async function answer(path: string): Promise<Response> {
  const cache = await caches.open(CACHE);
  const kept = (await cache.match(path)) ?? (await fetchInto(cache, path));
  // These let the page use several threads, also where the server does not send them.
  const headers = new Headers(kept.headers);
  headers.delete("Content-Encoding"); // of the way here; what is kept is unpacked
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
