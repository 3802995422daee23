// The end of the worker's script: walls.js and Pyodide's own text stand before it. One Python for the reader's code.
const files = {};
const kinds = { wasm: "application/wasm", zip: "application/zip" };
self.fetch = async (url) => {
  const name = String(url).split("/").pop();
  if (!files[name]) throw new TypeError("The page's Python has no network.");
  return new Response(files[name], { headers: { "Content-Type": kinds[name.split(".").pop()] ?? "text/plain" } });
};
let python;
// Written by hand: WebKit reads no Blob here where the page was opened from a file.
async function plain(bytes) {
  const unpacked = new DecompressionStream("gzip");
  const writer = unpacked.writable.getWriter();
  writer.write(bytes);
  writer.close();
  return new Uint8Array(await new Response(unpacked.readable).arrayBuffer());
}

async function start({ wasm, stdlib, library }) {
  files["pyodide.asm.wasm"] = await plain(wasm);
  files["python_stdlib.zip"] = stdlib;
  const { setTimeout, clearTimeout, setInterval, clearInterval, Object: object, Array: array } = self;
  python = await loadPyodide({
    indexURL: "https://bench.invalid/",
    lockFileContents: { ...LOCK, packages: {} }, // no packages: Python alone
    packageBaseUrl: "https://bench.invalid/",
    createPyodideModule: _createPyodideModule,
    jsglobals: { setTimeout, clearTimeout, setInterval, clearInterval, Object: object, Array: array },
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
