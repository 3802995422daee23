// Above what the search finds in the pages: the bugs of the museum whose symptom or code holds all the words asked for.
(() => {
  const query = new URLSearchParams(location.search).get("q") ?? "";
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = words.length ? bookBugs.filter(([, , text]) => words.every((word) => text.includes(word))) : [];
  const place = document.querySelector("#search-results");
  if (!found.length || !place) return;
  const list = document.createElement("ul");
  for (const [id, title] of found.slice(0, 12)) {
    const link = Object.assign(document.createElement("a"), { href: `notebooks/06_bug_museum.html#${id}`, textContent: title });
    const item = document.createElement("li");
    item.append(link);
    list.append(item);
  }
  const box = Object.assign(document.createElement("section"), { className: "search-bugs" });
  const head = Object.assign(document.createElement("h2"), { textContent: `In the museum: ${found.length} ${found.length === 1 ? "bug" : "bugs"}` });
  box.append(head, list);
  place.before(box);
})();
