// The end of the worker's script: walls.js and Pyodide's own text stand before it. One Python for the reader's code.
const files = {};
const kinds = { wasm: "application/wasm", zip: "application/zip" };
self.fetch = async (url) => {
  const name = String(url).split("/").pop();
  if (!files[name]) throw new TypeError("The page's Python has no network.");
  return new Response(files[name], { headers: { "Content-Type": kinds[name.split(".").pop()] ?? "text/plain" } });
};
let python, ask;
// Written by hand: WebKit reads no Blob here where the page was opened from a file.
async function plain(bytes) {
  const unpacked = new DecompressionStream("gzip");
  const writer = unpacked.writable.getWriter();
  writer.write(bytes);
  writer.close();
  return new Uint8Array(await new Response(unpacked.readable).arrayBuffer());
}

// What is too slow in Python: the product of two large matrices, n x k and k x m.
function product(left, right, n, k, m) {
  const [a, b] = [left.getBuffer("f64"), right.getBuffer("f64")];
  const [x, y, out] = [a.data, b.data, new Float64Array(n * m)];
  for (let i = 0; i < n; i += 1)
    for (let l = 0; l < k; l += 1) {
      const by = x[i * k + l];
      for (let j = 0; j < m; j += 1) out[i * m + j] += by * y[l * m + j];
    }
  for (const one of [a, b]) one.release();
  return out;
}

async function start({ wasm, stdlib, library }) {
  const marks = [performance.now()];
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
  marks.push(performance.now());
  python.registerJsModule("page_kernel", { product });
  python.FS.writeFile("/lib/bench.zip", library);
  python.runPython("import sys\nsys.path.insert(0, '/lib/bench.zip')\nimport bench\nbench.without_threads()\nimport focal_lib");
  ask = python.globals.get("bench").call;
  self.fetch = undefined;
  for (const name of Object.keys(files)) delete files[name];
  marks.push(performance.now());
  return { python: Math.round(marks[1] - marks[0]), library: Math.round(marks[2] - marks[1]) };
}

self.onmessage = async ({ data: { id, name, arguments: given } }) => {
  try {
    if (name === "start") {
      self.postMessage({ id, answer: await start(given) });
    } else {
      self.postMessage({ id, answer: JSON.parse(ask(name, JSON.stringify(given))) });
    }
  } catch (error) {
    self.postMessage({ id, failed: String(error.message ?? error).trim().split("\n").pop() });
  }
};
