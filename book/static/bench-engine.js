// The page's Python: loaded at the first question, kept in a worker, stopped when it takes too long.
"use strict";

globalThis.focalBench = (() => {
  const base = document.currentScript.src.replace(/[^/]*$/, "bench/");
  let limit = 10_000; // milliseconds for a question that runs the reader's code; more where Python itself starts slowly
  const READERS = ["check", "fix"];
  let parts = { worker: [], wasm: [], stdlib: [], library: [] };
  let many, example, worker, ready, loading, asked = 0;
  const times = {}; // of the start, in milliseconds
  const waiting = new Map();
  const watchers = new Set();

  const tell = (state, share) => watchers.forEach((watch) => watch(state, share));
  const script = (name) =>
    new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = base + name;
      element.onload = () => { element.remove(); resolve(); };
      element.onerror = () => reject(new Error("A part of the page's Python did not load. Is there a connection? Try again."));
      document.head.append(element);
    });
  const bytes = (texts) => {
    const letters = atob(texts.join(""));
    const found = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i += 1) found[i] = letters.charCodeAt(i);
    return found;
  };

  async function load() {
    tell("loading", 0);
    await script("parts.js");
    let here = 0;
    await Promise.all(Array.from({ length: many }, async (_, i) => {
      await script(`part-${i}.js`);
      tell("loading", (here += 1) / many);
    }));
    const text = new Blob([bytes(parts.worker)]).stream().pipeThrough(new DecompressionStream("gzip"));
    const kept = {
      url: URL.createObjectURL(new Blob([await new Response(text).arrayBuffer()], { type: "text/javascript" })),
      wasm: bytes(parts.wasm),
      stdlib: bytes(parts.stdlib),
      library: bytes(parts.library),
    };
    parts = undefined;
    return kept;
  }

  function post(name, given, most) {
    return new Promise((resolve, reject) => {
      const id = (asked += 1);
      const timer = most && setTimeout(() => halt(`It took longer than ${most / 1000} s, and was stopped.`), most);
      waiting.set(id, { resolve, reject, timer });
      worker.postMessage({ id, name, arguments: given });
    });
  }

  async function begin() {
    const asking = performance.now();
    loading ??= load().catch((error) => { loading = undefined; throw error; });
    const kept = await loading;
    tell("starting");
    worker = new Worker(kept.url);
    worker.onmessage = ({ data: { id, answer, failed } }) => {
      const one = waiting.get(id);
      if (!one) return;
      waiting.delete(id);
      clearTimeout(one.timer);
      if (failed === undefined) one.resolve(answer);
      else one.reject(new Error(failed));
    };
    worker.onerror = (event) => { event.preventDefault(); halt(event.message || "The page's Python did not start."); };
    const began = performance.now();
    times.loaded = Math.round(began - asking);
    Object.assign(times, await post("start", { wasm: kept.wasm, stdlib: kept.stdlib, library: kept.library }));
    limit = Math.max(10_000, 3000 * Math.round((performance.now() - began) / 1000));
    tell("ready");
  }

  // End what runs; the next question starts a fresh Python.
  function halt(why = "Stopped.") {
    worker?.terminate();
    worker = ready = undefined;
    for (const one of waiting.values()) {
      clearTimeout(one.timer);
      one.reject(new Error(why));
    }
    waiting.clear();
    tell("stopped");
  }

  // The page's one Python; after a failure the next question tries anew.
  const started = () => (ready ??= begin().catch((error) => { ready = undefined; throw error; }));

  async function ask(name, ...given) {
    await started();
    tell("busy");
    try {
      return await post(name, given, READERS.includes(name) ? limit : undefined);
    } finally {
      tell("idle");
    }
  }

  // A line that says what the engine does, with a bar and a stop button; returns its element.
  function statusLine(busy = "Running your code …") {
    const line = document.createElement("div");
    line.className = "bench-status";
    const text = document.createElement("span");
    text.setAttribute("role", "status");
    const bar = document.createElement("progress");
    bar.setAttribute("aria-label", "Loading Python");
    const stop = document.createElement("button");
    stop.type = "button";
    stop.textContent = "Stop";
    stop.addEventListener("click", () => halt());
    const words = {
      loading: "Loading Python into this page, once (about 6 MB) …", starting: "Starting Python …",
      busy,
    };
    const show = (state, share) => {
      // Only beside the question that was asked: four lines would be read out four times.
      if (!line.closest(".bench")?.querySelector(".bench-go:disabled")) state = "idle";
      if (text.textContent !== (words[state] ?? "")) text.textContent = words[state] ?? "";
      bar.hidden = !["loading", "starting"].includes(state);
      if (share === undefined) bar.removeAttribute("value");
      else bar.value = share;
      stop.hidden = state !== "busy";
      line.hidden = !words[state];
    };
    show("idle");
    watchers.add(show);
    line.append(text, bar, stop);
    return line;
  }

  // Python starts with the first tap or key in a bench: it is there, or nearly so, once Check is pressed.
  function whenUsed(box, start = started) {
    const use = (event) => {
      if (!event.isTrusted || event.key === "Tab" || navigator.connection?.saveData) return;
      ["pointerdown", "keydown"].forEach((kind) => box.removeEventListener(kind, use));
      start().catch(() => {}); // Check will say so
    };
    ["pointerdown", "keydown"].forEach((kind) => box.addEventListener(kind, use));
  }

  return {
    ask, halt, statusLine, times, whenUsed,
    // What a browser keeps for the next visit; a private window keeps nothing.
    kept(key) {
      try { return localStorage.getItem(key); } catch { return null; }
    },
    keep(key, text) {
      try { localStorage.setItem(key, text); } catch { /* nothing is kept */ }
    },
    part: (i, name, text) => { parts[name][i] = text; }, // they come in any order; join leaves no trace of the gaps
    parts: (number) => { many = number; },
    example: (contents) => { example = contents; },
    async trainingData() {
      if (!example) await script("example.js");
      return example;
    },
    data: () => JSON.parse(document.getElementById("bench-data").textContent),
    element(tag, attributes = {}, ...children) {
      const made = document.createElement(tag);
      for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
        else if (value !== false && value !== undefined) made.setAttribute(name, value === true ? "" : value);
      }
      made.append(...children);
      return made;
    },
  };
})();
