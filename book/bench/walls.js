// The start of the worker's script. A reader's code shall reach neither the network nor what other pages keep.
const gone = ["indexedDB", "caches", "XMLHttpRequest", "WebSocket", "EventSource", "BroadcastChannel", "Worker",
  "WebTransport", "importScripts", "cookieStore", "webkitRequestFileSystem", "SharedWorker"];
for (const name of gone) {
  for (let owner = self; owner; owner = Object.getPrototypeOf(owner)) {
    try { delete owner[name]; } catch { /* stays, and is hidden by the next line */ }
  }
  try { Object.defineProperty(self, name, { value: undefined, configurable: false }); } catch { /* not here at all */ }
}
try { Object.defineProperty(Navigator.prototype, "storage", { value: undefined }); } catch { /* no such thing */ }
try { Object.defineProperty(WorkerNavigator.prototype, "storage", { value: undefined }); } catch { /* no such thing */ }

for (let owner = self; owner; owner = Object.getPrototypeOf(owner)) {
  try { delete owner.fetch; } catch { /* then the page's policy alone forbids it */ }
}
self.fetch = undefined; // worker.js has one of its own, until Python has started
