// An image, and the share of each cell in its loss. All numbers come from the tables.

// Dark violet to yellow, lighter means more: read at tenths of a decade from 0 to 50.
const HEAT = ["#000004", "#1b0c41", "#4a0c6b", "#781c6d", "#a52c60", "#cf4446", "#ed6925", "#fb9b06", "#f7d13d", "#fcffa4"];

function render({ model, el }) {
  const limits = model.get("_limits");
  const { names, object, cells, photo } = model.get("_facts");
  const packed = model.get("_tables");
  const tables = Object.fromEntries(Object.entries(packed).map(([name, table]) => [name, unpack(table)]));
  const view = live(model, el, "Cell loss: the loss of each cell of one image");

  view.slider("gamma", { name: ["Focusing parameter ", make("i", {}, "γ")], text: (value) => value.toFixed(1) });
  view.choice("network", "Network", { first: names[0], second: names[1] });
  view.presets("Try γ =", [0, 0.5, 1, 2, 5].map((gamma) => [String(gamma), { gamma }]));

  const now = (name) => {
    const row = tables[name][Math.round((model.get("gamma") - limits.gamma.low) / limits.gamma.step)];
    const size = row.length / 2;
    const start = limits.network.indexOf(model.get("network")) * size;
    return row.slice(start, start + size);
  };

  function say() {
    const [share] = now("object"), [worst] = now("worst"), [rest] = now("rest");
    const name = names[limits.network.indexOf(model.get("network"))];
    return `${name}, γ = ${model.get("gamma").toFixed(1)}: the object's cell owns ${percent(share)} of the loss of this image, the ten worst background cells ${percent(worst)}, and all other cells ${percent(rest)}.`;
  }

  // What stays while gamma moves is drawn once for each width: to decode the photo anew at each step takes long.
  let drawn = {};

  function frame(width) {
    const side = Math.min(width < 480 ? width : (width - 16) / 2, 330);
    const stacked = width < 480;
    const second = stacked ? { x: 0, y: side + 46 } : { x: side + 16, y: 22 };
    const height = second.y + side + 40;
    const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
    const one = side / cells;
    const heat = HEAT.map((fill) => make("path", { fill, "shape-rendering": "crispEdges" })); // one for each colour
    svg.append(
      make("text", { x: 0, y: 15 }, "image, its object circled"),
      make("image", { href: `data:image/png;base64,${photo}`, x: 0, y: 22, width: side, height: side, class: "live-photo" }),
      make("text", { x: second.x, y: second.y - 7 }, "share of the loss, cell by cell"),
      make("rect", { x: second.x, y: second.y, width: side, height: side, fill: HEAT[0] }),
      ...heat,
    );
    for (const { x, y } of [{ x: 0, y: 22 }, second]) {
      svg.append(make("circle", { class: "live-ring", cx: x + (object[1] + 0.5) * one, cy: y + (object[0] + 0.5) * one, r: 5 * one }));
    }
    HEAT.forEach((colour, k) => svg.append(make("rect", { x: second.x + (k * side) / 10, y: second.y + side + 6, width: side / 10, height: 8, "shape-rendering": "crispEdges", fill: colour })));
    svg.append(
      ...["0.001", "0.01", "0.1", "1", "10", "100\u00a0%"].map((words, k) => make("text", { class: "live-small", x: second.x + (k * side) / 5, y: second.y + side + 30, "text-anchor": ["start", "middle", "middle", "middle", "middle", "end"][k] }, words)),
    );
    return { width, svg, heat, second, one };
  }

  function draw(width) {
    if (drawn.width !== width) {
      drawn = frame(width);
      view.drawing.replaceChildren(drawn.svg);
    }
    const { svg, heat, second, one } = drawn;
    const paths = HEAT.map(() => "");
    now("level").forEach((level, k) => {
      if (level < 5) return;
      const x = (second.x + (k % cells) * one).toFixed(2), y = (second.y + Math.floor(k / cells) * one).toFixed(2);
      paths[Math.min(9, Math.floor(level / 5))] += `M${x} ${y}h${one.toFixed(2)}v${one.toFixed(2)}h-${one.toFixed(2)}z`;
    });
    heat.forEach((path, k) => path.setAttribute("d", paths[k]));
    svg.setAttribute("aria-label", say());
    write(view.sentence, say());
  }

  return view.show(draw);
}

export default { render };
