// Who owns the examples, the loss and the gradient of a batch. All numbers come from the tables.

const SHARE = 0.8; // the point of the cumulative picture that the sentence speaks of

function render({ model, el }) {
  const limits = model.get("_limits");
  const { groups, easiest } = model.get("_facts");
  const packed = model.get("_tables");
  const shares = unpack(packed.shares), counts = unpack(packed.counts), cumulative = unpack(packed.cumulative);
  const view = live(model, el, "Batch share: which examples own the loss and the gradient of a batch");

  view.slider("gamma", { name: ["Focusing parameter ", make("i", {}, "γ")], text: (value) => value.toFixed(1) });
  view.slider("alpha", {
    name: ["Minority weight ", make("i", {}, "α"), " (majority: 1)"],
    text: (value) => String(value),
    values: limits.alpha,
  });
  view.choice("preset", "Batch", { balanced: "balanced", "80/20": "80/20", "1:1000": "1 : 1000" });
  view.choice("show", "Show", { shares: "shares", cumulative: "easiest to hardest" });
  view.presets("Try", [
    ["cross-entropy", { gamma: 0, alpha: 1 }],
    ["γ alone", { gamma: 2, alpha: 1 }],
    ["weights alone", { gamma: 0, alpha: 4 }],
    ["both", { gamma: 2, alpha: 4 }],
  ]);

  const gammaIndex = () => Math.round((model.get("gamma") - limits.gamma.low) / limits.gamma.step);

  // [examples, loss, gradient], each with one share a group.
  function rows() {
    const preset = limits.preset.indexOf(model.get("preset"));
    const start = (limits.alpha.indexOf(model.get("alpha")) * limits.preset.length + preset) * 2 * groups.length;
    const owned = shares[gammaIndex()].slice(start, start + 2 * groups.length);
    return [counts[preset], owned.slice(0, groups.length), owned.slice(groups.length)];
  }

  function say() {
    const gamma = model.get("gamma").toFixed(1);
    if (model.get("show") === "cumulative") {
      const at = easiest.findIndex((x) => Math.abs(x - SHARE) < 1e-6);
      const [now, plain] = [cumulative[gammaIndex()], cumulative[0]].map((row) => [row[at], row[easiest.length + at]].map(percent));
      return `At γ = ${gamma} the easiest 80 % of the majority own ${now[0]} of its loss (${plain[0]} under cross-entropy), the easiest 80 % of the minority ${now[1]} of theirs (${plain[1]}).`;
    }
    const [examples, loss, gradient] = rows().map((row) => row.map(percent));
    return `At γ = ${gamma} and minority weight ${model.get("alpha")}: the majority examples already right are ${examples[0]} of this batch and own ${gradient[0]} of its gradient (${loss[0]} of its loss); the minority examples still wrong are ${examples[3]} and own ${gradient[3]} (${loss[3]}).`;
  }

  const stripes = `live-stripes-${Math.random().toString(36).slice(2)}`;
  function bars(width, height) {
    const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": say() });
    svg.append(make("defs", {}, make("pattern", { id: stripes, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      make("line", { x1: 0, x2: 0, y1: 0, y2: 7, stroke: "#fff", "stroke-width": 3.5 }))));
    const left = 72, room = width - left - 4, step = (height - 8) / 3;
    rows().forEach((row, k) => {
      const y = 6 + k * step, thick = step - 14;
      svg.append(make("text", { x: left - 8, y: y + thick / 2 + 4, "text-anchor": "end" }, ["examples", "loss", "gradient"][k]));
      let x = left;
      row.forEach((share, g) => {
        const wide = share * room;
        const box = { x: x.toFixed(1), y, width: wide.toFixed(1), height: thick };
        svg.append(make("rect", { ...box, class: `live-box live-${groups[g].split(",")[0]}` }));
        if (groups[g].endsWith("wrong")) svg.append(make("rect", { ...box, fill: `url(#${stripes})` }));
        if (wide > 52) {
          svg.append(
            make("rect", { class: "live-plate", x: x + wide / 2 - 26, y: y + thick / 2 - 10, width: 52, height: 20, rx: 4 }),
            make("text", { class: "live-on-plate", x: x + wide / 2, y: y + thick / 2 + 4.5, "text-anchor": "middle" }, `${(share * 100).toFixed(1)}\u00a0%`),
          );
        }
        x += wide;
      });
    });
    return svg;
  }

  function curves(width, height) {
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((v) => [v, `${v * 100} %`]);
    const { svg, area, px, py, path } = plot({
      width, height, title: say(),
      x: { low: 0, high: 1, ticks, name: "examples of the class, easiest first" },
      y: { low: 0, high: 1, ticks, name: "share of the class's loss" },
    });
    [cumulative[0], cumulative[gammaIndex()]].forEach((row, k) => ["majority", "minority"].forEach((kind, c) => {
      const ys = row.slice(c * easiest.length, (c + 1) * easiest.length);
      area.append(make("path", { class: `live-line live-line-${kind}${k ? "" : " live-before"}`, d: path(easiest, ys) }));
      if (k) easiest.forEach((x, i) => { if (i % 4 === 0 && i) svg.append(mark(kind, px(x), py(ys[i]))); });
    }));
    return svg;
  }

  const mark = (kind, x, y) => kind === "majority"
    ? make("circle", { class: "live-box live-majority", cx: x, cy: y, r: 5 })
    : make("polygon", { class: "live-box live-minority", points: `${x},${y - 6} ${x + 6},${y + 5} ${x - 6},${y + 5}` });

  function legend(cumulative) {
    const entry = (words, ...drawn) => make("span", { class: "live-entry" }, make("svg", { width: 26, height: 14, "aria-hidden": "true" }, ...drawn), words);
    if (cumulative) {
      return make("div", { class: "live-legend" }, entry("majority", mark("majority", 13, 7)), entry("minority", mark("minority", 13, 7)),
        entry("cross-entropy", make("line", { class: "live-line live-cross-entropy", x1: 1, x2: 25, y1: 7, y2: 7 })));
    }
    return make("div", { class: "live-legend" }, ...groups.map((group) => entry(group,
      make("rect", { class: `live-box live-${group.split(",")[0]}`, width: 26, height: 14 }),
      ...(group.endsWith("wrong") ? [3, 12, 21].map((x) => make("path", { d: `M${x},14L${x + 7},0`, stroke: "#fff", "stroke-width": 3 })) : []))));
  }

  return view.show((width) => {
    const cumulated = model.get("show") === "cumulative";
    const height = width < 480 ? 250 : 270;
    redraw(view.drawing, cumulated ? curves(width, height) : bars(width, height), legend(cumulated));
    write(view.sentence, say());
  });
}

export default { render };
