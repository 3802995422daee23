// A filter for the wall of bugs: words of a symptom, of the code, or of the check that finds it.
(() => {
  const wall = document.querySelector(".gallery-wall");
  if (!wall) return;
  const frames = [...wall.querySelectorAll("a")];
  const input = Object.assign(document.createElement("input"), { type: "search", id: "wall-filter", autocomplete: "off" });
  const label = Object.assign(document.createElement("label"), { htmlFor: input.id, textContent: "Find a bug by a symptom, a piece of code, or the check that finds it" });
  const count = Object.assign(document.createElement("p"), { className: "wall-count" });
  count.setAttribute("role", "status");
  const box = Object.assign(document.createElement("div"), { className: "wall-filter" });
  box.append(label, input);
  for (const words of ["weights", "nan", "gradient", "mean", "half precision", "ignored"]) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: words });
    button.addEventListener("click", () => { input.value = words; filter(); });
    box.append(button);
  }
  box.append(count);
  function filter() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const frame of frames) frame.hidden = !words.every((word) => frame.dataset.words.includes(word));
    for (const room of wall.querySelectorAll(".gallery")) {
      room.hidden = room.previousElementSibling.hidden = ![...room.children].some((frame) => !frame.hidden);
    }
    const left = frames.filter((frame) => !frame.hidden).length;
    count.textContent = words.length ? `${left} of ${frames.length} bugs` : `${frames.length} bugs`;
  }
  input.addEventListener("input", filter);
  wall.before(box);
  filter();
})();
