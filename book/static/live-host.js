// Wakes the live views of a page up, with no kernel and no other host: the browser's half of the published anywidget
// contract (a module with render, a model with get, set, on, off, save_changes). State lives in the address:
// #NAME.TRAIT=VALUE&NAME.hide=CONTROL,CONTROL
(() => {
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';
  const modules = new Map();
  const woken = [];

  const address = () => new URLSearchParams(location.hash.slice(1));

  // What the address says about one trait, if the trait may be that.
  function allowed(text, limits) {
    if (limits === "yes or no") return [true, false].find((value) => String(value) === text);
    if (Array.isArray(limits)) return limits.find((value) => String(value) === text);
    const number = text.trim() === "" ? NaN : Number(text);
    if (!(number >= limits.low && number <= limits.high)) return undefined;
    return Number((limits.low + Math.round((number - limits.low) / limits.step) * limits.step).toFixed(6));
  }

  function makeModel(state) {
    const data = { ...state };
    const listeners = new Map();
    const model = {
      get: (key) => data[key],
      set(key, value) {
        if (data[key] === value) return;
        data[key] = value;
        for (const event of [`change:${key}`, "change"]) for (const f of [...(listeners.get(event) ?? [])]) f();
      },
      save_changes: () => remember(),
      send() {},
      on: (event, f) => listeners.set(event, [...(listeners.get(event) ?? []), f]),
      off: (event, f) => listeners.set(event, f ? (listeners.get(event) ?? []).filter((g) => g !== f) : []),
      link() {
        const page = new URL(location.href);
        page.hash = model.write(new URLSearchParams());
        return page.href;
      },
      write(query) {
        for (const key of Object.keys(data._limits)) query.set(`${data.name}.${key}`, data[key]);
        if (data.hide.length) query.set(`${data.name}.hide`, data.hide.join(","));
        return query;
      },
      read(query) {
        for (const [key, limits] of Object.entries(data._limits)) {
          const text = query.get(`${data.name}.${key}`);
          const value = text === null ? undefined : allowed(text, limits);
          if (value !== undefined) model.set(key, value);
        }
      },
      mentioned: (query) => [...query.keys()].some((key) => key.startsWith(`${data.name}.`)),
      touched: false,
    };
    const hide = address().get(`${state.name}.hide`);
    if (hide !== null) data.hide = hide.split(",");
    model.read(address());
    model.touched = model.mentioned(address());
    model.on("change", () => { model.touched = true; });
    return model;
  }

  // Browsers limit how often an address may change, so it is written when the reader pauses.
  let timer;
  function remember() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const query = new URLSearchParams();
      for (const { model } of woken) if (model.touched) model.write(query);
      history.replaceState(history.state, "", `#${query}`);
    }, 400);
  }

  async function wake(place, states) {
    const script = place.querySelector(VIEW);
    const state = states[JSON.parse(script.textContent).model_id]?.state;
    if (!state?._esm) throw new Error("the page holds no state for it");
    if (!modules.has(state._esm)) {
      modules.set(state._esm, import(URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }))));
    }
    const { default: view } = await modules.get(state._esm);
    if (![...document.querySelectorAll("style")].some((style) => style.textContent === state._css)) {
      document.head.append(Object.assign(document.createElement("style"), { textContent: state._css }));
    }
    const el = document.createElement("div");
    el.className = "live-alive";
    place.append(el); // rendered in place, so that it can measure itself
    const model = makeModel(state);
    try {
      await view.initialize?.({ model });
      await view.render({ model, el });
    } catch (error) {
      el.remove();
      throw error;
    }
    place.dataset.live = "yes";
    woken.push({ model, place });
  }

  async function start() {
    const places = [...document.querySelectorAll(".live-view")];
    let states = {};
    try {
      states = JSON.parse(document.querySelector(STATE).textContent).state ?? {};
    } catch { /* each place says so below */ }
    for (const place of places) {
      try {
        await wake(place, states);
      } catch (error) {
        place.dataset.live = "no";
        const note = document.createElement("p");
        note.className = "live-failed";
        note.textContent = `This live view could not start (${error.message}); the picture shows its first state.`;
        place.append(note);
      }
    }
    addEventListener("hashchange", () => {
      for (const { model } of woken) model.read(address());
    });
    woken.find(({ model }) => model.mentioned(address()))?.place.scrollIntoView({ block: "center" });
  }

  // When the page is read to its end, which is before other scripts have come.
  if (document.readyState === "loading") document.addEventListener("readystatechange", start, { once: true });
  else start();
})();
