// SPDX-License-Identifier: GPL-2.0
// Plots: a table each, whose last column is a bar, so that the numbers can be read without it.

const WIDE = 260;
const MOST_BARS = 15;

function makePlots() {
  const parts = [...stagePlot(), ...costPlot(), ...counterPlot(), ...durationPlot(), ...historyPlot()];
  $("plots").append(...parts);
  $("plots").hidden = !parts.length;
}

function bar(from, to, kind) {
  const left = Math.min(from, to), width = Math.max(Math.abs(to - from), 1);
  return svg("svg", { width: WIDE, height: 12, viewBox: `0 0 ${WIDE} 12`, "aria-hidden": "true" },
    svg("line", { x1: 0, y1: 11.5, x2: WIDE, y2: 11.5, class: "axis" }),
    svg("rect", { x: left.toFixed(1), y: 1, width: width.toFixed(1), height: 10, class: kind }));
}

function plot(title, note, heads, lines) {
  if (!lines.length) return [];
  return [el("h3", {}, title), note ? el("p", { class: "meta" }, note) : null, el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": title },
    el("table", { class: "plot" }, el("thead", {}, el("tr", {}, heads.map((head, n) => el("th", { scope: "col", class: n ? "n" : null }, head)), el("td", {}))),
      el("tbody", {}, lines.map((line) => el("tr", {}, line.slice(0, -1).map((value, n) => el("td", { class: n ? "n" : null }, value)), el("td", {}, line[line.length - 1]))))))].filter(Boolean);
}

function stagePlot() {
  const end = Math.max(0, ...DATA.stages.map((stage) => stage[2]));
  const lines = end ? DATA.stages.map(([name, from, to]) => [T(name), `${number(Math.round(to - from))} s`, bar(from * WIDE / end, to * WIDE / end, "bar-b")]) : [];
  return plot("Where the run's time went", "from the journal, in seconds; the pause before a resume counts to the part that it interrupted", ["part", "time"], lines);
}

function costPlot() {
  const all = ROWS.flatMap((row) => (row.costs || []).map((cost) => [row, ...cost]));
  const found = all.filter((one) => one[3]).sort((a, b) => Math.abs(b[2]) - Math.abs(a[2])).slice(0, MOST_BARS);
  const most = Math.max(1, ...found.map((one) => Math.abs(one[2])));
  const lines = found.map(([row, phrase, percent]) => [linkTo(row, `: ${T(phrase)}`), `${percent > 0 ? "+" : ""}${percent.toFixed(1)} %`,
    bar(WIDE / 2, WIDE / 2 + percent / most * WIDE / 2, percent > 0 ? "up" : "down")]);
  return plot("Guest instructions", `${number(all.length)} operations were measured on both kernels; the largest of those that differ`, ["operation", "change"], lines);
}

function counterPlot() {
  const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
  const groups = new Map();
  for (const row of ROWS) {
    for (const [name, base, patched] of row.counters || []) {
      const key = `${row.name}\n${name}`;
      const one = groups.get(key) || { row, name: T(name), base: 0, patched: 0, rows: 0 };
      one.base += mean(base); one.patched += mean(patched); one.rows += 1;
      groups.set(key, one);
    }
  }
  const moved = (one) => Math.abs(one.patched - one.base) / Math.max(1, Math.abs(one.base), Math.abs(one.patched));
  for (const one of groups.values()) { one.base /= one.rows; one.patched /= one.rows; }
  const found = [...groups.values()].sort((a, b) => b.rows - a.rows || moved(b) - moved(a)).slice(0, MOST_BARS);
  const lines = found.map((one) => {
    const most = Math.max(1, Math.abs(one.base), Math.abs(one.patched));
    const low = Math.min(0, one.base, one.patched) / most, scale = WIDE / (1 - low);
    const at = (value) => (value / most - low) * scale;
    return [linkTo(one.row, `: ${one.name}`), String(one.rows), about(one.base), about(one.patched),
      svg("svg", { width: WIDE, height: 14, viewBox: `0 0 ${WIDE} 14`, "aria-hidden": "true" }, rect(at(0), at(one.base), 1, "bar-a"), rect(at(0), at(one.patched), 8, "bar-b"))];
  });
  return plot("Counters that changed otherwise", `change over a cell, the mean of a testcase's rows where it differs: grey ${COMPARED[0]}, blue ${COMPARED[1]}`, ["testcase: counter", "rows", ...COMPARED], lines);
}

function about(value) {
  return Math.abs(value) < 100 ? String(Math.round(value * 10) / 10) : number(Math.round(value));
}

function rect(from, to, y, kind) {
  return svg("rect", { x: Math.min(from, to).toFixed(1), y, width: Math.max(1, Math.abs(to - from)).toFixed(1), height: 5, class: kind });
}

function durationPlot() {
  const longest = [...CELLS].sort((a, b) => b.seconds - a.seconds).slice(0, 10);
  const most = longest.length ? longest[0].seconds : 0;
  const lines = most > 0 ? longest.map((cell) => [el("a", { href: "#" + new URLSearchParams({ cell: cell.id }) }, cell.id), `${cell.seconds.toFixed(1)} s`, bar(0, cell.seconds * WIDE / most, "bar-b")]) : [];
  return plot("Cells that took longest", "host time: it says nothing about the kernel", ["cell", "time"], lines);
}

// Draw a bar for each run that the page knows: as high as the part that passed, none without a verdict.
function historyBars(points) {
  const step = Math.min(14, WIDE / Math.max(1, DATA.history.runs.length)), high = 22;
  const parts = points.flatMap(([run, passed, failed, other]) => {
    const trials = passed + failed, x = (run * step).toFixed(1), width = (step - 2).toFixed(1);
    const title = svg("title", {}, `${runName(run)}: ${runSays(passed, failed, other)}`);
    if (!trials) return [svg("circle", { cx: (run * step + step / 2 - 1).toFixed(1), cy: high - 3, r: 1.5, class: "axis" }, title)];
    const top = Math.max(1, high * passed / trials);
    return [svg("rect", { x, y: 0, width, height: high, class: failed ? "up" : "none" }, title),
      svg("rect", { x, y: (high - top).toFixed(1), width, height: top.toFixed(1), class: "bar-b" }, svg("title", {}, title.textContent))];
  });
  const wide = Math.max(step, DATA.history.runs.length * step);
  return svg("svg", { width: wide.toFixed(0), height: high + 1, viewBox: `0 0 ${wide.toFixed(0)} ${high + 1}`, "aria-hidden": "true" },
    svg("line", { x1: 0, y1: high + 0.5, x2: wide, y2: high + 0.5, class: "axis" }), ...parts);
}

const runName = (run) => T(DATA.history.runs[run]).replace("T", " ").replace(/\+00:00$/, " UTC");
const runSays = (passed, failed, other) => `${passed} of ${passed + failed} passed${other ? `, ${other} without a verdict` : ""}`;

// Count the runs that differ from themselves or from the one before.
function flips(points) {
  let count = 0, before = null;
  for (const [, passed, failed] of points) {
    if (!passed && !failed) continue;
    if ((passed && failed) || (before !== null && before !== failed > 0)) count += 1;
    before = failed > 0;
  }
  return count;
}

function historyPlot() {
  if (DATA.history.runs.length < 2) return [];
  const all = ROWS.flatMap((row) => (row.history || []).map(([kernel, points]) => ({ row, kernel: T(kernel), points, flips: flips(points) })));
  const found = all.filter((one) => one.flips).sort((a, b) => b.flips - a.flips).slice(0, MOST_BARS);
  const sum = (points, n) => points.reduce((total, point) => total + point[n], 0);
  const lines = found.map(({ row, kernel, points, flips: count }) =>
    [linkTo(row, ` on ${kernel}`), `${number(sum(points, 1))} of ${number(sum(points, 1) + sum(points, 2))}`, String(count), historyBars(points)]);
  const note = `the last ${plural(DATA.history.runs.length, "run")} of these rows, this one included; those whose result changed on the same kernel`;
  const parts = lines.length ? plot("Earlier runs", note, ["row", "passed", "flips"], lines)
    : [el("h3", {}, "Earlier runs"), el("p", { class: "meta" }, `In the last ${plural(DATA.history.runs.length, "run")} no row's result changed on the same kernel.`)];
  return T(DATA.history.alarms) ? [...parts, el("p", { class: "meta" }, T(DATA.history.alarms))] : parts;
}

// Show the earlier runs of a row, with the numbers for those who do not see the bars.
function historyParts(row) {
  const some = (row.history || []).filter(([, points]) => points.length > 1);
  if (!some.length) return [];
  return [el("h3", {}, "Earlier runs"), ...some.flatMap(([kernel, points]) => [
    el("p", { class: "plot" }, `${T(kernel)}: `, historyBars(points), flips(points) ? ` ${plural(flips(points), "flip")}` : ""),
    ...tableParts(`${plural(points.length, "run")} of ${T(kernel)} in numbers`, ["run", "result", "cost"], points.map(([run, passed, failed, other, cost]) =>
      [runName(run), runSays(passed, failed, other), cost === null ? "-" : about(cost)]), true)])];
}

function linkTo(row, rest) {
  return el("span", {}, el("a", { href: rowAddress(row) }, row.name), rest);
}
