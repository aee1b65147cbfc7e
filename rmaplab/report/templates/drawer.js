// SPDX-License-Identifier: GPL-2.0
// A row with its cells, in a dialog at the side.

let opener = null;

function openRow(row, cell) {
  const drawer = $("drawer");
  if (!drawer.open) opener = document.activeElement;
  state.row = cell ? "" : row.key;
  state.cell = cell || "";
  writeAddress();
  drawer.replaceChildren(...rowParts(row, cell));
  if (!drawer.open) drawer.showModal();
  drawer.scrollTop = 0;
  $("drawer-title").focus({ preventScroll: true });
  const wanted = cell && [...drawer.querySelectorAll(".cell")].find((one) => one.dataset.cell === cell);
  if (wanted) wanted.scrollIntoView();
}

function closed() {
  state.row = state.cell = "";
  writeAddress();
  if (opener && opener.isConnected) opener.focus();
}

function step(row, by) {
  const rows = state.view === "list" ? sorted(chosen()) : chosen();
  const next = rows[rows.indexOf(row) + by];
  if (next) openRow(next);
}

function rowParts(row, cell) {
  const button = (text, title, act) => {
    const made = el("button", { type: "button", title }, text);
    made.addEventListener("click", act);
    return made;
  };
  const head = el("div", { class: "bar" }, el("h2", { id: "drawer-title", tabindex: -1 }, row.name, el("span", { class: "where" }, ` ${row.where}`)),
    button("previous", "previous row (p)", () => step(row, -1)), button("next", "next row (n)", () => step(row, 1)),
    button("close", "close (Esc)", () => $("drawer").close()));
  const parts = [head, el("p", {}, mark(row.standing), COMPARED.length && row.base ? `${COMPARED[0]} ${row.base} \u2192 ${COMPARED[1]} ${row.patched}: ` : "",
    el("b", {}, row.what), row.why ? `: ${row.why}` : "")];
  if (row.known) parts.push(el("p", {}, el("b", {}, "known failure: "), row.known));
  if (row.quarantine && !row.why.includes(row.quarantine)) parts.push(el("p", {}, row.quarantine));
  if (row.failures.length) parts.push(el("p", { class: "meta" }, "failure ", row.failures.map((name) => el("code", {}, `${name} `))));
  parts.push(...numberParts(row));
  parts.push(...historyParts(row));
  if (!row.cells.length) parts.push(el("p", {}, "No cell of this row was run."));
  const grave = row.cells.find((one) => one.verdict !== "pass" && one.verdict !== "skip") || row.cells[row.cells.length - 1];
  for (const one of row.cells) parts.push(makeCell(one, cell ? one.id === cell : one === grave || row.cells.length <= 2));
  return parts;
}

// Show the numbers of a row that differ between the kernels.
function numberParts(row) {
  const parts = [];
  if (row.values) {
    parts.push(el("h3", {}, "Checked values that differ"), el("ul", {}, row.values.map(([phrase, direction, subtest]) =>
      el("li", {}, T(subtest) ? `${T(subtest)}: ` : "", T(phrase), " ", el("span", { class: direction === "worse" ? "removed" : "where" }, direction)))));
  }
  if (row.costs) parts.push(el("h3", {}, "Costs"), el("ul", {}, row.costs.map(([phrase, , differs]) => el("li", {}, T(phrase), differs ? "" : el("span", { class: "where" }, " within what repeats explain")))));
  if (row.counters) {
    const range = (numbers) => { const low = Math.min(...numbers), high = Math.max(...numbers); return low === high ? number(low) : `${number(low)} to ${number(high)}`; };
    parts.push(el("h3", {}, "Counters whose change differs"), el("table", { class: "stat" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "counter"), COMPARED.map((name) => el("th", { scope: "col", class: "n" }, name)))),
      el("tbody", {}, row.counters.map(([name, base, patched]) => el("tr", {}, el("td", {}, T(name)), el("td", { class: "n" }, range(base)), el("td", { class: "n" }, range(patched)))))));
  }
  return parts;
}
