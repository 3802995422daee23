// An exercise that can be answered on its page: predict by tapping, expose in a table, fix in an editor.
"use strict";

(() => {
  const { ask, data, editor, element, kept, keep: store, statusLine, whenUsed } = focalBench;
  const task = data();
  const KEY = "focal-bench:progress";
  const PARTS = ["predict", "expose", "fix"];

  // ---- progress: in this browser, as a file, or nowhere
  const progress = () => {
    try { return JSON.parse(kept(KEY)) ?? {}; } catch { return {}; }
  };
  const keep = (found) => {
    store(KEY, JSON.stringify(found));
    tally();
  };
  // What was ticked and typed, part by part.
  const place = (part) => `focal-bench:${task.slug}:${part}`;
  const before = (part) => {
    try { return JSON.parse(kept(place(part))); } catch { return null; }
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
  const open = () => (opened ??= ask("open_exercise", task.cells).catch((error) => { opened = undefined; throw error; }));
  async function question(name, ...given) {
    await open();
    try {
      return await ask(name, ...given);
    } catch (error) {
      opened = undefined; // Python may have been stopped: the next question opens the exercise anew
      throw error;
    }
  }

  // A panel of one step. What it says is told apart from what has been changed since.
  function panel(part, title, body, given) {
    const answer = element("div", { class: "bench-answer", "aria-live": "polite" });
    let changes = 0;
    const old = () => {
      if (!answer.textContent || answer.querySelector(".bench-before")) return;
      answer.prepend(element("span", { class: "bench-before" }, "Before your last change: "));
    };
    const section = element("section", { class: "bench", "aria-label": title, oninput: () => { changes += 1; old(); } });
    const go = element("button", { type: "button", class: "bench-go", onclick: async () => {
      const [asked, then] = [given(), changes];
      if (typeof asked === "string") {
        answer.textContent = asked;
        return;
      }
      go.disabled = true;
      answer.setAttribute("aria-busy", "true");
      try {
        const found = await question(part, ...asked);
        const proof = /\btargets?\b/.test(found.text) && !/\btarget\b/.test(task.stub);
        answer.replaceChildren(...linked(plainly(found.text)), proof ? "\n(In a proof, input means the logits, and target the labels.)" : "");
        if (found.printed) answer.append(`\nIt printed:\n${found.printed}`);
        if (found.ok) solved(part);
      } catch (error) {
        answer.textContent = `✗ ${error.message}`;
      }
      if (changes !== then) old();
      answer.removeAttribute("aria-busy");
      go.disabled = false;
    } }, "Check");
    section.append(...body, element("p", { class: "bench-row" }, go), statusLine(), answer);
    whenUsed(section, open);
    return section;
  }

  // An exhibit that an answer names is one tap away.
  const linked = (text) => text.split(/(exhibit \w+)/).map((piece) => {
    const [, id] = piece.match(/^exhibit (\w+)$/) ?? [];
    return id ? element("a", { href: `../06_bug_museum.html#${id}` }, piece) : piece;
  });

  // A statement says what it means by N; its formula stands as code.
  const plainly = (text) => text.replace(/The sum is N times the mean\.(?! \(N)/, "The sum is N times the mean. (N is the number of rows; none is ignored here.)");
  const typeset = (statement) => {
    const text = plainly(statement);
    const [, words, formula, end] = text.match(/^(.* is )(\(p - .*\w)(\.)$/) ?? [];
    return formula ? [words, element("code", {}, formula), end] : [text];
  };

  function predicting() {
    const kind = task.single ? "radio" : "checkbox";
    const boxes = task.letters.map(([letter, statement]) => [letter, statement, element("input", { type: kind, name: "bench-letter", value: letter })]);
    const none = element("input", { type: "checkbox", name: "bench-none" });
    const labels = boxes.map(([letter, statement, box]) =>
      element("label", {}, box, element("span", {}, element("b", {}, letter), ...(statement ? [" ", ...typeset(statement)] : []))));
    if (!task.single) {
      labels.push(element("label", {}, none, element("span", {}, "None of these")));
      none.addEventListener("change", () => none.checked && boxes.forEach(([, , box]) => { box.checked = false; }));
      boxes.forEach(([, , box]) => box.addEventListener("change", () => { none.checked = false; }));
    }
    const ticked = before("predict") ?? "";
    boxes.forEach(([letter, , box]) => { box.checked = ticked.includes(letter); });
    none.checked = ticked === "none";
    const chosen = () => (none.checked ? "none" : boxes.filter(([, , box]) => box.checked).map(([letter]) => letter).join(""));
    const legend = task.single ? "Which one is it?" : "Which of these break?";
    const box = panel("predict", "Predict, on this page",
      [element("fieldset", { class: "bench-letters" }, element("legend", {}, legend), ...labels)],
      () => (chosen() ? [chosen()] : "○ Tap an answer first."));
    box.addEventListener("change", () => store(place("predict"), JSON.stringify(chosen())));
    return box;
  }

  // ---- expose: rows of logits with a label each, and any other argument of the code
  function exposing() {
    const classes = task.binary ? 1 : 2;
    const old = before("expose") ?? {};
    const shape = { rows: old.cells?.length || 1, columns: task.binary ? 1 : Math.max((old.cells?.[0]?.length ?? 0) - 1, classes) };
    const table = element("table");
    const both = element("p", { class: "bench-answer", "aria-live": "polite" });
    const others = task.arguments.map((name) => {
      const hint = name === "alpha" && !task.binary ? "default, or 1, 4" : "default";
      const input = element("input", {
        type: "text", id: `bench-${name}`, placeholder: hint, value: old.others?.[name] ?? "", autocapitalize: "off",
        autocomplete: "off" });
      return [name, input, element("label", { for: `bench-${name}` }, `${name} `, input)];
    });
    // No inputmode: the number pads of iPhones have no minus.
    const field = (what, value) => element("input", { type: "text", "aria-label": what, value, autocomplete: "off" });
    // As people write numbers: 0,5 and a long minus too.
    const plain = (text) => text.trim().replaceAll("−", "-").replace(/^(-?\d*),(\d+)$/, "$1.$2");
    const typed = () => [...table.querySelectorAll("tr")].slice(1).map((row) => [...row.querySelectorAll("input")].map((i) => i.value));
    const cells = () => typed().map((row) => row.map(plain));
    function draw(old = typed()) {
      const head = [...Array(shape.columns).keys()].map((k) => element("th", { scope: "col" }, task.binary ? "logit" : `logit ${k}`));
      const rows = [...Array(shape.rows).keys()].map((i) => element("tr", {},
        ...[...Array(shape.columns).keys()].map((k) => element("td", {}, field(`row ${i + 1}, logit ${k}`, old[i]?.slice(0, -1)[k] ?? "0"))),
        element("td", {}, field(`row ${i + 1}, label`, old[i]?.at(-1) ?? "0"))));
      table.replaceChildren(element("tr", {}, ...head, element("th", { scope: "col" }, "label")), ...rows);
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
      table.dispatchEvent(new Event("input", { bubbles: true }));
    } }, text);
    const buttons = [change("+ row", "rows", 1, 8), change("− row", "rows", -1, 8)];
    if (!task.binary) buttons.push(change("+ class", "columns", 1, 5), change("− class", "columns", -1, 5));
    const nothing = element("input", { type: "checkbox", id: "bench-nothing" });
    nothing.checked = old.nothing === true;
    draw(old.cells);
    const box = panel("expose", "Expose, on this page", [
      table, element("p", { class: "bench-row" }, ...buttons),
      ...(others.length ? [element("p", {}, "A field that stays empty is not passed: the code takes its own default.")] : []),
      element("p", { class: "bench-row bench-others" }, ...others.map(([, , label]) => label)),
      element("p", { class: "bench-row" }, element("label", {}, nothing, " There is nothing to expose")), both,
    ], () => [nothing.checked ? "none" : written()]);
    box.addEventListener("input", () => {
      const values = Object.fromEntries(others.map(([name, input]) => [name, input.value]));
      store(place("expose"), JSON.stringify({ cells: typed(), others: values, nothing: nothing.checked }));
      soon();
    });
    return box;
  }

  function fixing() {
    const edit = editor(`${task.stub}\n`, "The code to mend", `focal-bench:${task.slug}`);
    const untouched = () => edit.value().trim() === task.stub.trim();
    const early = () => !["predict", "expose"].every((part) => (progress()[task.slug] ?? []).includes(part));
    let innocent = false;
    const box = panel("fix", "Fix, on this page", [
      element("p", {}, "Edit the code, then check. Not all code under review is faulty: where you find no fault, say so with ",
        element("b", {}, "Nothing to mend"), ". What your code prints is shown with the answer."),
      edit.box,
    ], () => {
      if (innocent) return [`${task.name} = "none"`, task.name];
      if (untouched() && early()) return "○ fix: nothing yet. Edit the code, or say that there is nothing to mend.";
      return [edit.value(), task.name];
    });
    const go = box.querySelector(".bench-go");
    go.after(element("button", { type: "button", onclick: () => {
      innocent = true;
      go.click();
      innocent = false;
    } }, "Nothing to mend"));
    return box;
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
    // How evidence is written down in a notebook: here there are fields.
    if (part === "expose") document.querySelectorAll("main p").forEach((p) => { p.hidden ||= p.textContent.startsWith("Evidence is a dict:"); });
    // The statements stand beside the boxes: not a second time in code, and a third in what it prints.
    if (part === "predict") cells.filter((cell) => /^exercise = Exercise\(/m.test(code(cell))).forEach((cell) => { cell.hidden = true; });
  };
  put("predict", predicting);
  put("expose", exposing);
  put("fix", fixing);
  put("progress", keeping);
  hints();
})();
