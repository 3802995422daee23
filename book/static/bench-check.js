// "Is your focal loss right?": paste, choose or drop code, press Check, read the report. Nothing leaves the page.
// The welcome page starts with its five lines, and has no examples.
"use strict";

(() => {
  const { ask, data, editor, element, statusLine, whenUsed } = focalBench;
  const place = document.getElementById("check-bench");
  if (!place) return;
  const { examples, start = "", slug } = data();
  const edit = editor(start, "Your focal loss, in Python", `focal-bench:${slug}`);
  const report = element("div", { class: "bench-report", "aria-live": "polite", tabindex: "-1" });
  const others = element("div", { class: "bench-choices", hidden: true });
  const go = element("button", { type: "button", class: "bench-go", onclick: () => check() }, "Check");

  async function check(name) {
    go.disabled = true;
    report.setAttribute("aria-busy", "true");
    try {
      const found = await ask("check", edit.value(), name ?? null);
      if (found.refused) {
        report.replaceChildren(element("p", { class: "bench-refused" }, found.refused));
        others.hidden = true;
      } else {
        show(found);
      }
    } catch (error) {
      report.replaceChildren(element("p", { class: "bench-refused" }, error.message));
    }
    report.removeAttribute("aria-busy");
    go.disabled = false;
  }

  function show(found) {
    // The library's own report. Everything in it that comes from the reader's code is escaped there; scripts would be
    // inert all the same, as innerHTML runs none.
    const body = new DOMParser().parseFromString(found.html, "text/html").body;
    body.querySelectorAll("script, iframe, object, embed, link, meta, form").forEach((bad) => bad.remove());
    body.querySelectorAll("*").forEach((one) => {
      for (const { name } of [...one.attributes]) if (/^on|^src|^href/i.test(name)) one.removeAttribute(name);
    });
    report.replaceChildren(...body.childNodes);
    if (found.printed) report.append(element("details", {}, element("summary", {}, "It printed"), element("pre", {}, found.printed)));
    const rest = found.names.filter((name) => name !== found.name);
    others.hidden = !rest.length;
    others.replaceChildren(`This is about ${found.name}. Also in your code: `,
      ...rest.map((name) => element("button", { type: "button", onclick: () => check(name) }, name)));
  }

  const say = (text) => report.replaceChildren(element("p", {}, text));
  async function read(file) {
    if (!file) return;
    if (file.size > 1e6) return say(`${file.name} is larger than 1 MB; a loss is not. Nothing was changed.`);
    const text = await file.text();
    if (text.includes("\0")) return say(`${file.name} is not text. Nothing was changed.`);
    edit.write(text);
    say(`${file.name} is in the editor. Press Check.`);
  }
  function choices() {
    const file = element("input", { type: "file", accept: ".py,.txt,text/x-python,text/plain", id: "bench-file",
      onchange: () => read(file.files[0]) });
    const choice = element("select", { id: "bench-example", onchange: () => {
      if (choice.value) edit.write(examples[choice.value][1]);
      if (choice.value) say("The example is in the editor. Press Check.");
      choice.value = "";
    } }, element("option", { value: "" }, "choose …"), ...examples.map(([title], i) => element("option", { value: i }, title)));
    const named = (id, name, field) => element("span", { class: "bench-named" }, element("label", { for: id }, name), field);
    return element("p", { class: "bench-row" }, named("bench-example", "Example: ", choice), named("bench-file", "or a file: ", file));
  }
  edit.area.addEventListener("dragover", (event) => event.preventDefault());
  edit.area.addEventListener("drop", (event) => {
    if (event.dataTransfer.files.length) { event.preventDefault(); read(event.dataTransfer.files[0]); }
  });
  edit.area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) check();
  });

  const link = element("button", { type: "button", onclick: async () => {
    const bytes = new TextEncoder().encode(edit.value());
    if (bytes.length > 20_000) return say("This is too long for a link.");
    location.hash = `code=${btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
    try {
      await navigator.clipboard.writeText(location.href);
      say("The link is copied. It carries your code behind the #, which browsers send to nobody.");
    } catch {
      say("The link is in the address bar. It carries your code behind the #, which browsers send to nobody.");
    }
  } }, "Link to this code");
  if (examples) edit.tools.append(link);
  place.replaceChildren(...(examples ? [choices()] : []),
    edit.box, element("p", { class: "bench-row" }, go), statusLine(), others, report);
  whenUsed(place);

  const linked = examples && location.hash.match(/^#code=([\w-]+)$/);
  if (linked) {
    try {
      const letters = atob(linked[1].replaceAll("-", "+").replaceAll("_", "/"));
      const text = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(letters, (letter) => letter.charCodeAt(0)));
      edit.write(text);
      say("This code came with the link. It runs when you press Check, not before.");
    } catch {
      say("The link carries no readable code.");
    }
  }
})();
