// The end of the worker's module: Pyodide's own text stands before it. One Python, no network, no storage.
const files = {};
const kinds = { wasm: "application/wasm", zip: "application/zip" };
self.fetch = async (url) => {
  const name = String(url).split("/").pop();
  if (!files[name]) throw new TypeError("The page's Python has no network.");
  return new Response(files[name], { headers: { "Content-Type": kinds[name.split(".").pop()] ?? "text/plain" } });
};
// What a reader's code could reach the site's other pages or the network with is gone before it runs.
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

let python;
const plain = async (bytes) =>
  new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());

async function start({ wasm, stdlib, library }) {
  files["pyodide.asm.wasm"] = await plain(wasm);
  files["python_stdlib.zip"] = stdlib;
  const { setTimeout, clearTimeout, setInterval, clearInterval, Object: object, Array: array } = self;
  python = await loadPyodide({
    indexURL: "https://bench.invalid/",
    lockFileContents: { info: { abi_version: "", arch: "", platform: "", version: "", python: "" }, packages: {} },
    packageBaseUrl: "https://bench.invalid/",
    createPyodideModule: _createPyodideModule,
    jsglobals: { setTimeout, clearTimeout, setInterval, clearInterval, Object: object, Array: array },
    checkAPIVersion: false,
  });
  for (const [path, text] of Object.entries(library)) {
    python.FS.mkdirTree(`/lib/bench/${path}`.replace(/\/[^/]*$/, ""));
    python.FS.writeFile(`/lib/bench/${path}`, text);
  }
  python.runPython("import sys\nsys.path.insert(0, '/lib/bench')\nimport bench\nbench.without_threads()\nimport focal_lib");
  self.fetch = undefined;
  for (const name of Object.keys(files)) delete files[name];
}

self.onmessage = async ({ data: { id, name, arguments: given } }) => {
  try {
    if (name === "start") {
      await start(given);
      self.postMessage({ id, answer: true });
    } else {
      const ask = python.globals.get("bench")?.call ?? python.pyimport("bench").call;
      self.postMessage({ id, answer: JSON.parse(ask(name, JSON.stringify(given))) });
    }
  } catch (error) {
    self.postMessage({ id, failed: String(error.message ?? error).trim().split("\n").pop() });
  }
};
