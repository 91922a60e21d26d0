/** Stores the page for offline use, and detects newer versions. */

/**
 * Registers the service worker, if the browser supports it.
 *
 * @param ready called when the page can be used offline
 * @param newer called when a newer page or model was downloaded; `use` activates it
 */
export async function keepOffline(ready: () => void, newer: (use: () => void) => void): Promise<void> {
  if (!("serviceWorker" in navigator)) return; // pages over plain HTTP have none
  const { serviceWorker } = navigator;
  try {
    const updating = serviceWorker.controller !== null;
    const registration = await serviceWorker.register("service-worker.js", { updateViaCache: "none" });
    const offer = (waiting: ServiceWorker) => {
      newer(() => {
        serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
        waiting.postMessage("take over");
      });
    };
    if (registration.waiting && updating) offer(registration.waiting);
    registration.addEventListener("updatefound", () => {
      const installing = registration.installing!;
      installing.addEventListener("statechange", () => {
        if (installing.state === "installed" && updating) offer(installing);
      });
    });
    await serviceWorker.ready;
    ready();
  } catch (error) {
    console.debug(error); // an untrusted certificate or a private window; the page still works online
  }
}
