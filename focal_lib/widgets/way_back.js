// A true probability, what gamma teaches, and what the closed form recovers. All numbers come from the tables.

function render({ model, el }) {
  const limits = model.get("_limits");
  const packed = model.get("_tables");
  const learned = unpack(packed.learned), recovered = unpack(packed.recovered);
  const gammas = Math.round((limits.gamma.high - limits.gamma.low) / limits.gamma.step) + 1;
  const xs = learned.map((_, k) => limits.q.low + k * limits.q.step);
  const index = (key) => Math.round((model.get(key) - limits[key].low) / limits[key].step);
  const view = live(model, el, "The way back: true probability, what gamma teaches, and what is recovered");

  view.slider("gamma", { name: ["Focusing parameter ", make("i", {}, "γ")], text: (value) => value.toFixed(1) });
  view.slider("q", { name: "True probability of the class", text: (value) => value.toFixed(2) });
  view.slider("classes", { name: "Number of classes", text: String, values: limits.classes });
  view.choice("axis", "Axis", { linear: "linear", log: "log" });
  view.presets("Try", [["two classes, sure", { q: 0.9, classes: 2, gamma: 2 }], ["a thousand, unsure", { q: 0.05, classes: 1000, gamma: 2 }]]);
  view.dragX("q");

  // one column of a table: all true probabilities, at this gamma and number of classes
  const at = (table, row) => table[row][index("gamma") * limits.classes.length + limits.classes.indexOf(model.get("classes"))];

  function say() {
    const q = model.get("q"), p = at(learned, index("q"));
    const verdict = Math.abs(p - q) < 5e-5 ? "exactly that" : p < q ? "less than that" : "more than that";
    return `${model.get("classes")} classes, γ = ${model.get("gamma").toFixed(1)}: a class whose true probability is ${q.toFixed(2)} is given ${p.toFixed(4)}, ${verdict}; the way back makes ${at(recovered, index("q")).toFixed(4)} of it.`;
  }

  function draw(width) {
    const log = model.get("axis") === "log", height = width < 480 ? 290 : 350;
    const on = (value) => (log ? Math.log10(value) : value);
    const marks = log ? [0.01, 0.03, 0.1, 0.3, 1] : [0, 0.2, 0.4, 0.6, 0.8, 1];
    const axis = { low: log ? -2 : 0, high: log ? 0 : 1, ticks: marks.map((v) => [on(v), String(v)]) };
    const { svg, area, px, py, path } = plot({
      width, height, title: say(),
      x: { ...axis, name: "true probability of the class" },
      y: { ...axis, low: log ? -2.3 : 0, name: "probability that is learned" },
    });
    view.dragScale((pixels) => {
      const part = axis.low + ((pixels - px(axis.low)) / (px(axis.high) - px(axis.low))) * (axis.high - axis.low);
      return log ? 10 ** part : part;
    });
    const here = xs.map(on), ys = learned.map((_, k) => on(at(learned, k)));
    area.append(
      make("path", { class: "live-line live-cross-entropy", d: path(here, here) }),
      make("path", { class: "live-line live-focal", d: path(here, ys) }),
    );
    const k = index("q"), x = px(here[k]), y = py(ys[k]), back = py(on(at(recovered, k)));
    svg.append(
      make("line", { class: "live-drop", x1: x, x2: x, y1: y, y2: back }),
      make("circle", { class: "live-dot live-cross-entropy", cx: x, cy: back, r: 5 }),
      make("circle", { class: "live-dot live-focal", cx: x, cy: y, r: 8 }),
    );
    const words = [["cross-entropy", "true, and recovered"], ["focal", `learned with γ = ${model.get("gamma").toFixed(1)}`]];
    redraw(view.drawing, svg, lineLegend(words));
    write(view.sentence, say());
  }

  return view.show(draw);
}

export default { render };
