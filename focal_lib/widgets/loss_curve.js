// The loss, or the size of its gradient, against p_t. All numbers come from the tables.

function render({ model, el }) {
  const limits = model.get("_limits");
  const steps = (key) => Array.from({ length: Math.round((limits[key].high - limits[key].low) / limits[key].step) + 1 }, (_, k) => limits[key].low + k * limits[key].step);
  const xs = steps("p_t");
  const index = (key) => Math.round((model.get(key) - limits[key].low) / limits[key].step);
  let tables, read; // unpacked once, and again when Python sends other tables
  const view = live(model, el, "Loss curve: loss of one example against the probability of its true class");

  view.slider("gamma", { name: ["Focusing parameter ", make("i", {}, "γ")], text: (value) => value.toFixed(1) });
  view.slider("p_t", { name: ["Probability of the true class ", pt()], text: (value) => value.toFixed(2) });
  view.presets("Try γ =", [0, 0.5, 1, 2, 5].map((gamma) => [String(gamma), { gamma }]));
  view.choice("quantity", "Show", { loss: "loss", gradient: "gradient" });
  view.choice("axis", "Axis", { linear: "linear", log: "log" });
  if (model.get("_facts").bug) view.checkbox("show_bug", `Bug: ${model.get("_facts").bug}`);

  view.dragX("p_t");

  function draw(width) {
    if (read !== model.get("_tables")) {
      read = model.get("_tables");
      tables = Object.fromEntries(Object.entries(read).map(([name, packed]) => [name, unpack(packed)]));
    }
    const g = index("gamma"), p = index("p_t");
    const gamma = model.get("gamma"), p_t = model.get("p_t");
    const quantity = model.get("quantity"), log = model.get("axis") === "log";
    const buggy = model.get("_facts").bug && model.get("show_bug");
    const key = log ? `log_${quantity}` : quantity;
    const height = width < 480 ? 270 : 330;

    const linear = quantity === "loss" ? [0, 1, 2, 3, 4] : [0, 0.25, 0.5, 0.75, 1];
    const high = quantity === "loss" ? 4.7 : 1.3;
    const { svg, area, px, py, path, top, bottom } = plot({
      width, height, title: say(),
      x: { low: 0, high: 1, ticks: [0, 0.2, 0.4, 0.6, 0.8, 1].map((v) => [v, String(v)]), name: ["hard ←\u00a0\u00a0", ...ptSvg(), "\u00a0→ easy"] },
      y: {
        low: log ? -4 : 0,
        high: log ? Math.log10(high) : high,
        ticks: log ? [-4, -3, -2, -1, 0].map((v) => [v, String(Number((10 ** v).toFixed(4)))]) : linear.map((v) => [v, String(v)]),
        name: quantity === "loss" ? "loss of one example (nats)" : "size of the gradient",
      },
    });
    view.dragScale((pixels) => (pixels - px(0)) / (px(1) - px(0)));
    const line = (ys, kind) => make("path", { class: `live-line live-${kind}`, d: path(xs, ys) });
    // Each thin line is named where the lines lie well apart; the one that γ stands on has its name in the legend.
    const ghosts = [5, 10, 20, 50].filter((k) => k !== g), apart = quantity === "loss" && !log ? 19 : 59;
    for (const k of ghosts) area.append(line(tables[key][k], "ghost"));
    area.append(line(tables[key][0], "cross-entropy"), line(tables[key][g], "focal"));
    if (buggy) area.append(line(tables[`bug_${key}`][g], "bug"));
    for (const k of ghosts) {
      const y = tables[key][k][apart];
      if (Math.abs(py(y) - py(tables[key][g][apart])) > 14) area.append(make("text", { class: "live-small live-halo", x: px(xs[apart]), y: py(y) + 4, "text-anchor": "middle" }, String(k / 10)));
    }

    const x = px(p_t), before = py(tables[key][0][p]), after = py(tables[key][g][p]);
    svg.append(
      make("line", { class: "live-here", x1: x, x2: x, y1: top, y2: height - bottom }),
      make("line", { class: "live-drop", x1: x, x2: x, y1: before, y2: after }),
      make("circle", { class: "live-dot live-cross-entropy", cx: x, cy: before, r: 5 }),
      make("circle", { class: "live-dot live-focal", cx: x, cy: after, r: 8 }),
    );
    const ratio = tables[`${quantity}_ratio`][g][p];
    svg.append(make("text", { class: "live-callout", x: x + (p_t > 0.8 ? 8 : 12), y: Math.max(top + 8, Math.min(before, after) - 14), "text-anchor": p_t > 0.8 ? "end" : "start" }, `${decimals(ratio)}×`));
    redraw(view.drawing, svg, legend(buggy));
    redraw(view.sentence, ...typeset(say()));

    function say() {
      const [start, value] = [tables.loss[0][p], tables.loss[g][p]];
      const [ratio, slope] = [tables.loss_ratio[g][p], tables.gradient_ratio[g][p]];
      const where = `At p_t = ${p_t.toFixed(2)} and γ = ${gamma.toFixed(1)} `;
      if (gamma === 0) return `${where}focal loss is cross-entropy: ${decimals(start)}.`;
      const stronger = slope > 1 ? ", more than under cross-entropy" : "";
      return `${where}this example counts ${decimals(ratio)}× its cross-entropy (${decimals(value)} instead of ${decimals(start)}); its gradient ${decimals(slope)}×${stronger}.`;
    }
  }

  function legend(buggy) {
    const entries = [["cross-entropy", "cross-entropy"], ["focal", `focal loss, γ = ${model.get("gamma").toFixed(1)}`], ["ghost", "other γ, as written on them"]];
    return lineLegend(buggy ? [...entries, ["bug", "with the bug"]] : entries);
  }

  return view.show(draw);
}

export default { render };
