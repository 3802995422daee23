// Five copied lines, and 800 examples each as large as its push. All numbers come from the tables.

function render({ model, el }) {
  const limits = model.get("_limits");
  const { code, lines, labels, already, area, ticks } = model.get("_facts");
  const packed = model.get("_tables");
  const tables = Object.fromEntries(Object.entries(packed).map(([name, table]) => [name, unpack(table)]));
  const total = labels.length, lanes = { 1: 92, 0: 236 };
  const view = live(model, el, "Five copied lines of focal loss, and what gamma does to 800 examples");

  view.slider("gamma", { name: ["Focusing parameter ", make("i", {}, "γ"), ": drag it"], text: (value) => value.toFixed(2) });
  view.checkbox("mended", "Fix line 2", (mended) => {
    if (mended && model.get("gamma") === 0) view.glide({ gamma: 2 }); // at 0 there is nothing to see
  });
  const shown = make("pre", { class: "live-code", tabindex: "0", "aria-label": "code" });
  const root = view.drawing.parentNode;
  root.prepend(shown);
  view.drawing.after(root.querySelector(".live-options"));

  const now = (name) => tables[name][Math.round((model.get("gamma") - limits.gamma.low) / limits.gamma.step)];
  const which = () => (model.get("mended") ? 1 : 0);
  const times = (x) => (x < 10 ? x.toFixed(1) : x.toFixed(0));

  function say() {
    const owned = now("right")[which()];
    if (model.get("gamma") === 0) return `At γ = 0 this is cross-entropy. ${already} of the ${total} examples are already right, and they own ${percent(owned)} of the push on the model. Focal loss promises to change that.`;
    if (which()) return `One factor for each example. The ${already} that are already right own ${percent(owned)} of the push, the ${total - already} that are still wrong ${percent(1 - owned)}. This is focal loss.`;
    return `The loss falls: it is ${times(now("smaller")[0])} times smaller than at γ = 0. Not one dot moves: ${percent(owned)} of the push still goes to examples that are already right. This is not focal loss.`;
  }

  // Drawn once; a change of state changes radii and one bar.
  const dots = [...labels].map((label, k) => make("circle", {
    class: label === "1" ? "live-minority" : "live-majority", cx: tables.place[k][0], cy: tables.place[k][1] + lanes[label],
  }));
  const svg = make("svg", { viewBox: "0 0 640 410", role: "img" });
  const count = [...labels].filter((label) => label === "1").length;
  for (const [, x] of ticks) svg.append(make("line", { class: "live-grid", x1: x, x2: x, y1: 26, y2: 312 }));
  svg.append(...dots);
  for (const [tick, x] of ticks) svg.append(make("text", { x, y: 329, "text-anchor": "middle" }, String(tick)));
  const middle = make("text", { x: 320, y: 356, "text-anchor": "middle" });
  middle.append("probability of the true class, ", ...ptSvg());
  const bar = make("rect", { class: "live-wrong", x: 8, y: 367, height: 16 }); // on the side of the hard examples
  const owned = make("text", { class: "live-already", x: 632, y: 404, "text-anchor": "end" });
  const rest = make("text", { class: "live-wrong", x: 8, y: 404 });
  svg.append(
    make("text", { x: 8, y: 18 }, `minority (rare): ${count} examples`), make("text", { x: 8, y: 178 }, `majority (common): ${total - count}`),
    make("text", { x: 632, y: 18, "text-anchor": "end" }, "dot area: share of the push"),
    make("text", { x: 8, y: 356 }, "← hard"), make("text", { x: 632, y: 356, "text-anchor": "end" }, "easy →"), middle,
    make("rect", { class: "live-already", x: 8, y: 367, width: 624, height: 16 }), bar, rest, owned,
  );

  return view.show(() => {
    const column = model.get("mended") ? Math.round((model.get("gamma") - limits.gamma.low) / limits.gamma.step) : 0;
    dots.forEach((dot, k) => {
      const r = Math.max(0.5, tables.size[k][column] * Math.sqrt(area * total)).toFixed(2);
      if (dot.getAttribute("r") !== r) dot.setAttribute("r", r); // a dot that stays costs nothing
    });
    const share = now("right")[which()];
    bar.setAttribute("width", (624 * (1 - share)).toFixed(1));
    write(owned, `already right: ${percent(share)} of the push`);
    write(rest, `still wrong: ${percent(1 - share)}`);
    const [before, after] = code.replace(/gamma=[\d.]+/, `gamma=${model.get("gamma").toFixed(2)}`).split("    ce = {}\n");
    redraw(shown, new Text(before), make("mark", { class: which() ? "live-good" : "live-bad" }, `    ce = ${lines[which()]}`), new Text(after));
    svg.setAttribute("aria-label", say());
    if (svg.parentNode !== view.drawing) view.drawing.replaceChildren(svg);
    write(view.sentence, say());
  });
}

export default { render };
