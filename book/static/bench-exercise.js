// An exercise that can be answered on its page: predict by tapping, expose in a table, fix in an editor.
"use strict";

(() => {
  const { ask, data, editor, element, statusLine } = focalBench;
  const task = data();
  const KEY = "focal-bench:progress";
  const PARTS = ["predict", "expose", "fix"];

  // ---- progress: in this browser, as a file, or nowhere
  const progress = () => {
    try { return JSON.parse(localStorage.getItem(KEY)) ?? {}; } catch { return {}; }
  };
  const keep = (found) => {
    try { localStorage.setItem(KEY, JSON.stringify(found)); } catch { /* a private window keeps nothing */ }
    tally();
  };
  const solved = (part) => {
    const found = progress();
    found[task.slug] = PARTS.filter((p) => p === part || (found[task.slug] ?? []).includes(p));
    keep(found);
  };
  const score = element("p", { class: "bench-score", role: "status" });
  function tally() {
    const here = progress()[task.slug] ?? [];
    const done = Object.values(progress()).filter((parts) => PARTS.every((p) => parts.includes(p))).length;
    score.textContent = `Here: ${PARTS.map((p) => `${p} ${here.includes(p) ? "✓" : "○"}`).join(", ")}. Exercises found: ${done}.`;
  }

  // ---- asking: the exercise's own cells run once in each fresh Python
  let opened;
  async function question(name, ...given) {
    opened ??= ask("open_exercise", task.cells).catch((error) => { opened = undefined; throw error; });
    await opened;
    try {
      return await ask(name, ...given);
    } catch (error) {
      opened = undefined; // Python may have been stopped: the next question opens the exercise anew
      throw error;
    }
  }

  function panel(part, title, body, given) {
    const answer = element("div", { class: "bench-answer", "aria-live": "polite" });
    const go = element("button", { type: "button", class: "bench-go", onclick: async () => {
      const asked = given();
      if (!asked) {
        answer.textContent = "○ Tap an answer first.";
        return;
      }
      go.disabled = true;
      answer.setAttribute("aria-busy", "true");
      try {
        const found = await question(part, ...asked);
        answer.textContent = found.text;
        if (found.ok) solved(part);
      } catch (error) {
        answer.textContent = `✗ ${error.message}`;
      }
      answer.removeAttribute("aria-busy");
      go.disabled = false;
    } }, "Check");
    return element("section", { class: "bench", "aria-label": title }, ...body,
      element("p", { class: "bench-row" }, go), statusLine(), answer);
  }

  function predicting() {
    const kind = task.single ? "radio" : "checkbox";
    const boxes = task.letters.map(([letter, statement]) => [letter, statement, element("input", { type: kind, name: "bench-letter", value: letter })]);
    const none = element("input", { type: "checkbox", name: "bench-none" });
    const labels = boxes.map(([letter, statement, box]) =>
      element("label", {}, box, element("span", {}, element("b", {}, letter), statement ? ` ${statement}` : "")));
    if (!task.single) {
      labels.push(element("label", {}, none, element("span", {}, "None of these")));
      none.addEventListener("change", () => none.checked && boxes.forEach(([, , box]) => { box.checked = false; }));
      boxes.forEach(([, , box]) => box.addEventListener("change", () => { none.checked = false; }));
    }
    const legend = task.single ? "Which one is it?" : "Which of these break?";
    return panel("predict", "Predict, on this page",
      [element("fieldset", { class: "bench-letters" }, element("legend", {}, legend), ...labels)], () => {
        const chosen = boxes.filter(([, , box]) => box.checked).map(([letter]) => letter).join("");
        return chosen || none.checked ? [chosen || "none"] : null;
      });
  }

  // ---- expose: rows of logits with a label each, and any other argument of the code
  function exposing() {
    const classes = task.binary ? 1 : 2;
    const shape = { rows: 1, columns: classes };
    const table = element("table");
    const both = element("p", { class: "bench-answer", "aria-live": "polite" });
    const others = task.arguments.map((name) => {
      const hint = name === "alpha" && !task.binary ? "left out, or 1, 4" : "left out";
      const input = element("input", { type: "text", id: `bench-${name}`, placeholder: hint, oninput: () => soon() });
      return [name, input, element("label", { for: `bench-${name}` }, `${name} `, input)];
    });
    const field = (what, value) => element("input", {
      type: "text", inputmode: "decimal", "aria-label": what, value, oninput: () => soon() });
    // As people write numbers: 0,5 and a long minus too.
    const plain = (text) => text.trim().replaceAll("−", "-").replace(/^(-?\d*),(\d+)$/, "$1.$2");
    const cells = () => [...table.querySelectorAll("tr")].slice(1).map((row) => [...row.querySelectorAll("input")].map((i) => plain(i.value)));
    function draw() {
      const old = cells();
      const head = [...Array(shape.columns).keys()].map((k) => element("th", { scope: "col" }, task.binary ? "logit" : `logit ${k}`));
      const rows = [...Array(shape.rows).keys()].map((i) => element("tr", {},
        ...[...Array(shape.columns).keys()].map((k) => element("td", {}, field(`row ${i + 1}, logit ${k}`, old[i]?.slice(0, -1)[k] ?? "0"))),
        element("td", {}, field(`row ${i + 1}, label`, old[i]?.at(-1) ?? "0"))));
      table.replaceChildren(element("tr", {}, ...head, element("th", { scope: "col" }, "label")), ...rows);
      soon();
    }
    const written = () => {
      const rows = cells();
      const logits = rows.map((row) => (task.binary ? row[0] : `[${row.slice(0, -1).join(", ")}]`)).join(", ");
      const rest = others.filter(([, input]) => input.value.trim()).map(([name, input]) => {
        let value = input.value.trim().replaceAll("−", "-");
        if (name === "alpha" && /^[^[(].*,/.test(value)) value = `[${value}]`; // one weight a class
        const word = ["reduction", "device"].includes(name) && !/^["']/.test(value);
        return `, "${name}": ${word ? JSON.stringify(value) : value}`;
      });
      return `{"logits": [${logits}], "labels": [${rows.map((row) => row.at(-1)).join(", ")}]${rest.join("")}}`;
    };
    // Both losses as one types, once the page's Python is there anyway.
    let timer;
    function soon() {
      clearTimeout(timer);
      if (!opened) return;
      timer = setTimeout(async () => {
        try {
          const found = await question("compare", written());
          both.textContent = found.refused ?? `This code: ${found.ours}. A right loss: ${found.right}.`;
        } catch (error) { both.textContent = error.message; }
      }, 400);
    }
    const change = (text, what, by, most) => element("button", { type: "button", onclick: () => {
      shape[what] = Math.min(Math.max(shape[what] + by, what === "rows" || task.binary ? 1 : 2), most);
      draw();
    } }, text);
    const buttons = [change("+ row", "rows", 1, 8), change("− row", "rows", -1, 8)];
    if (!task.binary) buttons.push(change("+ class", "columns", 1, 5), change("− class", "columns", -1, 5));
    const nothing = element("input", { type: "checkbox", id: "bench-nothing" });
    draw();
    const box = panel("expose", "Expose, on this page", [
      table, element("p", { class: "bench-row" }, ...buttons),
      element("p", { class: "bench-row" }, ...others.map(([, , label]) => label)),
      element("p", { class: "bench-row" }, element("label", {}, nothing, " There is nothing to expose")), both,
    ], () => [nothing.checked ? "none" : written()]);
    return box;
  }

  function fixing() {
    const edit = editor(`${task.stub}\n`, "The code to mend", `focal-bench:${task.slug}`);
    return panel("fix", "Fix, on this page", [edit.box], () => [edit.value(), task.name]);
  }

  function hints() {
    // One at a time, in their order: the next one shows once the one before was opened.
    const all = [...document.querySelectorAll("main details")].filter((d) => /^Hint \d/.test(d.querySelector("summary")?.textContent ?? ""));
    all.forEach((hint, i) => {
      if (i) hint.hidden = true;
      hint.addEventListener("toggle", () => { if (hint.open && all[i + 1]) all[i + 1].hidden = false; });
    });
  }

  function keeping() {
    const save = element("button", { type: "button", onclick: () => {
      const url = URL.createObjectURL(new Blob([JSON.stringify(progress(), null, 1)], { type: "application/json" }));
      element("a", { href: url, download: "focal_progress.json" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    } }, "Save progress as a file");
    const erase = element("button", { type: "button", onclick: () => {
      if (erase.dataset.sure) {
        try {
          Object.keys(localStorage).filter((key) => key.startsWith("focal-bench:")).forEach((key) => localStorage.removeItem(key));
        } catch { /* nothing was kept */ }
        tally();
        delete erase.dataset.sure;
        erase.textContent = "Erase progress";
      } else {
        erase.dataset.sure = "1";
        erase.textContent = "Erase all of it? Tap again";
      }
    } }, "Erase progress");
    tally();
    return element("section", { class: "bench", "aria-label": "Progress" }, score,
      element("p", { class: "bench-row" }, save, erase),
      "Kept in this browser only. The file goes beside the notebooks, which go on from there.");
  }

  // Each panel takes the place of the notebook's two cells for the same step.
  const cells = [...document.querySelectorAll("main div.cell")];
  const code = (cell) => cell.querySelector("div.cell_input")?.textContent ?? "";
  const put = (part, make) => {
    const i = cells.findIndex((cell) => code(cell).includes(`exercise.${part}(`));
    if (i < 0) return;
    cells[i].before(make());
    cells[i].hidden = true;
    if (part !== "progress" && i > 0) cells[i - 1].hidden = true;
  };
  put("predict", predicting);
  put("expose", exposing);
  put("fix", fixing);
  put("progress", keeping);
  hints();
})();
