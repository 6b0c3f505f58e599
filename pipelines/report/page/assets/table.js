// Tables that sort by a click on a head and show the rows that hold every word of a filter.
"use strict";
const tables = (() => {
  function value(cell) {
    const told = cell.dataset.value ?? cell.textContent.trim();
    if (told === "" || told === "–") return null;
    const number = Number(told.replace(/[,%\s]/g, "").replace("−", "-"));
    return Number.isNaN(number) ? told.toLowerCase() : number;
  }

  // Cells without a value stand last, whichever way is sorted.
  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === typeof b) return sign * (a < b ? -1 : a > b ? 1 : 0);
    return typeof a === "number" ? -1 : 1;
  }

  function sort(table, column, direction) {
    const body = table.tBodies[0];
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => [value(row.cells[column]), row]);
    rows.sort((a, b) => compare(a[0], b[0], sign));
    body.append(...rows.map((pair) => pair[1]));
    for (const head of table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
    table.tHead.rows[0].cells[column].setAttribute("aria-sort", direction);
  }

  function sortable(table) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const first = head.classList.contains("n") ? "descending" : "ascending";
        const other = first === "descending" ? "ascending" : "descending";
        sort(table, column, head.getAttribute("aria-sort") === first ? other : first);
      });
    });
  }

  function filter(table, input, output) {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    output.textContent = `${shown} of ${table.tBodies[0].rows.length}`;
  }

  function filtered(table, input, output) {
    input.addEventListener("input", () => filter(table, input, output));
    filter(table, input, output);
  }

  document.querySelectorAll("table[data-sortable]").forEach(sortable);
  document.querySelectorAll("table[data-filtered]").forEach((table) =>
    filtered(table, document.getElementById("filter"), document.getElementById("shown")));
  return { sortable, filtered, filter, sort };
})();
