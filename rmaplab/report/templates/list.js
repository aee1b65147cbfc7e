// SPDX-License-Identifier: GPL-2.0
// The rows as a table that can be sorted, a part at a time.

const PART = 300;

function listColumns() {
  const all = [["testcase", (row) => row.name], ["kernel", (row) => row.kernel], ["guest", (row) => row.place], ["settings", (row) => row.settings]];
  const found = all.filter(([, get]) => ROWS.some(get));
  if (COMPARED.length) found.push([COMPARED[0], (row) => row.base], [COMPARED[1], (row) => row.patched]);
  found.push([COMPARED.length ? "change" : "standing", (row) => row.what], ["why", (row) => row.why]);
  return found;
}

// Return the rows in the order that the state asks for: "name" or "-name" of a column.
function sorted(rows) {
  const down = state.sort.startsWith("-");
  const column = listColumns().find(([title]) => title === state.sort.replace(/^-/, ""));
  if (!column || state.sort === "name") return rows;
  const get = column[1];
  const compare = (a, b) => (get(a) < get(b) ? -1 : get(a) > get(b) ? 1 : a.index - b.index);
  return [...rows].sort((a, b) => (down ? compare(b, a) : compare(a, b)));
}

function makeList(rows, most = PART) {
  const columns = listColumns();
  const heads = columns.map(([title]) => {
    const now = state.sort === title ? "ascending" : state.sort === "-" + title ? "descending" : "none";
    const mark = { ascending: " \u2191", descending: " \u2193", none: "" }[now];
    const button = el("button", { type: "button" }, title + mark);
    button.addEventListener("click", () => {
      state.sort = { none: title, ascending: "-" + title, descending: "" }[now];
      show();
    });
    return el("th", { scope: "col", "aria-sort": now }, button);
  });
  const body = el("tbody");
  const table = el("table", {}, el("thead", {}, el("tr", {}, heads)), body);
  const box = el("div", {}, table);
  const order = sorted(rows);
  addLines(body, order.slice(0, most), columns);
  if (order.length > most) {
    const more = el("button", { type: "button" }, `show ${number(order.length - most)} more`);
    more.addEventListener("click", () => { addLines(body, order.slice(most), columns); more.remove(); });
    box.append(more);
  }
  body.addEventListener("click", (event) => {
    const line = event.target.closest("tr");
    if (!line || event.target.closest("a")) return;
    openRow(ROWS[line.dataset.row]);
  });
  return box;
}

function addLines(body, rows, columns) {
  for (const row of rows) {
    const line = el("tr", { class: row.standing, "data-row": row.index });
    columns.forEach(([title, get], n) => {
      if (!n) line.append(el("td", {}, el("a", { href: rowAddress(row) }, row.name)));
      else if (title === "why") line.append(el("td", { class: "why" }, row.why));
      else if (n === columns.length - 2) line.append(el("td", { class: "w" }, mark(row.standing), el("b", {}, row.what)));
      else line.append(el("td", { class: "w" }, get(row)));
    });
    body.append(line);
  }
}

function mark(standing) {
  return el("span", { class: `mark ${standing}`, "aria-hidden": "true" }, STANDINGS[standing][0]);
}

function rowAddress(row) {
  return "#" + new URLSearchParams({ row: row.key });
}
