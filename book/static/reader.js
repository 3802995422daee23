// How far one has read, as a line along the upper edge.
(() => {
  const bar = Object.assign(document.createElement("div"), { className: "read-bar" });
  bar.setAttribute("aria-hidden", "true");
  const page = document.documentElement;
  const draw = () => { bar.style.transform = `scaleX(${page.scrollTop / Math.max(1, page.scrollHeight - page.clientHeight)})`; };
  addEventListener("scroll", draw, { passive: true });
  addEventListener("resize", draw);
  document.body.append(bar);
  draw();
})();

// One switch for all folded code, on every page of the book, remembered on this machine.
(() => {
  const KEY = "book.code";
  const folds = [...document.querySelectorAll("article .cell_input > details, article .cell details.hide")]
    .filter((fold) => fold.querySelector("summary").textContent.includes("the code"));
  const title = document.querySelector("article h1");
  if (!folds.length || !title) return;
  const stored = () => { try { return localStorage.getItem(KEY); } catch { return null; } }; // storage may be refused
  const button = document.createElement("button");
  button.type = "button";
  button.className = "reader-switch";
  const show = (open) => {
    for (const fold of folds) fold.open = open;
    button.setAttribute("aria-pressed", open);
    button.textContent = open ? "Hide the code of the pictures" : "Show all code";
  };
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-pressed") !== "true";
    show(open);
    try { localStorage.setItem(KEY, open ? "open" : "folded"); } catch { /* then only this page knows */ }
  });
  show(stored() === "open");
  title.after(button);
})();

// The contents show where one is also where no heading is in sight, as after a link into a long section.
(() => {
  const places = [...document.querySelectorAll(".page-toc a[href^='#']")]
    .map((link) => [link, document.getElementById(decodeURIComponent(link.hash.slice(1)))]).filter(([, place]) => place);
  const mark = () => {
    if (places.some(([link]) => link.classList.contains("active"))) return; // the theme knows
    const above = places.filter(([, place]) => place.getBoundingClientRect().top < innerHeight / 2);
    above.at(-1)?.[0].classList.add("active");
  };
  for (const moved of ["load", "hashchange", "scrollend"]) addEventListener(moved, () => setTimeout(mark, 100));
})();
