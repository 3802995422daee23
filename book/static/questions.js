// Remembers, on this machine, which answer of a question was taken first; on the page of all questions it counts them,
// shows one chapter or those that were not right at once, and lets one begin anew. Without it (or with storage refused)
// the answers unfold all the same.
(() => {
  const KEY = "book.questions";
  const questions = [...document.querySelectorAll(".question")];
  if (!questions.length) return;
  let taken = {};
  try { taken = JSON.parse(localStorage.getItem(KEY)) ?? {}; } catch { /* storage refused, or not ours */ }
  if (typeof taken !== "object" || Array.isArray(taken)) taken = {};
  const keep = () => { try { localStorage.setItem(KEY, JSON.stringify(taken)); } catch { /* then only this page knows */ } };
  const answers = (question) => [...question.querySelectorAll("details.answer")];
  const right = (question) => answers(question).findIndex((answer) => answer.classList.contains("right"));

  function show(question) {
    answers(question).forEach((answer, k) => {
      const words = k === taken[question.id] ? "your first answer" : "";
      answer.querySelector("summary").dataset.taken = words;
    });
  }

  for (const question of questions) {
    answers(question).forEach((answer, k) => answer.addEventListener("toggle", () => {
      if (!answer.open || question.id in taken) return;
      taken[question.id] = k;
      keep();
      show(question);
      count();
    }));
    show(question);
  }

  // A question that is linked to may lie in a fold.
  const asked = questions.find((question) => `#${question.id}` === location.hash);
  const fold = asked?.closest("details.reveal:not([open])");
  if (fold) {
    fold.open = true;
    asked.scrollIntoView();
  }

  const page = document.querySelector("section[id^='of-']")?.parentElement;
  const score = Object.assign(document.createElement("p"), { className: "question-score" });
  score.setAttribute("role", "status");
  const wrong = Object.assign(document.createElement("button"), { type: "button", textContent: "Only those I did not get at once" });
  wrong.setAttribute("aria-pressed", "false");
  const parts = page ? [...page.querySelectorAll("section[id^='of-']")] : [];
  const chapter = document.createElement("select");
  chapter.setAttribute("aria-label", "Chapter");
  chapter.append(new Option("All chapters", ""), ...parts.map((part) => new Option(`Chapter ${part.id.slice(3, 5)}`, part.id)));
  const anew = Object.assign(document.createElement("button"), { type: "button", textContent: "Begin anew" });

  function count() {
    if (!page) return;
    const done = questions.filter((question) => question.id in taken);
    const atOnce = done.filter((question) => taken[question.id] === right(question));
    score.textContent = `${questions.length} questions, ${done.length} answered, ${atOnce.length} of them right at once.`;
    const only = wrong.getAttribute("aria-pressed") === "true";
    for (const question of questions) question.hidden = only && atOnce.includes(question);
    for (const part of parts) {
      const others = chapter.value && part.id !== chapter.value;
      part.hidden = others || ![...part.querySelectorAll(".question")].some((question) => !question.hidden);
    }
  }

  if (!page) return;
  chapter.addEventListener("change", count);
  wrong.addEventListener("click", () => {
    wrong.setAttribute("aria-pressed", String(wrong.getAttribute("aria-pressed") !== "true"));
    count();
  });
  anew.addEventListener("click", () => {
    taken = {};
    keep();
    for (const question of questions) {
      for (const answer of answers(question)) answer.open = false;
      show(question);
    }
    wrong.setAttribute("aria-pressed", "false");
    chapter.value = "";
    count();
  });
  const box = Object.assign(document.createElement("div"), { className: "question-tools" });
  box.append(score, chapter, wrong, anew);
  page.querySelector("section").before(box);
  count();
})();
