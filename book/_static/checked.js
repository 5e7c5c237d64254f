// What the theme and docutils leave for screen readers to stumble over, and what a page can't do from the disk.
"use strict";

// Results of a search are shown with a passage each, for which the page is fetched; a file can't fetch another.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

/** The corner of a table that heads nothing is no heading. */
function unhead(cell) {
  const plain = document.createElement("td");
  for (const { name, value } of cell.attributes) plain.setAttribute(name, value);
  cell.replaceWith(plain);
}

document.addEventListener("DOMContentLoaded", () => {
  for (const cell of document.querySelectorAll("th")) {
    if (!cell.textContent.trim()) unhead(cell);
  }
  // Roles that no longer exist, and a list whose items are none.
  for (const part of document.querySelectorAll('.citation-list, .citation, [role="doc-backlink"]')) {
    part.removeAttribute("role");
  }
  const title = document.querySelector(".bd-sidebar-primary .sidebar-primary-items__start > :first-child");
  title?.setAttribute("role", "navigation");
  title?.setAttribute("aria-label", "title page");
});
