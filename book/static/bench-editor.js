// An editor for a few lines of Python: a text area over its own text in colours, with line numbers, reset and changes.
"use strict";

focalBench.editor = (start, label, key) => {
  const { element, keep, kept } = focalBench;
  const WORDS = "and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|" +
    "in|is|lambda|nonlocal|not|or|pass|raise|return|try|while|with|yield|None|True|False";
  const TOKENS = new RegExp(
    `(#[^\\n]*)|("""[\\s\\S]*?"""|'''[\\s\\S]*?'''|"(?:\\\\.|[^"\\\\\\n])*"?|'(?:\\\\.|[^'\\\\\\n])*'?)|\\b(${WORDS})\\b|\\b(\\d[\\w.]*)`, "g");
  const KINDS = ["c", "s", "k", "m"];

  const area = element("textarea", {
    class: "bench-area", spellcheck: "false", autocapitalize: "off", autocomplete: "off", autocorrect: "off",
    wrap: "soft", "aria-label": label,
  });
  const paint = element("div", { "aria-hidden": "true", class: "bench-paint" });
  const numbers = element("div", { "aria-hidden": "true", class: "bench-numbers" });
  const ruler = element("div", { "aria-hidden": "true", class: "bench-paint" });
  const changes = element("div", { class: "bench-diff", hidden: true });
  const box = element("div", { class: "bench-editor" },
    element("div", { class: "bench-gutter" }, numbers),
    element("div", { class: "bench-text" }, element("div", { class: "bench-under" }, paint, ruler), area));

  function show() {
    const text = area.value;
    const pieces = [];
    if (text.length < 20_000) {
      let at = 0;
      for (const match of text.matchAll(TOKENS)) {
        const kind = KINDS[match.slice(1).findIndex((group) => group !== undefined)];
        pieces.push(text.slice(at, match.index), element("span", { class: `bench-${kind}` }, match[0]));
        at = match.index + match[0].length;
      }
      pieces.push(text.slice(at));
    } else {
      pieces.push(text);
    }
    paint.replaceChildren(...pieces, "\n");
    const rows = rowsOf(text);
    numbers.textContent = rows.slice(0, 5000).map((high, i) => `${i + 1}${"\n".repeat(high)}`).join("");
    const all = rows.reduce((sum, high) => sum + high, 0);
    box.style.setProperty("--tall", `${Math.min(Math.max(all, 4), 30) * 1.5 + 1.5}em`);
    roll();
    if (!changes.hidden) compare();
  }

  function roll() {
    for (const moved of [paint, numbers]) moved.style.transform = `translateY(${-area.scrollTop}px)`;
  }

  // On how many rows of the screen each line stands: a long one wraps.
  function rowsOf(text) {
    const lines = text.split("\n");
    if (!area.clientWidth || text.length >= 20_000) return lines.map(() => 1);
    for (const copy of [paint, ruler]) copy.style.width = `${area.clientWidth}px`; // without a scroll bar
    const row = parseFloat(getComputedStyle(area).lineHeight);
    ruler.replaceChildren(...lines.map((line) => element("div", {}, line || " ")));
    const rows = [...ruler.children].map((one) => Math.max(1, Math.round(one.offsetHeight / row)));
    ruler.replaceChildren();
    return rows;
  }

  // As typing does, so that undo brings the old text back.
  function write(text) {
    area.focus();
    area.select();
    if (!document.execCommand("insertText", false, text)) area.value = text;
    area.setSelectionRange(0, 0);
    area.scrollTop = 0;
    changed();
  }

  function changed() {
    show();
    if (key) keep(key, area.value);
  }

  // Lines taken out and put in, by the longest common sequence.
  function compare() {
    const [a, b] = [start.split("\n"), area.value.split("\n")];
    if (a.length * b.length > 1e6) return changes.replaceChildren("Too long to compare.");
    const best = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
    for (let i = a.length - 1; i >= 0; i -= 1)
      for (let j = b.length - 1; j >= 0; j -= 1)
        best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
    const rows = [];
    const row = (sign, text) => rows.push(element(sign === "-" ? "del" : sign === "+" ? "ins" : "span", {}, `${sign} ${text}\n`));
    let [i, j] = [0, 0];
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) { row(" ", a[i]); i += 1; j += 1; }
      else if (i < a.length && (j === b.length || best[i + 1][j] >= best[i][j + 1])) { row("-", a[i]); i += 1; }
      else { row("+", b[j]); j += 1; }
    }
    changes.replaceChildren(element("pre", {}, ...rows));
  }

  area.addEventListener("input", changed);
  // Within the spaces before a line, Backspace takes a whole level of them; screen keyboards send no key for it.
  area.addEventListener("beforeinput", (event) => {
    const at = area.selectionStart;
    const spaces = area.value.slice(0, at).match(/(?:^|\n)( +)$/)?.[1].length;
    if (event.inputType !== "deleteContentBackward" || at !== area.selectionEnd || !spaces) return;
    event.preventDefault();
    area.setSelectionRange(at - ((spaces - 1) % 4 + 1), at);
    document.execCommand("delete");
  });
  area.addEventListener("scroll", roll);
  let width = 0;
  new ResizeObserver(() => { if (area.clientWidth !== width) { width = area.clientWidth; show(); } }).observe(area);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Tab" && !event.shiftKey && !event.ctrlKey && !event.altKey && area.dataset.tabs !== "leave") {
      event.preventDefault();
      document.execCommand("insertText", false, "    ");
    } else if (event.key === "Escape") {
      area.dataset.tabs = "leave"; // the next Tab goes on through the page
    } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      const line = area.value.slice(0, area.selectionStart).split("\n").pop();
      const indent = line.match(/^ */)[0] + (line.trimEnd().endsWith(":") ? "    " : "");
      event.preventDefault();
      document.execCommand("insertText", false, `\n${indent}`);
    }
  });
  area.addEventListener("focus", () => { delete area.dataset.tabs; });

  const button = (text, action) => element("button", { type: "button", onclick: action }, text);
  const toggle = button("Show changes", () => {
    changes.hidden = !changes.hidden;
    toggle.textContent = changes.hidden ? "Show changes" : "Hide changes";
    if (!changes.hidden) compare();
  });
  const tools = element("div", { class: "bench-tools" },
    button("Undo", () => { area.focus(); document.execCommand("undo"); changed(); }),
    button("Reset", () => write(start)), toggle);
  area.value = (key ? kept(key) : null) ?? start;
  show();
  return { box: element("div", {}, box, tools, changes), area, tools, value: () => area.value, write };
};
