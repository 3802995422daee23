// Texts in the order of their loss. All numbers, and the order, come from the tables.

// A phone has no room for the words.
const short = (x) => decimals(x).replace("less than ", "< ");

function render({ model, el }) {
  const limits = model.get("_limits");
  const { texts, labels, p_t } = model.get("_facts");
  const packed = model.get("_tables");
  const tables = Object.fromEntries(Object.entries(packed).map(([name, table]) => [name, unpack(table)]));
  const view = live(model, el, "Text ranking: notes ordered by their loss");

  view.slider("gamma", { name: ["Focusing parameter ", make("i", {}, "γ")], text: (value) => value.toFixed(1) });
  view.choice("weighting", "Class weights", { none: "none", balanced: "balanced" });
  view.choice("scale", "Scale", { linear: "linear", log: "log" });
  view.presets("Try", [
    ["NLL", { gamma: 0, weighting: "none" }],
    ["weighted NLL", { gamma: 0, weighting: "balanced" }],
    ["focal", { gamma: 2, weighting: "none" }],
    ["focal with α", { gamma: 2, weighting: "balanced" }],
  ]);

  // One row of a table: a number for each text.
  function now(name, gamma = model.get("gamma"), weighting = model.get("weighting")) {
    const start = limits.weighting.indexOf(weighting) * texts.length;
    return tables[name][Math.round((gamma - limits.gamma.low) / limits.gamma.step)].slice(start, start + texts.length);
  }

  function say() {
    const [first] = now("order");
    const weighted = model.get("weighting") === "balanced" ? "with" : "without";
    return `At γ = ${model.get("gamma").toFixed(1)} ${weighted} class weights the most expensive note is “${texts[first]}” (${labels[first]}, p_t = ${p_t[first].toFixed(2)}): ${percent(now("share")[first])} of the loss of these ${texts.length} notes, ${percent(now("share", 0, "none")[first])} under cross-entropy.`;
  }

  // A list: a screen reader walks it row by row, and the words wrap by themselves.
  function draw() {
    const [order, loss, factor, share] = ["order", "loss", "factor", "share"].map((name) => now(name));
    // A bar has a length only where the scale has a zero; on the log scale a dot has a place.
    const log = model.get("scale") === "log", place = now("place");
    const mark = (k) => make("span", log ? { class: "live-at", style: `left: ${place[k].toFixed(1)}%` } : { class: "live-bar", style: `width: ${(100 * share[k]).toFixed(1)}%` });
    const marks = log ? ["≤\u00a00.001", "0.01", "0.1", "1", "10", "100\u00a0%"] : ["0", "20", "40", "60", "80", "100\u00a0%"];
    const scale = make("p", { class: "live-scale live-small", "aria-hidden": "true" }, ...marks.map((words) => make("span", {}, words)));
    const list = make("ol", { class: "live-ranking" }, ...order.map((k) => {
      const bar = make("span", { class: "live-track", "aria-hidden": "true" }, mark(k));
      const facts = make("span", { class: "live-small" }, `${labels[k]} · `, pt(), `\u00a0${p_t[k].toFixed(2)} · loss ${short(loss[k])} · counts ${short(factor[k])}×`);
      return make("li", {}, make("span", {}, texts[k]), bar, make("span", { class: "live-share" }, percent(share[k]).replace("less than ", "< ")), facts);
    }));
    redraw(view.drawing, scale, list);
    redraw(view.sentence, ...typeset(say()));
  }

  return view.show(draw);
}

export default { render };
