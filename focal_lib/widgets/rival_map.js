// Focal loss and its rivals: the winner of each cell, and all methods of one cell. All numbers come from the tables.

function render({ model, el }) {
  const limits = model.get("_limits");
  const { methods, short, kinds, cells, lower } = model.get("_facts");
  const packed = model.get("_tables");
  const tables = Object.fromEntries(Object.entries(packed).map(([name, table]) => [name, unpack(table)[0]]));
  const view = live(model, el, "Rivals: who wins where, by how much, and how sure");
  const words = (values) => Object.fromEntries(values.map((value) => [value, value]));
  const share = (value) => `${Math.round(100 * value)} %`;

  view.choice("task", "Task", words(limits.task));
  view.choice("score", "Score", words(limits.score));
  view.choice("problem", "Problem", words(limits.problem));
  view.slider("prevalence", { name: "Rarest class", text: share, values: limits.prevalence });

  const cell = (prevalence, problem) => cells.indexOf(`${model.get("task")}|${prevalence}|${problem}`);
  // where the numbers of a cell and the chosen score begin, for tables with so many numbers each
  const at = (index, wide) => (index * limits.score.length + limits.score.indexOf(model.get("score"))) * wide;
  const signed = (x) => (x < 0 ? "-" : "+") + Math.abs(x).toFixed(3);
  const shown = (index, method) => `${signed(tables.beside[at(index, methods.length) + method])} ± ${tables.half[at(index, methods.length) + method].toFixed(3)}`;

  function say() {
    const index = cell(model.get("prevalence"), model.get("problem"));
    const where = `${model.get("task")}, rarest ${share(model.get("prevalence"))}, ${model.get("problem")}, ${model.get("score")}`;
    if (index < 0) return `${where}: not run.`;
    const best = tables.best[at(index, 1)], level = tables.level[at(index, 1)];
    const sure = ["no other is level with it", "1 other is level with it"][level] ?? `${level} others are level with it`;
    const better = lower[limits.score.indexOf(model.get("score"))] ? "less" : "more";
    return `${where} (${better} is better): the best is ${methods[best]}, ${shown(index, best)} beside cross-entropy; ${sure}. Focal loss: ${shown(index, methods.indexOf("focal"))}, place ${tables.place[at(index, 1)]} of ${methods.length}.`;
  }

  const paint = (node, kind) => { node.style.fill = node.style.stroke = `var(--${kind})`; return node; };

  function map(width) {
    const left = 66, one = (width - left) / limits.prevalence.length, row = 34, top = 40;
    const svg = make("svg", { width, height: top + row * limits.problem.length + 4, role: "img", "aria-label": `Map of the winners. ${say()}` });
    svg.append(make("text", { class: "live-name", x: 0, y: 14 }, `best by ${model.get("score")}; pale: others are level`));
    limits.prevalence.forEach((p, column) => svg.append(make("text", { x: left + (column + 0.5) * one, y: 33, "text-anchor": "middle" }, share(p))));
    limits.problem.forEach((problem, k) => {
      const y = top + k * row;
      svg.append(make("text", { x: 0, y: y + 21 }, problem));
      limits.prevalence.forEach((prevalence, column) => {
        const index = cell(prevalence, problem);
        if (index < 0) return;
        const best = tables.best[at(index, 1)], here = prevalence === model.get("prevalence") && problem === model.get("problem");
        const x = left + column * one;
        const box = paint(make("rect", { x: x + 2, y: y + 1, width: one - 4, height: row - 3, rx: 3 }), kinds[best]);
        box.style.fillOpacity = tables.level[at(index, 1)] ? 0.18 : 0.5;
        box.style.strokeWidth = here ? 3 : 0.7;
        svg.append(make("g", { "data-prevalence": prevalence, "data-problem": problem }, box, make("text", { class: "live-small", x: x + one / 2, y: y + 21, "text-anchor": "middle" }, short[best])));
      });
    });
    return svg;
  }

  function beside(width) {
    const index = cell(model.get("prevalence"), model.get("problem"));
    const row = 20, left = 146, top = 38, height = top + row * methods.length + 12;
    const svg = make("svg", { width, height, role: "img", "aria-label": say() });
    if (index < 0) return svg;
    const from = at(index, methods.length);
    const spans = methods.map((_, k) => [tables.beside[from + k], tables.half[from + k]]);
    const low = Math.min(0, ...spans.map(([m, h]) => m - h)), high = Math.max(0.001, ...spans.map(([m, h]) => m + h));
    const px = (value) => left + 8 + ((value - low) / (high - low)) * (width - left - 20);
    svg.append(make("text", { class: "live-name", x: 0, y: 14 }, `${model.get("score")}, beside cross-entropy`));
    const size = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5].find((step) => (high - low) / step <= (width < 480 ? 4 : 7)) ?? 1;
    const grid = make("g"), rows = make("g"); // apart, so that another number of lines leaves the rows as they are
    svg.append(grid, rows);
    for (let k = Math.ceil(low / size); k <= high / size; k++) {
      grid.append(
        make("line", { class: k ? "live-grid" : "live-axis", x1: px(k * size), x2: px(k * size), y1: top, y2: height - 8 }),
        make("text", { class: "live-small", x: px(k * size), y: top - 6, "text-anchor": "middle" }, String(Number((k * size).toFixed(3)))),
      );
    }
    spans.forEach(([mean, half], k) => {
      const y = top + (k + 0.5) * row + 3;
      const line = paint(make("line", { x1: px(mean - half), x2: px(mean + half), y1: y, y2: y }), kinds[k]);
      line.style.strokeWidth = 3;
      rows.append(make("text", { x: 0, y: y + 4 }, methods[k]), line, paint(make("circle", { cx: px(mean), cy: y, r: 4.5 }), kinds[k]));
    });
    return svg;
  }

  function draw(width) {
    redraw(view.drawing, map(width), beside(width));
    write(view.sentence, say());
  }

  view.drawing.addEventListener("click", (event) => {
    const cell = event.target.closest("[data-problem]");
    if (cell) view.set({ prevalence: Number(cell.dataset.prevalence), problem: cell.dataset.problem });
  });

  return view.show(draw);
}

export default { render };
