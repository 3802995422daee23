// The museum's wall: a filter by words, symptom, check and room, and exhibits that open in place, each with its address.
// Without it the frames are links to the exhibits further down the page.
(() => {
  const wall = document.querySelector(".gallery-wall");
  if (!wall) return;
  const frames = [...wall.querySelectorAll("a")];
  const make = (tag, properties, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };

  // What one would say at one's desk -> the checks that a bug with this symptom fails.
  const SYMPTOMS = [
    ["any symptom", /(?:)/],
    ["my weights do nothing, or too much", /alpha_scales_its_class|default_is_unweighted|wrong_alpha_length/],
    ["NaN or infinity, after a while", /is_finite_|masked_class/],
    ["it behaves like cross-entropy", /gradient_is_not_parallel/],
    ["works on the CPU only, or crashes", /weights_follow_the_module|runs_with_defaults/],
    ["the loss is on another scale", /doubled_batch|sum_is_n_times|image_equals_its_rows/],
    ["ignored or padded labels count", /ignored_rows|inputs_are_unchanged/],
    ["reduction='none' has an odd shape", /none_has_the_targets_shape/],
    ["the value is right, the gradient is not", /gradient_is_the_slope|gradient_is_full/],
  ];
  // What one could have tried -> those of the checks that do it.
  const CHECKS = [
    ["any check", /(?:)/],
    ["γ = 0 against cross-entropy", /gamma_zero_is_cross_entropy/],
    ["three numbers by hand", /gives_the_golden_numbers/],
    ["the gradient against its formula", /gradient_has_the_closed_form|gradient_is_the_slope/],
    ["one class's weight, doubled", /alpha_scales_its_class/],
    ["huge logits, γ below 1, half precision", /is_finite_/],
    ["reduction='none'", /none_has_the_targets_shape/],
    ["the batch, written twice", /doubled_batch_keeps_the_mean/],
    ["labels to ignore", /ignored_rows_are_dropped/],
    ["the same call again", /is_stateless|inputs_are_unchanged|modes_change_nothing/],
  ];
  const rooms = [...wall.querySelectorAll(".gallery")].map((gallery) => [gallery.previousElementSibling.firstChild.textContent.trim(), gallery]);
  const field = (words, control) => make("label", {}, `${words} `, control);
  const input = make("input", { type: "search", autocomplete: "off" });
  const choose = (from) => make("select", {}, ...from.map(([words], k) => make("option", { value: k }, words)));
  const symptom = choose(SYMPTOMS), check = choose(CHECKS);
  const room = make("select", {}, make("option", { value: "" }, "every room"), ...rooms.map(([name], k) => make("option", { value: k }, name)));
  const count = make("p", { className: "wall-count" });
  count.setAttribute("role", "status");
  const box = make("div", { className: "wall-filter" });
  box.append(field("Find a bug by a symptom, a piece of code, or the check that finds it", input), field("What you see", symptom), field("What finds it", check), field("Room", room), count);

  function filter() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = [SYMPTOMS[symptom.value][1], CHECKS[check.value][1]];
    for (const frame of frames) {
      const here = room.value === "" || frame.parentElement === rooms[room.value][1];
      frame.hidden = !(here && wanted.every((checks) => checks.test(frame.dataset.words)) && words.every((word) => frame.dataset.words.includes(word)));
    }
    for (const [, gallery] of rooms) gallery.hidden = gallery.previousElementSibling.hidden = ![...gallery.querySelectorAll("a")].some((frame) => !frame.hidden);
    const left = frames.filter((frame) => !frame.hidden).length;
    count.textContent = left < frames.length ? `${left} of ${frames.length} bugs` : `${frames.length} bugs`;
  }
  for (const control of [input, symptom, check, room]) control.addEventListener("input", filter);

  // One exhibit, copied from its room: from its heading to the next exhibit.
  const card = make("section", { className: "exhibit-card", hidden: true, tabIndex: -1 });
  function exhibit(id) {
    const start = document.getElementById(id);
    const outputs = [...(start?.closest(".cell_output")?.children ?? [])];
    const at = outputs.findIndex((node) => node.contains(start));
    if (at < 0) return null;
    const next = outputs.findIndex((node, k) => k > at && node.querySelector(".exhibit"));
    return outputs.slice(at, next < 0 ? undefined : next);
  }

  let open;
  function close() {
    card.hidden = true;
    open?.setAttribute("aria-expanded", "false");
    open?.focus();
    open = null;
  }
  function show(frame) {
    const id = frame.hash.slice(1);
    const found = exhibit(id);
    if (!found) return false;
    open?.setAttribute("aria-expanded", "false");
    open = frame;
    frame.setAttribute("aria-expanded", "true");
    const copies = found.filter((node) => !node.matches(".figure-number") && !node.querySelector(".exhibit")).map((node) => node.cloneNode(true));
    for (const copy of copies) {
      for (const node of [copy, ...(copy.querySelectorAll("[id]"))]) node.removeAttribute("id");
      for (const details of copy.matches("details") ? [copy] : copy.querySelectorAll("details")) details.open = true;
      for (const link of copy.querySelectorAll(".headerlink, button")) link.remove();
    }
    const seen = frames.filter((other) => !other.hidden);
    const step = (by) => seen[(seen.indexOf(frame) + by + seen.length) % seen.length];
    const button = (words, action) => {
      const node = make("button", { type: "button" }, words);
      node.addEventListener("click", action);
      return node;
    };
    const tools = make("div", { className: "exhibit-tools" }, button("← before", () => show(step(-1))), button("next →", () => show(step(1))), button("Close", close));
    card.replaceChildren(tools, ...copies);
    card.setAttribute("aria-label", frame.textContent.trim());
    frame.after(card);
    card.hidden = false;
    history.replaceState(history.state, "", frame.hash);
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
    return true;
  }
  for (const frame of frames) {
    frame.setAttribute("aria-expanded", "false");
    frame.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      if (frame === open) { event.preventDefault(); close(); } else if (show(frame)) event.preventDefault();
    });
  }
  card.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  wall.before(box);
  filter();
  // An address from elsewhere leads to the exhibit in its room.
  const follow = () => {
    const target = document.getElementById(location.hash.slice(1));
    const folded = target?.closest("details.room:not([open])");
    if (!folded) return;
    folded.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  follow();
})();
