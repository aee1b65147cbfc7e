// SPDX-License-Identifier: GPL-2.0
// Put the page together; what it shows follows from the address.

function show() {
  const rows = chosen();
  showControls(rows);
  const place = $(state.view);
  for (const view of ["grid", "list"]) $(view).hidden = view !== state.view;
  if (rows.length) place.replaceChildren(state.view === "grid" ? makeGrid(rows) : makeList(rows));
  else place.replaceChildren(el("p", {}, ROWS.length ? "No row matches the filters." : "No cell was run."));
  writeAddress();
}

function followAddress() {
  readAddress();
  show();
  const row = state.cell ? rowOfCell(state.cell) : BY_KEY.get(state.row);
  if (row) openRow(row, state.cell);
  else {
    if (state.row || state.cell) $("shown").textContent += `; this run has no ${state.cell || state.row}`;
    if ($("drawer").open) $("drawer").close();
  }
}

function colourDiff(pre) {
  if (pre.dataset.done) return;
  pre.dataset.done = "1";
  const kinds = [[/^(diff |--- |\+\+\+ )/, "f"], [/^@@/, "h"], [/^\+/, "a"], [/^-/, "r"]];
  const lines = pre.textContent.split("\n").map((line) => {
    const kind = kinds.find(([begin]) => begin.test(line));
    return kind ? el("span", { class: kind[1] }, line + "\n") : line + "\n";
  });
  pre.replaceChildren(...lines);
}

function listen() {
  let soon = 0;
  $("q").addEventListener("input", () => {
    cancelAnimationFrame(soon);
    soon = requestAnimationFrame(() => { state.q = $("q").value; show(); });
  });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("as-grid").addEventListener("click", () => { state.view = "grid"; state.sort = ""; show(); });
  $("as-list").addEventListener("click", () => { state.view = "list"; state.sort = ""; show(); });
  $("reset").addEventListener("click", () => {
    for (const name of ["q", "sort", ...AXES]) state[name] = "";
    state.show.clear();
    show();
  });
  $("drawer").addEventListener("close", closed);
  $("drawer").addEventListener("click", (event) => { if (event.target === $("drawer")) $("drawer").close(); });
  addEventListener("hashchange", () => { if (address() !== location.hash.slice(1)) followAddress(); });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const row = state.cell ? rowOfCell(state.cell) : BY_KEY.get(state.row);
    if (event.key === "/" && !row) { $("q").focus(); event.preventDefault(); }
    if (row && $("drawer").open && (event.key === "n" || event.key === "p")) step(row, event.key === "n" ? 1 : -1);
  });
  document.addEventListener("toggle", (event) => {
    if (event.target.open) event.target.querySelectorAll("pre.diff").forEach(colourDiff);
  }, true);
  // On paper there is the grid, and the list of what did not pass.
  addEventListener("beforeprint", () => {
    if (state.view === "grid") $("list").replaceChildren(makeList(chosen().filter((row) => row.standing !== "passed"), 1000));
  });
}

makeSelects();
makeLegend();
listen();
followAddress();
makePlots();
$("app").hidden = false;
$("plain").remove();
document.documentElement.dataset.ready = "1";
