/** Keeps the page for use without a network, and notices when there is a newer one. */

/**
 * Registers the service worker, where the browser allows one.
 *
 * @param ready the page works offline from now on
 * @param newer a newer page or model has been fetched; `use` puts it in place
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
    console.debug(error); // a certificate that the device does not know, or a private window: the page works online
  }
}
