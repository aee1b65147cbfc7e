// SPDX-License-Identifier: GPL-2.0
// A cell: why it ended so, what it showed, how to run it again, where its evidence is.

function makeCell(cell, open) {
  const verdict = el("span", { class: `verdict ${cell.verdict === "fail" && cell.known ? "known" : cell.verdict}` }, cell.verdict);
  const box = el("details", { class: "cell", open, "data-cell": cell.id },
    el("summary", {}, verdict, ` ${cell.kernel}${cell.repeat > 1 ? " #" + cell.repeat : ""}`,
      el("span", { class: "where" }, ` ${cell.outcome}${cell.expected ? "" : ", not expected"}, ${cell.seconds.toFixed(1)} s`),
      cell.reason ? `: ${cell.reason}` : ""));
  const fillIt = () => { if (box.open && !box.dataset.full) { box.dataset.full = "1"; box.append(...cellParts(cell)); } };
  box.addEventListener("toggle", fillIt);
  fillIt();
  return box;
}

function cellParts(cell) {
  const parts = [];
  if (cell.known) parts.push(el("p", {}, el("b", {}, "known: "), cell.known));
  const details = cell.details;
  if (!details) {
    parts.push(el("p", {}, "The details of this cell are not on this page, which has no room for them: they are in results.json and in the cell's folder."));
  } else {
    parts.push(...splatParts(details.splats || []));
    parts.push(...resultParts("The lab's findings", details.findings || []));
    parts.push(...resultParts("Subtests", details.subtests || []));
    parts.push(...tableParts("Costs, guest instructions", ["subtest", "operation", "instructions"],
      (details.costs || []).map(([subtest, name, count]) => [T(subtest), T(name), number(count)]), true));
    if (details.memory) {
      parts.push(el("h3", {}, "Memory"), el("p", {}, T(details.memory[0])));
      if (T(details.memory[1])) parts.push(el("pre", { tabindex: 0 }, T(details.memory[1])));
    }
    if (details.cut) parts.push(el("p", {}, "There is more than this page shows: see the cell's evidence."));
    parts.push(...tableParts(plural(cell.counters.length, "counter") + " moved", ["counter", "before", "after", "change"],
      cell.counters.map(([name, before, after]) => [T(name), shownCount(before), shownCount(after), change(before, after)]), true));
    parts.push(...tableParts("Settings as read back", ["file", "value"], (details.settings || []).map(([path, value]) => [T(path), T(value)])));
  }
  const instructions = cell.instructions === null ? "" : `, ${number(cell.instructions)} guest instructions`;
  parts.push(el("h3", {}, "Again"), el("pre", { tabindex: 0 }, cell.again || `sh cells/${cell.id}/reproduce.sh`),
    el("p", { class: "meta" }, `${cell.seconds.toFixed(3)} s of host time${instructions}`));
  parts.push(el("p", { class: "evidence" }, cell.files.length
    ? cell.files.map((file) => fileLink(`cells/${cell.id}/${file}`, file))
    : "The cell's evidence is not beside this page."));
  return parts;
}

const shownCount = (value) => (value === null ? "-" : number(value));
const change = (before, after) => (before === null || after === null ? "" : (after > before ? "+" : "") + number(after - before));

function splatParts(splats) {
  if (!splats.length) return [];
  return [el("h3", {}, plural(splats.length, "splat")), ...splats.map((splat, n) => {
    const notes = [T(splat.kind), splat.severity, `console line ${splat.line}`, ...splat.notes.map(T)].join(", ");
    return el("details", { open: n === 0 },
      el("summary", {}, el("b", {}, T(splat.title)), el("span", { class: "where" }, ` ${notes}`)),
      splat.sources.length ? el("table", { class: "stat" }, splat.sources.map(([at, lines]) => el("tr", {}, el("td", {}, el("code", {}, T(at))), el("td", {}, el("code", {}, T(lines)))))) : null,
      el("pre", { tabindex: 0 }, T(splat.text)));
  })];
}

// Show what did not pass with its text, and what passed folded.
function resultParts(title, results) {
  if (!results.length) return [];
  const rest = results.filter((one) => one[1] === "pass");
  const bad = results.filter((one) => one[1] !== "pass");
  const parts = [el("h3", {}, `${title}: ${bad.length ? `${bad.length} of ${results.length} did not pass` : `${results.length} passed`}`)];
  for (const [name, verdict, text] of bad) {
    parts.push(el("p", {}, el("span", { class: `verdict ${verdict}` }, verdict), ` ${T(name)}`));
    if (T(text)) parts.push(el("pre", { tabindex: 0 }, T(text)));
  }
  if (rest.length) {
    parts.push(el("details", {}, el("summary", {}, `${rest.length} passed`),
      rest.map(([name, , text]) => [el("p", {}, T(name)), T(text) ? el("pre", { tabindex: 0 }, T(text)) : null])));
  }
  return parts;
}

function tableParts(title, heads, lines, numbers) {
  if (!lines.length) return [];
  const text = numbers && heads.length === 3 ? 2 : 1;
  const kind = (n) => (numbers && n >= text ? "n" : null);
  return [el("details", {}, el("summary", {}, title), el("table", { class: "stat" },
    el("thead", {}, el("tr", {}, heads.map((head, n) => el("th", { scope: "col", class: kind(n) }, head)))),
    el("tbody", {}, lines.map((line) => el("tr", {}, line.map((value, n) => el("td", { class: kind(n) }, value)))))))];
}
