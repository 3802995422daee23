// Chapter 05's network, really trained in the page: some epochs at a time, so that it can be watched and cancelled.
"use strict";

(() => {
  const { ask, element, statusLine, trainingData } = focalBench;
  const stored = document.querySelector("main .needs-python");
  if (!stored) return;

  const field = (id, label, attributes) => {
    const input = element("input", { id: `bench-${id}`, ...attributes });
    return [input, element("label", { for: `bench-${id}` }, `${label} `, input)];
  };
  const number = (min, max, step, value) => ({ type: "number", min, max, step, value, required: true });
  const [gamma, gammaLabel] = field("gamma", "γ (0 is cross-entropy)", number(0, 5, 0.1, 2));
  const [weights, weightsLabel] = field("weights", "class weights", { type: "checkbox", checked: true });
  const [epochs, epochsLabel] = field("epochs", "epochs", number(10, 500, 10, 100));
  const [seed, seedLabel] = field("seed", "seed", number(0, 10_000, 1, 0));
  const said = element("p", { role: "status" }, "It trains in this page; the first time loads Python, about 6 MB.");
  const bar = element("progress", { "aria-label": "Epochs", hidden: true });
  const result = element("div", { class: "bench-training", hidden: true });
  let cancelled, running;

  const go = element("button", { type: "button", class: "bench-go", onclick: train }, "Train");
  const cancel = element("button", { type: "button", hidden: true, onclick: () => {
    cancelled = true;
    said.textContent = "Cancelling …";
  } }, "Cancel");

  async function train() {
    if (running) return;
    const wrong = [gamma, epochs, seed].find((input) => !input.checkValidity());
    if (wrong) return wrong.reportValidity();
    [running, cancelled] = [true, false];
    go.disabled = true;
    cancel.hidden = false;
    const most = Number(epochs.value);
    const losses = [];
    try {
      await ask("train_start", await trainingData(), Number(gamma.value), weights.checked, most, Number(seed.value));
      bar.hidden = false;
      const began = performance.now();
      for (let done = false; !done && !cancelled;) {
        const now = await ask("train_more");
        done = now.done;
        losses.push(...now.losses);
        bar.value = losses.length / most;
        draw(losses, most, now.matrix);
        const left = Math.round(((performance.now() - began) / losses.length) * (most - losses.length) / 1000);
        if (!done && !cancelled) said.textContent = `Epoch ${losses.length} of ${most}; about ${left} s left.`;
        if (done || cancelled) said.textContent = sentence(losses, most, now.matrix);
      }
    } catch (error) {
      said.textContent = error.message;
    }
    bar.hidden = cancel.hidden = true;
    go.disabled = running = false;
  }

  function sentence(losses, most, [[a, b], [c, d]]) {
    const ended = losses.length < most ? `Cancelled after ${losses.length} of ${most} epochs. ` : "";
    const balanced = (a / (a + b) + d / (c + d)) / 2;
    return `${ended}Loss ${losses.at(-1).toFixed(4)}; on held-out data, balanced accuracy ${balanced.toFixed(2)}, ` +
      `accuracy ${((a + d) / (a + b + c + d)).toFixed(2)}.`;
  }

  function draw(losses, most, matrix) {
    const top = Math.max(...losses);
    const points = losses.map((loss, i) => `${(40 + (i / (most - 1)) * 250).toFixed(1)},${(120 - (loss / top) * 105).toFixed(1)}`);
    const SVG = "http://www.w3.org/2000/svg";
    const made = (tag, attributes, text = "") => {
      const one = document.createElementNS(SVG, tag);
      for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
      one.textContent = text;
      return one;
    };
    const picture = made("svg", { viewBox: "0 0 300 140", role: "img",
      "aria-label": `Training loss from ${losses[0].toFixed(3)} to ${losses.at(-1).toFixed(3)} in ${losses.length} epochs` });
    picture.append(
      made("path", { d: "M40 10V120H290", class: "bench-axis" }),
      made("polyline", { points: points.join(" "), class: "bench-curve" }),
      made("text", { x: 36, y: 18, "text-anchor": "end" }, top.toFixed(2)), made("text", { x: 36, y: 122, "text-anchor": "end" }, "0"),
      made("text", { x: 165, y: 136, "text-anchor": "middle" }, `training loss, epochs 0 to ${most}`));
    const head = (text, scope) => element("th", { scope }, text);
    const rows = matrix.map((row, i) => element("tr", {}, head(`truly ${i}`, "row"), ...row.map((n) => element("td", {}, String(n)))));
    result.replaceChildren(picture, element("table", {}, element("caption", {}, "200 held-out points"),
      element("tr", {}, element("td"), head("called 0", "col"), head("called 1", "col")), ...rows));
    result.hidden = false;
  }

  const panel = element("section", { class: "bench", "aria-label": "Train it in this page" },
    element("p", { class: "bench-row" }, gammaLabel, weightsLabel, epochsLabel, seedLabel),
    element("p", { class: "bench-row" }, go, cancel, bar), statusLine(""), said, result);
  stored.querySelector("p").firstChild.data = "The picture is a stored run. Train one yourself below. Or: ";
  stored.after(panel);
})();
