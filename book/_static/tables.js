// Tables of numbers: sorted by a click on a heading, copied whole for a spreadsheet, scrolled where the page is narrow.
"use strict";

const NUMBER = /^[+−-]?(\d+(\.\d+)?|\.\d+)(e[+−-]?\d+)?/i;

const LONG = 30; // rows above which a table scrolls within itself

/** What a cell is sorted by: a number, a fraction such as 8/255, or its text. */
function sortKey(text) {
  const plain = text.trim().replaceAll("−", "-");
  const fraction = plain.match(/^(\d+(?:\.\d+)?)\/(\d+)$/);
  if (fraction) return Number(fraction[1]) / Number(fraction[2]);
  const number = plain.match(NUMBER);
  return number ? Number(number[0]) : plain.toLowerCase();
}

/** Order of two keys: numbers first, then texts, empty cells last whatever the direction. */
function compare(one, other, direction) {
  if (one === "" || other === "") return (one === "") - (other === "");
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return direction * (typeof one === "number" ? one - other : one.localeCompare(other));
}

/** Give every row its own copy of the cells that span several rows, so that rows can be moved. */
function unspan(body) {
  const rows = [...body.rows];
  rows.forEach((row, i) => {
    for (const cell of [...row.cells]) {
      const span = cell.rowSpan;
      const place = cell.cellIndex;
      cell.rowSpan = 1;
      for (let k = 1; k < span && i + k < rows.length; k++) {
        rows[i + k].insertBefore(cell.cloneNode(true), rows[i + k].cells[place] ?? null);
      }
    }
  });
}

/** Put the names of the row keys, which pandas gives a line of their own, into the empty cells of the line above. */
function joinHeadings(head) {
  const [above, last] = [...(head?.rows ?? [])].slice(-2);
  if (!last || above.cells.length !== last.cells.length) return;
  const full = (row) => [...row.cells].map((cell) => cell.textContent.trim() !== "");
  const [upper, lower] = [full(above), full(last)];
  if (upper.some((is, i) => is && lower[i])) return;
  lower.forEach((is, i) => is && above.cells[i].replaceWith(last.cells[i].cloneNode(true)));
  last.remove();
}

/** The lowest heading with a text for each column, by the column's number. */
function headings(table) {
  const found = new Map();
  for (const row of table.tHead.rows) {
    let column = 0;
    for (const cell of row.cells) {
      if (cell.colSpan === 1 && cell.textContent.trim()) found.set(column, cell);
      column += cell.colSpan;
    }
  }
  return found;
}

function sortBy(table, column, heading) {
  const body = table.tBodies[0];
  const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  unspan(body);
  const keyed = [...body.rows].map((row) => [sortKey(row.cells[column]?.textContent ?? ""), row]);
  keyed.sort(([one], [other]) => compare(one, other, direction));
  body.append(...keyed.map(([, row]) => row));
  for (const cell of table.tHead.querySelectorAll("[aria-sort]")) cell.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
}

/** The table as lines of cells with tabs between, each cell once for every row and column that it spans. */
function asText(table) {
  const lines = [];
  [...table.rows].forEach((row, i) => {
    lines[i] ??= [];
    for (const cell of row.cells) {
      let column = 0;
      while (lines[i][column] !== undefined) column++;
      for (let k = 0; k < cell.rowSpan; k++) {
        lines[i + k] ??= [];
        for (let j = 0; j < cell.colSpan; j++) lines[i + k][column + j] = cell.innerText.trim().replace(/\s+/g, " ");
      }
    }
  });
  return lines.map((line) => line.join("\t")).join("\n");
}

async function copy(table, button) {
  const text = asText(table);
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Some browsers have no clipboard for a page that is a file.
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
  }
  button.textContent = done ? "copied" : "not copied";
  setTimeout(() => (button.textContent = "copy table"), 2000);
}

function button(text, act) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
  made.addEventListener("click", () => act(made));
  return made;
}

/** Shade the edges of a table behind which there is more of it. */
function showMore(view, scrolled) {
  const { scrollLeft, scrollTop, clientWidth, clientHeight, scrollWidth, scrollHeight } = scrolled;
  view.classList.toggle("more-right", scrollLeft + clientWidth < scrollWidth - 1);
  view.classList.toggle("more-below", scrollTop + clientHeight < scrollHeight - 1);
}

function equip(table, number) {
  for (const cell of table.querySelectorAll("tbody :is(th, td)")) {
    const text = cell.textContent.trim();
    const longest = NUMBER.test(text) ? 20 : cell.tagName === "TH" ? 12 : 0;
    if (text.length <= longest) cell.classList.add("whole"); // on one line
  }
  joinHeadings(table.tHead);
  const [frame, view, scrolled] = ["numbers", "numbers-view", "numbers-scroll"].map((className) =>
    Object.assign(document.createElement("div"), { className }),
  );
  scrolled.classList.toggle("long", table.tBodies[0].rows.length > LONG);
  scrolled.tabIndex = 0;
  scrolled.setAttribute("role", "region");
  scrolled.setAttribute("aria-label", `table ${number}`);
  table.replaceWith(frame);
  scrolled.append(table);
  const tools = Object.assign(document.createElement("div"), { className: "numbers-tools" });
  tools.append(...origin(frame), button("copy table", (made) => copy(table, made)));
  view.append(scrolled);
  frame.append(tools, view);
  const hint = () => showMore(view, scrolled);
  scrolled.addEventListener("scroll", hint);
  new ResizeObserver(hint).observe(scrolled);
  if (!table.tHead || table.tBodies[0].rows.length < 3) return;
  for (const [column, heading] of headings(table)) {
    const sorter = button("", () => sortBy(table, column, heading));
    sorter.title = "sort by this column";
    sorter.append(...heading.childNodes);
    heading.append(sorter);
  }
}

/** A link to where a page says where its numbers come from; what stands below that has none. */
function origin(of) {
  const there = document.getElementById("origins");
  if (!there || !(there.compareDocumentPosition(of) & Node.DOCUMENT_POSITION_PRECEDING)) return [];
  return [Object.assign(document.createElement("a"), { href: "#origins", textContent: "where from", className: "origin" })];
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.dataframe").forEach((table, i) => equip(table, i + 1));
  document.querySelectorAll(".cell_output img").forEach((image) => {
    (image.closest("a.image-reference") ?? image).after(...origin(image));
  });
});
