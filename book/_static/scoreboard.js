// The scoreboard: shown by verdict or by a word, sorted within each section by a click on a heading.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const board = document.querySelector("table.scoreboard");
  if (!board) return;
  const rows = [...board.querySelectorAll("tr[data-verdict]")];
  const wanted = { verdict: null, word: "" };

  function show() {
    for (const row of rows) {
      const fits = wanted.verdict === null || row.dataset.verdict === wanted.verdict;
      row.hidden = !(fits && row.textContent.toLowerCase().includes(wanted.word));
    }
    for (const body of board.tBodies) {
      body.hidden = [...body.querySelectorAll("tr[data-verdict]")].every((row) => row.hidden);
    }
  }

  function choice(text, verdict, count) {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: `${text} (${count})` });
    made.setAttribute("aria-pressed", String(verdict === wanted.verdict));
    made.addEventListener("click", () => {
      wanted.verdict = verdict;
      for (const one of made.parentElement.querySelectorAll("button")) {
        one.setAttribute("aria-pressed", String(one === made));
      }
      show();
    });
    return made;
  }

  function sortBy(heading, column) {
    const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const key = (row) => row.cells[column].textContent.replaceAll("−", "-").replace(/^[^\p{L}\d+-]+/u, "");
    for (const body of board.tBodies) {
      const own = [...body.querySelectorAll("tr[data-verdict]")];
      own.sort((one, other) => direction * key(one).localeCompare(key(other), "en", { numeric: true }));
      body.append(...own);
    }
    for (const other of board.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  }

  const tools = document.createElement("div");
  tools.className = "scoreboard-tools";
  tools.append(choice("all", null, rows.length));
  const decisive = ["reproduced", "not reproduced", "inconclusive"];
  const counts = new Map(decisive.map((verdict) => [verdict, 0]));
  for (const row of rows) counts.set(row.dataset.verdict, (counts.get(row.dataset.verdict) ?? 0) + 1);
  for (const [verdict, count] of counts) if (count) tools.append(choice(verdict, verdict, count));
  const word = Object.assign(document.createElement("input"), { type: "search", placeholder: "a word of the claim" });
  word.setAttribute("aria-label", "show claims with this word");
  word.addEventListener("input", () => {
    wanted.word = word.value.trim().toLowerCase();
    show();
  });
  tools.append(word);
  board.parentElement.before(tools);

  [...board.tHead.rows[0].cells].forEach((heading, column) => {
    const sorter = Object.assign(document.createElement("button"), { type: "button", title: "sort within each section" });
    sorter.append(...heading.childNodes);
    sorter.addEventListener("click", () => sortBy(heading, column));
    heading.append(sorter);
  });
});
