// SPDX-License-Identifier: GPL-2.0
// Read the page's data: rows and cells with their texts instead of numbers.

const DATA = JSON.parse($("data").textContent);
const T = (n) => DATA.texts[n];
const COMPARED = DATA.compared.map(T);

// Each standing: its mark in the grid, and what the legend says. The order is the gravity.
const STANDINGS = {
  bad: ["\u2717", COMPARED.length ? "worse" : "not as expected"],
  error: ["!", "no verdict"],
  quarantined: ["?", "in quarantine"],
  fixed: ["+", "fixed"],
  known: ["~", COMPARED.length ? "fails on both" : "known failure"],
  passed: ["\u2713", "passed"],
  skipped: ["\u2013", "skipped"],
};
const GRAVITY = Object.keys(STANDINGS);

const CELLS = DATA.cells.map((c) => ({
  id: T(c[0]), kernel: T(c[1]), repeat: c[2], verdict: c[3], outcome: c[4], expected: c[5],
  reason: T(c[6]), known: T(c[7]), seconds: c[8], instructions: c[9], files: DATA.files[c[10]].map(T),
  again: c[11].map(T).filter(Boolean).join(" --filter "),
  details: c[12] && DATA.blocks[c[12][0]], counters: c[12] ? DATA.blocks[c[12][1]] : [],
}));

const ROWS = DATA.rows.map((r, index) => {
  const row = { ...r, index };
  for (const name of ["name", "kernel", "guest", "device", "settings", "why", "known", "base", "patched", "quarantine"]) {
    row[name] = r[name] === undefined ? "" : T(r[name]);
  }
  row.place = row.device ? `${row.guest}.${row.device}` : row.guest;
  row.where = [row.kernel, row.place, row.settings].filter(Boolean).join(" ");
  row.key = `${row.name}@${row.where}`;
  row.failures = (r.failures || []).map(T);
  row.cells = r.cells.map((n) => CELLS[n]);
  return row;
});

const BY_KEY = new Map(ROWS.map((row) => [row.key, row]));

function rowOfCell(id) {
  return ROWS.find((row) => row.cells.some((cell) => cell.id === id));
}

// Return all that a search looks at: names, reasons, ids, titles of splats.
function haystack(row) {
  if (row.hay === undefined) {
    const parts = [row.name, row.where, row.what, row.why, row.known, row.base, row.patched, row.quarantine, ...row.failures];
    for (const cell of row.cells) {
      parts.push(cell.id, cell.reason, cell.outcome);
      for (const splat of (cell.details && cell.details.splats) || []) parts.push(T(splat.title));
    }
    row.hay = parts.join("\n").toLowerCase();
  }
  return row.hay;
}

function says(row) {
  const sides = COMPARED.length && row.base ? `${row.base} \u2192 ${row.patched}, ` : "";
  return `${row.name}, ${row.where}: ${sides}${row.what}${row.why ? ": " + row.why : ""}`;
}
