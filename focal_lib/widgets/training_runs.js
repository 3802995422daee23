// Stored training runs: focal loss of the reader's choice beside another loss. All numbers come from the tables.

function render({ model, el }) {
  const { names, beside, epochs } = model.get("_facts");
  const packed = model.get("_tables");
  const tables = Object.fromEntries(Object.entries(packed).map(([name, table]) => [name, unpack(table)]));
  const KINDS = ["majority", "minority"];
  const view = live(model, el, "Training runs: 200 seeds of each loss");

  // What to look at comes first; then the two losses and how long they were trained.
  view.choice("show", "Show", { recall: "recall", loss: "loss", answers: "answers", probabilities: "probabilities" });
  view.slider("gamma", {
    name: ["Focusing parameter ", make("i", {}, "γ")],
    text: (value) => (value ? String(value) : "0: no focus"),
    values: model.get("_limits").gamma,
  });
  view.checkbox("weights", "class weights");
  view.choice("beside", "Beside", Object.fromEntries(Object.keys(beside).map((name) => [name, name])));
  view.choice("epochs", "Epochs", { 100: "100", 500: "500" });
  view.choice("optimizer", "Optimiser", { adam: "Adam", sgd: "SGD" }, true);

  function rows() {
    const gamma = model.get("gamma");
    const alpha = model.get("weights") ? "inverse_frequency" : "none";
    const chosen = gamma ? `focal|${gamma}|${alpha}` : `cross_entropy|0|${alpha}`;
    return [chosen, beside[model.get("beside")]].map((name) => names.indexOf(`${name}|${model.get("optimizer")}`));
  }

  const label = () => (model.get("gamma") ? `focal loss, γ = ${model.get("gamma")}` : "cross-entropy") + (model.get("weights") ? ", with class weights" : "");
  const at = () => ["100", "500"].indexOf(model.get("epochs"));
  // One row of a table whose rows hold 100 epochs and 500 epochs one after the other.
  const part = (table, row) => {
    const half = table[row].length / 2;
    return table[row].slice(at() * half, (at() + 1) * half);
  };

  function say() {
    const [[majority, minority], [otherMajority, otherMinority]] = rows().map((row) => part(tables.found, row).map(percent));
    const optimizer = { adam: "Adam", sgd: "SGD" }[model.get("optimizer")];
    return `After ${model.get("epochs")} epochs of ${optimizer}, ${label()}: ${minority} of the minority found and ${majority} of the majority. Beside it, ${model.get("beside")}: ${otherMinority} and ${otherMajority}. Means of 200 seeds on 200 test points.`;
  }

  // What is drawn, for those who cannot see it, and the sentence.
  const DRAWN = { recall: "Recall by epoch.", loss: "Training loss by epoch.", answers: "Confusion matrices.", probabilities: "Observed against predicted probability." };
  const named = () => `${DRAWN[model.get("show")]} ${say()}`;

  // Column `column` of each epoch's row; the rows hold `wide` numbers for each loss.
  const series = (xs, table, row, wide, column) => xs.map((_, k) => table[k][row * wide + column]);
  const unit = [0, 0.25, 0.5, 0.75, 1];

  // `start`: where the first row stands. The loss is read before an update, from 0 on; the recall after every 20.
  function byEpoch(width, height, start, high, yName, curves) {
    const xs = epochs.map((epoch) => epoch - epochs[0] + start).filter((epoch) => epoch <= Number(model.get("epochs")));
    const last = xs.at(-1);
    const { svg, area, path } = plot({
      width, height, title: named(),
      x: { low: 0, high: last, ticks: unit.map((v) => [v * last, String(v * last)]), name: `epoch (full-batch updates), every ${epochs[1] - epochs[0]}th` },
      y: { low: 0, high, ticks: unit.map((v) => [v, `${v * 100} %`]), name: yName },
    });
    for (const { table, row, wide, first, line, band } of curves) {
      const [low, middle, high] = [0, 1, 2].map((k) => series(xs, table, row, wide, first + k));
      if (band) area.append(make("path", { class: `live-band ${band}`, d: `${path(xs, low)}${path([...xs].reverse(), [...high].reverse()).replace("M", "L")}Z` }));
      area.append(make("path", { class: `live-line ${line}`, d: path(xs, middle) }));
    }
    return svg;
  }

  const draw = {
    loss: (width, height) => byEpoch(width, height, 0, 1.6, "training loss, its median at epoch 0 = 100 %",
      rows().map((row, k) => ({ table: tables.loss, row, wide: 3, first: 0, line: k ? "live-cross-entropy" : "live-focal", band: k ? "live-cross-entropy" : "live-focal" }))),
    recall: (width, height) => byEpoch(width, height, epochs[0], 1.05, "recall on the test points",
      rows().flatMap((row, k) => KINDS.map((kind, c) => ({ table: tables.recall, row, wide: 6, first: 3 * c, line: `live-line-${kind}${k ? " live-before" : ""}`, band: k ? "" : `live-${kind}` })))),
    answers(width) {
      const each = Math.min(300, (width - 20) / 2), side = (each - 34) / 2;
      const svg = make("svg", { width, height: each + 62, viewBox: `0 0 ${width} ${each + 62}`, role: "img", "aria-label": named() });
      rows().forEach((row, k) => {
        const left = k * (each + 20);
        svg.append(make("text", { x: left + 34, y: 14, class: "live-name" }, k ? "beside" : "chosen"));
        part(tables.counts, row).forEach((count, cell) => {
          const [i, j] = [cell >> 1, cell & 1];
          const x = left + 34 + j * side, y = 22 + i * side;
          svg.append(
            make("rect", { class: `live-box live-${KINDS[i]}`, x, y, width: side, height: side, "fill-opacity": i === j ? 0.75 : 0.2 }),
            make("rect", { class: "live-plate", x: x + side / 2 - 28, y: y + side / 2 - 11, width: 56, height: 22, rx: 4 }),
            make("text", { class: "live-on-plate", x: x + side / 2, y: y + side / 2 + 5, "text-anchor": "middle" }, count.toFixed(1)),
          );
        });
        for (const i of [0, 1]) {
          svg.append(
            make("text", { x: left + 26, y: 22 + (i + 0.5) * side + 4, "text-anchor": "end" }, String(i)),
            make("text", { x: left + 34 + (i + 0.5) * side, y: 22 + 2 * side + 16, "text-anchor": "middle" }, String(i)),
          );
        }
        svg.append(
          make("text", { class: "live-name", x: left + 34 + side, y: 22 + 2 * side + 34, "text-anchor": "middle" }, "predicted class"),
          make("text", { class: "live-name", "text-anchor": "middle", transform: `translate(${left + 10} ${22 + side}) rotate(-90)` }, "true class"),
        );
      });
      return svg;
    },
    probabilities(width, height) {
      const { svg, px, py, path } = plot({
        width: Math.min(width, 460), height: height + 40, title: named(),
        x: { low: 0, high: 1, ticks: unit.map((v) => [v, String(v)]), name: "predicted probability of class 1" },
        y: { low: 0, high: 1, ticks: unit.map((v) => [v, String(v)]), name: "share of class 1 among these" },
      });
      svg.append(make("line", { class: "live-axis", x1: px(0), y1: py(0), x2: px(1), y2: py(1) }));
      rows().forEach((row, k) => {
        const numbers = part(tables.reliability, row), bins = numbers.length / 3;
        const filled = [...Array(bins).keys()].filter((bin) => numbers[bin] > 0);
        const [xs, ys] = [1, 2].map((line) => filled.map((bin) => numbers[line * bins + bin]));
        const kind = k ? "cross-entropy" : "focal";
        svg.append(make("path", { class: `live-line live-${kind}`, d: path(xs, ys) }));
        xs.forEach((x, n) => svg.append(make("circle", { class: `live-dot live-${kind}`, cx: px(x), cy: py(ys[n]), r: 4 })));
      });
      return svg;
    },
  };

  function legend() {
    const entry = (words, ...drawn) => make("span", { class: "live-entry" }, make("svg", { width: 34, height: 14, "aria-hidden": "true" }, ...drawn), ...typeset(words));
    const line = (look) => make("line", { class: `live-line ${look}`, x1: 1, x2: 33, y1: 7, y2: 7 });
    const show = model.get("show"), other = model.get("beside");
    if (show === "answers") return make("div", { class: "live-legend" }, `Mean number of the 200 test points. Chosen: ${label()}. Beside: ${other}.`);
    if (show === "recall") return make("div", { class: "live-legend" }, ...KINDS.flatMap((kind) => [entry(`${kind}, ${label()}`, line(`live-line-${kind}`)), entry(`${kind}, ${other}`, line(`live-line-${kind} live-before`))]), "Lines: medians of the seeds; the sentence below has means. Band: 5 to 95 % of the seeds.");
    return make("div", { class: "live-legend" }, entry(label(), line("live-focal")), entry(other, line("live-cross-entropy")), show === "loss" ? "Lines: medians of the seeds. Bands: 5 to 95 % of the seeds." : "Diagonal: calibrated.");
  }

  return view.show((width) => {
    redraw(view.drawing, draw[model.get("show")](width, width < 480 ? 250 : 290), legend());
    redraw(view.sentence, ...typeset(say()));
  });
}

export default { render };
