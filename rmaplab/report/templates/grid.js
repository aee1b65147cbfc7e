// SPDX-License-Identifier: GPL-2.0
// The matrix: a line for each testcase, a column for each kernel, guest, device and settings.

const LEVELS = ["kernel", "guest", "device", "settings"];

function makeGrid(rows) {
  const used = LEVELS.filter((level) => rows.some((row) => row[level]));
  const columns = new Map(), lines = new Map();
  for (const row of ROWS) columnOf(row, used, columns); // in the same order whatever is filtered
  const shown = new Set(rows.map((row) => columnKey(row, used)));
  const order = [...columns.keys()].filter((key) => shown.has(key)).sort();
  for (const row of rows) {
    if (!lines.has(row.name)) lines.set(row.name, new Map());
    lines.get(row.name).set(columnKey(row, used), row);
  }
  const names = [...lines.keys()];
  if (state.sort === "name") names.sort();
  const body = el("tbody");
  for (const name of names) body.append(makeLine(name, lines.get(name), order));
  const table = el("table", { role: "grid", "aria-label": "testcases by guest and settings", "aria-readonly": "true" },
    makeHead(order.map((key) => columns.get(key)), used), body);
  const first = table.querySelector("td.s");
  if (first) first.tabIndex = 0;
  table.addEventListener("click", (event) => {
    const square = event.target.closest("td.s");
    if (square) openRow(ROWS[square.dataset.row]);
  });
  table.addEventListener("keydown", moveInGrid);
  return el("div", { class: "matrix" }, table);
}

function columnKey(row, used) {
  return used.map((level) => row[level]).join("\n");
}

function columnOf(row, used, columns) {
  const key = columnKey(row, used);
  if (!columns.has(key)) columns.set(key, used.map((level) => row[level]));
}

// Make a head of one line a level; equal neighbours share a cell, the last level stands upright.
function makeHead(columns, used) {
  const sorter = el("button", { type: "button" }, state.sort === "name" ? "testcase, by name" : "testcase, worst first");
  sorter.addEventListener("click", () => { state.sort = state.sort === "name" ? "" : "name"; show(); });
  const head = el("thead");
  used.forEach((level, depth) => {
    const line = el("tr");
    if (!depth) line.append(el("th", { class: "corner", rowspan: used.length, scope: "col" }, sorter));
    const last = depth === used.length - 1;
    for (let n = 0; n < columns.length;) {
      let width = 1;
      const same = (k) => columns[k].slice(0, depth + 1).join("\n") === columns[n].slice(0, depth + 1).join("\n");
      while (!last && n + width < columns.length && same(n + width)) width += 1;
      const text = columns[n][depth] || "-";
      line.append(el("th", { scope: width > 1 ? "colgroup" : "col", colspan: width, class: last ? "v" : null, title: `${level} ${text}` }, el("span", {}, text)));
      n += width;
    }
    head.append(line);
  });
  return head;
}

function makeLine(name, squares, order) {
  const line = el("tr", {}, el("th", { scope: "row", title: name }, name));
  for (const key of order) {
    const row = squares.get(key);
    if (!row) {
      line.append(document.createElement("td"));
      continue;
    }
    const square = document.createElement("td");
    square.className = `s ${row.standing}`;
    square.tabIndex = -1;
    square.dataset.row = row.index;
    square.title = says(row);
    square.setAttribute("aria-label", says(row));
    square.textContent = STANDINGS[row.standing][0];
    line.append(square);
  }
  return line;
}

// Move the focus by arrows, Home and End; one square of the grid is in the tab order.
function moveInGrid(event) {
  const square = event.target.closest("td.s");
  if (!square) return;
  const line = square.parentElement;
  const squares = [...line.querySelectorAll("td.s")];
  const beside = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const below = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  let next = null;
  if (beside) next = squares[squares.indexOf(square) + beside];
  else if (event.key === "Home") next = squares[0];
  else if (event.key === "End") next = squares[squares.length - 1];
  else if (below) {
    for (let other = line[below]; other && !next; other = other[below]) {
      next = other.cells[square.cellIndex];
      if (next && !next.classList.contains("s")) next = null;
    }
  } else if (event.key === "Enter" || event.key === " ") openRow(ROWS[square.dataset.row]);
  else return;
  event.preventDefault();
  if (next) {
    square.closest("table").querySelectorAll("td.s[tabindex='0']").forEach((one) => { one.tabIndex = -1; });
    next.tabIndex = 0;
    next.focus();
  }
}
