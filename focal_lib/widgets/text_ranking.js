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

  // Words on lines of at most so many pixels; SVG text does not wrap.
  function lines(text, room) {
    const most = Math.floor(room / 7.2);
    return text.split(" ").reduce((done, word) => {
      const longer = `${done.at(-1)} ${word}`.trim();
      return longer.length > most ? [...done, word] : [...done.slice(0, -1), longer];
    }, [""]);
  }

  function draw(width) {
    const [order, loss, factor, share] = ["order", "loss", "factor", "share"].map((name) => now(name));
    const svg = make("svg", { width, role: "img", "aria-label": say() });
    const room = width - 116; // what the longest number after a bar needs
    let y = 16;
    for (const k of order) {
      for (const line of lines(texts[k], width)) {
        svg.append(make("text", { x: 0, y }, line));
        y += 17;
      }
      svg.append(
        make("rect", { class: "live-bar", x: 0, y: y - 10, width: Math.max(1, share[k] * room), height: 12 }),
        make("text", { x: share[k] * room + 6, y }, percent(share[k])),
      );
      y += 18;
      const facts = make("text", { class: "live-small", x: 0, y });
      facts.append(`${labels[k]} · `, ...ptSvg(), `${p_t[k].toFixed(2)} · loss ${short(loss[k])} · counts ${short(factor[k])}×`);
      svg.append(facts);
      y += 28;
    }
    svg.setAttribute("height", y - 12);
    svg.setAttribute("viewBox", `0 0 ${width} ${y - 12}`);
    view.drawing.replaceChildren(svg);
    view.sentence.textContent = say();
  }

  return view.show(draw);
}

export default { render };
