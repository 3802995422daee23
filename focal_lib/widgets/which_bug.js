// A line drawn by one planted bug, four suspects. All numbers come from the tables.

const LETTERS = "ABCD";

function render({ model, el }) {
  const limits = model.get("_limits");
  const { rounds } = model.get("_facts");
  const lines = unpack(model.get("_tables").lines);
  const xs = lines.map((_, k) => limits.p_t.low + k * limits.p_t.step);
  const view = live(model, el, "Which bug drew this line?");
  view.slider("p_t", { name: ["Read the line at ", pt()], text: (value) => value.toFixed(2) });
  view.dragX("p_t");

  const suspects = make("div", { class: "live-suspects", role: "group", "aria-label": "Which bug drew the line?" });
  const buttons = [...LETTERS].map((letter) => {
    const button = make("button", { type: "button", "data-option": letter });
    button.addEventListener("click", () => {
      const r = model.get("round");
      if (!answered.has(r)) answered.set(r, LETTERS[rounds[r - 1].answer] === letter);
      view.set({ chosen: letter });
    });
    suspects.append(button);
    return button;
  });
  view.drawing.after(suspects);
  const next = view.button("Next round", () => view.set({ round: (model.get("round") % rounds.length) + 1, chosen: "none" }), "next");
  const exhibit = make("a", { class: "live-exhibit" }, "See the exhibit"); // on the site only: elsewhere it has no address
  if (next && typeof model.link === "function") next.after(exhibit);
  const score = make("p", { class: "live-score", role: "status" });
  suspects.after(score);
  const answered = new Map(); // round -> whether its first answer was right
  el.addEventListener("keydown", (event) => {
    if (/^[1-4]$/.test(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) buttons[event.key - 1].click();
  });

  return view.show((width) => {
    const r = model.get("round") - 1;
    const { caption, options, answer } = rounds[r];
    const line = (which) => lines.map((row) => row[r * (options.length + 1) + which]); // 0 is the right one
    const chosen = LETTERS.indexOf(model.get("chosen"));
    const drawn = { bug: line(1 + answer), ...(chosen >= 0 && { focal: line(0) }), ...(chosen >= 0 && chosen !== answer && { guess: line(1 + chosen) }) };

    // The picture's height is that of the right line and of the buggy one, so that it does not move when one answers.
    const most = Math.max(...line(0));
    const high = Math.min(6 * most, Math.max(most, ...line(1 + answer))) * 1.05;
    const low = Math.max(-most, Math.min(0, ...line(1 + answer)));
    const height = width < 480 ? 260 : 310;
    const { svg, area, px, py, path, top, bottom } = plot({
      width, height, title: say(),
      x: { low: 0, high: 1, ticks: [0, 0.2, 0.4, 0.6, 0.8, 1].map((v) => [v, String(v)]), name: ["hard ←\u00a0\u00a0", ...ptSvg(), "\u00a0→ easy"] },
      y: { low, high, ticks: ticks(low, high), name: caption },
    });
    view.dragScale((pixels) => (pixels - px(0)) / (px(1) - px(0)));
    for (const [kind, ys] of Object.entries(drawn)) area.append(make("path", { class: `live-line live-${kind}`, d: path(xs, ys) }));
    const at = Math.round((model.get("p_t") - limits.p_t.low) / limits.p_t.step);
    svg.append(
      make("line", { class: "live-here", x1: px(xs[at]), x2: px(xs[at]), y1: top, y2: height - bottom }),
    );
    if (drawn.bug[at] <= high) svg.append(make("circle", { class: "live-dot live-bug", cx: px(xs[at]), cy: py(drawn.bug[at]), r: 8 }));
    const peak = Math.max(...drawn.bug);
    if (peak > high) svg.append(make("text", { class: "live-small live-halo", x: px(xs[drawn.bug.findIndex((y) => y > high)]), y: top + 10, "text-anchor": "end" }, `↑ on to ${peak.toFixed(1)} `));
    const entries = [["bug", "with one bug"], ["focal", "the right line"], ["guess", "your guess"]].filter(([kind]) => drawn[kind]);
    redraw(view.drawing, svg, lineLegend(entries));
    buttons.forEach((button, k) => {
      redraw(button, ...typeset(`${LETTERS[k]}. ${options[k].title}${k === chosen ? (k === answer ? " ✓" : " ✗") : ""}`));
      button.setAttribute("aria-pressed", k === chosen);
    });
    redraw(view.sentence, ...typeset(say()));
    exhibit.style.visibility = chosen < 0 ? "hidden" : ""; // its room stays
    if (chosen >= 0) {
      const { id, title } = options[chosen];
      const museum = `${document.documentElement.dataset.content_root ?? ""}notebooks/06_bug_museum.html`;
      exhibit.href = `${document.getElementById(id) ? "" : museum}#${id}`;
      exhibit.setAttribute("aria-label", `See the exhibit: ${title}`);
    }
    if (next) write(next, r + 1 < rounds.length ? "Next round" : "Start again");
    const right = [...answered.values()].filter(Boolean).length;
    write(score, !answered.size ? `${rounds.length} rounds. Keys 1 to 4 choose, too.` : answered.size < rounds.length
      ? `${right} of ${answered.size} right at the first try; ${rounds.length - answered.size} to go.`
      : `All ${rounds.length} rounds: ${right} right at the first try. The exhibits above tell the rest.`);

    function say() {
      const at = Math.round((model.get("p_t") - limits.p_t.low) / limits.p_t.step);
      const read = `Round ${r + 1} of ${rounds.length}. At p_t = ${model.get("p_t").toFixed(2)} the line is at ${line(1 + answer)[at].toFixed(3)}`;
      if (chosen < 0) return `${read}. Which bug drew it?`;
      const { title, hides, symptom } = options[chosen];
      const both = `${read}, the right one at ${line(0)[at].toFixed(3)}`;
      if (chosen === answer) return `${both}. Yes, ${LETTERS[chosen]}: ${title}. Why nobody noticed: ${hides}`;
      return `${both}. No: ${title} would draw the dotted line. ${symptom}`;
    }
  });
}

export default { render };
