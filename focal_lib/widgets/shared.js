// Helpers of all live views; Python puts this text in front of each view's module. No formula of the loss lives here.

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  const svg = /^(svg|g|path|line|rect|circle|text|tspan|title|pattern|defs|polygon|image)$/.test(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Makes the children of `place` look like `wanted` and keeps the nodes that are there: one that is new makes the browser
// match the :has() rules of the whole page again, which took 8 ms a step on a long one. Not for children that listen.
function redraw(place, ...wanted) {
  const there = [...place.childNodes];
  wanted.forEach((now, k) => {
    const old = there[k];
    if (old?.nodeName !== now.nodeName) return old ? old.replaceWith(now) : place.append(now);
    if (now.nodeType === Node.TEXT_NODE) return old.data !== now.data && (old.data = now.data);
    for (const { name } of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    redraw(old, ...now.childNodes);
  });
  for (const node of there.slice(wanted.length)) node.remove();
}
// Instead of textContent, which puts a new text node in.
const write = (place, words) => redraw(place, new Text(words));

// Reads what pack() of view.py wrote: rows of numbers, each exactly the decimal number that Python rounded to.
function unpack({ shape, places, bytes }) {
  const text = atob(bytes);
  const rows = shape[0];
  const columns = shape.slice(1).reduce((a, b) => a * b, 1);
  const whole = new Int32Array(rows * columns);
  const slope = new Int32Array(columns);
  for (let k = 0, at = 0; k < whole.length; k++) {
    let code = 0;
    for (let shift = 0, byte = 128; byte > 127; shift += 7) {
      byte = text.charCodeAt(at++);
      code |= (byte & 127) << shift;
    }
    slope[k % columns] += (code >>> 1) ^ -(code & 1);
    whole[k] = slope[k % columns] + (k < columns ? 0 : whole[k - columns]);
  }
  if (!(rows > 0 && columns > 0)) throw new Error("a table is empty");
  const numbers = Array.from(whole, (number) => number / 10 ** places);
  return Array.from({ length: rows }, (_, row) => numbers.slice(row * columns, (row + 1) * columns));
}

// Numbers of the tables, which have three decimals, in words.
const decimals = (x) => (x === 0 ? "less than 0.001" : x.toFixed(3));
const percent = (x) => (x === 0 ? "less than 0.1\u00a0%" : `${(x * 100).toFixed(1)}\u00a0%`);

// p with a small t, for HTML and for SVG
const pt = () => make("i", {}, "p", make("sub", {}, "t"));
// Words for HTML, each p_t in them set as what it is.
const typeset = (words) => words.split("p_t").flatMap((part, k) => [...(k ? [pt()] : []), new Text(part)]);
const ptSvg = () => [
  make("tspan", { "font-style": "italic" }, "p"),
  make("tspan", { dy: "3", "font-size": "0.75em", "font-style": "italic" }, "t"),
  make("tspan", { dy: "-3" }, "\u00a0"),
];

let made = 0;

// The parts of a view: options, sliders, drawing, sentence, buttons. `show(draw)` keeps the drawing in step with the state.
function live(model, el, label) {
  const hidden = new Set(model.get("hide"));
  const id = (what) => `live-${what}-${document.querySelectorAll(".live").length}-${made++}`;
  const limits = model.get("_limits");
  const controls = make("div", { class: "live-controls live-sliders" });
  const drawing = make("div", { class: "live-drawing" });
  const options = make("div", { class: "live-controls live-options" });
  const sentence = make("p", { class: "live-sentence" });
  const said = make("p", { class: "live-said", role: "status" });
  const buttons = make("div", { class: "live-buttons" });
  const root = make("div", { class: `live live-${model.get("_anywidget_id").split(".").pop()}`, role: "group", "aria-label": label });
  // What to look at, then how to move it, right above what it moves; the rest below, where it cannot push.
  root.append(options, controls, drawing, sentence, buttons, said);
  // JupyterLab would take the arrow keys for itself; this attribute, on the element that has the focus, tells it not to.
  root.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
  el.replaceChildren(root);

  const refresh = []; // one function a control: show the state
  let gliding = 0;
  let touched = false;
  const set = (changes) => {
    touched = true;
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    model.save_changes();
  };
  // Lets a number walk to its new value, so that the eye can follow; at once where the reader wants no motion.
  function glide(changes) {
    const run = ++gliding;
    const [key] = Object.keys(changes).filter((name) => limits[name].step);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!key || still) return set(changes);
    const from = model.get(key);
    const { low, step } = limits[key];
    const start = performance.now();
    (function walk(now) {
      if (run !== gliding) return;
      const part = Math.min(1, Math.max(0, (now - start) / 450));
      const eased = from + (changes[key] - from) * part * (2 - part);
      if (part === 1) return set(changes);
      set({ [key]: Number((low + Math.round((eased - low) / step) * step).toFixed(6)) });
      requestAnimationFrame(walk);
    })(start);
  }
  const touch = (changes) => {
    gliding++; // a hand on a control stops a walk
    set(changes);
  };

  // A range whose positions are the trait's grid, or the given list of values.
  function slider(key, { name, text, values }) {
    if (hidden.has(key)) return;
    const { low, high, step } = values ? { low: 0, high: values.length - 1, step: 1 } : limits[key];
    const input = make("input", { type: "range", id: id(key), min: low, max: high, step, "data-trait": key });
    const output = make("output", { for: input.id, "aria-live": "off" }); // aria-valuetext speaks already
    const value = () => (values ? values[Number(input.value)] : Number(input.value));
    input.addEventListener("input", () => touch({ [key]: value() }));
    refresh.push(() => {
      input.value = values ? values.indexOf(model.get(key)) : model.get(key);
      const words = text(value());
      write(output, words);
      input.setAttribute("aria-valuetext", words);
      input.style.setProperty("--part", `${(100 * (input.value - low)) / (high - low)}%`);
    });
    const title = make("label", { for: input.id });
    title.append(...[].concat(name));
    controls.append(make("div", { class: "live-slider" }, title, output, input));
    return input;
  }

  // What few readers need is folded, below all else, where it moves nothing when it opens.
  const more = make("details", { class: "live-more" }, make("summary", {}, "More"));

  // A row of radio buttons; `names` maps each value to its words.
  function choice(key, legend, names, folded = false) {
    if (hidden.has(key)) return;
    const group = make("fieldset", { class: "live-choice" }, make("legend", {}, legend));
    const name = id(key);
    for (const [value, words] of Object.entries(names)) {
      const input = make("input", { type: "radio", name, value, "data-trait": key });
      input.addEventListener("change", () => touch({ [key]: value }));
      refresh.push(() => { input.checked = model.get(key) === value; });
      group.append(make("label", {}, input, make("span", {}, ...typeset(words))));
    }
    if (folded) root.append(more);
    (folded ? more : options).append(group);
  }

  function checkbox(key, words, then = () => {}) {
    if (hidden.has(key)) return;
    const input = make("input", { type: "checkbox", "data-trait": key });
    input.addEventListener("change", () => {
      touch({ [key]: input.checked });
      then(input.checked);
    });
    refresh.push(() => { input.checked = model.get(key); });
    options.append(make("label", { class: "live-check" }, input, make("span", {}, words)));
  }

  // Buttons that set several traits at once, as [words, changes]; the one that describes the state is pressed.
  function presets(legend, settings) {
    if (hidden.has("presets")) return;
    const group = make("div", { class: "live-presets", role: "group", "aria-label": legend }, make("span", { "aria-hidden": "true" }, legend));
    for (const [words, changes] of settings) {
      const button = make("button", { type: "button" }, words);
      button.addEventListener("click", () => glide(changes));
      refresh.push(() => button.setAttribute("aria-pressed", Object.entries(changes).every(([key, value]) => model.get(key) === value)));
      group.append(button);
    }
    options.append(group);
  }

  // Dragging anywhere on the drawing moves a trait; a vertical swipe still scrolls the page.
  let toValue;
  function dragX(key) {
    if (hidden.has(key)) return;
    const { low, high, step } = limits[key];
    let held = false;
    const follow = (event) => {
      const value = toValue(event.clientX - drawing.getBoundingClientRect().left);
      touch({ [key]: Number(Math.min(high, Math.max(low, low + Math.round((value - low) / step) * step)).toFixed(6)) });
    };
    drawing.classList.add("live-drag");
    drawing.addEventListener("pointerdown", (event) => {
      held = true;
      drawing.setPointerCapture(event.pointerId);
      follow(event);
    });
    drawing.addEventListener("pointermove", (event) => { if (held) follow(event); });
    for (const end of ["pointerup", "pointercancel"]) drawing.addEventListener(end, () => { held = false; });
  }
  const dragScale = (scale) => { toValue = scale; }; // from pixels to the trait's value

  function button(words, action, name = words) {
    if (hidden.has(name)) return;
    const node = make("button", { type: "button", "data-action": name }, words);
    node.addEventListener("click", action);
    buttons.append(node);
    return node;
  }

  // Draws now, after each change of state, and when the width changes; returns the function that ends it.
  function show(draw) {
    const state = Object.keys(limits);
    button("Reset", () => glide(model.get("_start")), "reset");
    if (typeof model.link === "function") { // only the site has addresses to share
      const note = make("span", { class: "live-note", role: "status" });
      button("Copy link to this view", async () => {
        const address = model.link();
        try {
          await navigator.clipboard.writeText(address);
          note.textContent = "Copied.";
        } catch { // no permission, or a browser without a clipboard
          location.hash = new URL(address).hash;
          note.textContent = "The link is now in the address bar.";
        }
      }, "link");
      if (!hidden.has("link")) buttons.append(note);
    }
    let width = 0, speak;
    const step = () => {
      for (const update of refresh) update();
      draw(Math.max(220, width));
      clearTimeout(speak); // a screen reader hears the sentence once, when the hand rests
      speak = setTimeout(() => { if (touched) write(said, sentence.textContent); }, 500);
    };
    const resized = () => {
      const now = Math.floor(drawing.clientWidth);
      if (now === width) return;
      width = now;
      step();
    };
    const observer = new ResizeObserver(resized);
    width = Math.floor(drawing.clientWidth);
    step();
    observer.observe(drawing);
    const watched = [...state, "_tables", "_facts"].map((key) => `change:${key}`);
    for (const event of watched) model.on(event, step);
    return () => {
      observer.disconnect();
      clearTimeout(speak);
      gliding++;
      for (const event of watched) model.off(event, step);
    };
  }

  return { drawing, sentence, slider, choice, checkbox, presets, button, dragX, dragScale, glide, set: touch, show };
}

// An empty plot with labelled axes: an SVG of the given size, functions from data to pixels, and `area`, which shows what
// lies between the axes and cuts the rest off.
function plot({ width, height, x, y, title }) {
  const longest = Math.max(...y.ticks.map(([, words]) => words.length));
  const last = x.ticks.length ? x.ticks.at(-1)[1].length : 0;
  const left = Math.max(30, 12 + 8 * longest), right = Math.max(12, 4.5 * last), top = 34, bottom = 46;
  const px = (value) => left + ((value - x.low) / (x.high - x.low)) * (width - left - right);
  const py = (value) => height - bottom - ((value - y.low) / (y.high - y.low)) * (height - top - bottom);
  const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  for (const [value, words] of y.ticks) {
    svg.append(
      make("line", { class: "live-grid", x1: left, x2: width - right, y1: py(value), y2: py(value) }),
      make("text", { x: left - 6, y: py(value) + 4, "text-anchor": "end" }, words),
    );
  }
  for (const [value, words] of x.ticks) {
    svg.append(make("text", { x: px(value), y: height - bottom + 17, "text-anchor": "middle" }, words));
  }
  svg.append(make("line", { class: "live-axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  const yName = make("text", { class: "live-name", x: 0, y: 14 }); // above the axis, where no length is too long
  yName.append(...[].concat(y.name));
  const xName = make("text", { class: "live-name", x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" });
  xName.append(...[].concat(x.name));
  const box = { x: left - 3, y: top - 6, width: width - left - right + 6, height: height - top - bottom + 9 };
  const area = make("svg", { ...box, viewBox: `${box.x} ${box.y} ${box.width} ${box.height}` });
  svg.append(yName, xName, area);
  const path = (xs, ys) => xs.map((value, k) => `${k ? "L" : "M"}${px(value).toFixed(1)},${py(ys[k]).toFixed(1)}`).join("");
  return { svg, area, px, py, path, left, right, top, bottom };
}

// Some round numbers between low and high, for an axis.
function ticks(low, high) {
  const step = [0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10].find((size) => (high - low) / size <= 6) ?? 20;
  const count = Math.floor(high / step) - Math.ceil(low / step) + 1;
  return Array.from({ length: count }, (_, k) => (Math.ceil(low / step) + k) * step).map((v) => [v, String(Number(v.toFixed(2)))]);
}

function lineLegend(entries) {
  return make("div", { class: "live-legend" }, ...entries.map(([kind, words]) => make("span", { class: "live-entry" },
    make("svg", { width: 34, height: 10, "aria-hidden": "true" }, make("line", { class: `live-line live-${kind}`, x1: 1, x2: 33, y1: 5, y2: 5 })), words)));
}

