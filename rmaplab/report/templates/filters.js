// SPDX-License-Identifier: GPL-2.0
// What is shown: kept in the part of the address behind #, so that a link opens the same view.

const AXES = ["kernel", "guest", "device", "settings", "what"];
const isNarrow = matchMedia("(max-width: 44rem)");
const state = { q: "", show: new Set(), view: "", sort: "", row: "", cell: "" };
for (const axis of AXES) state[axis] = "";

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const name of ["q", "view", "sort", "row", "cell", ...AXES]) state[name] = words.get(name) || "";
  const show = (words.get("show") || "").split(",").filter((one) => one in STANDINGS);
  state.show = new Set(show);
  if (state.view !== "grid" && state.view !== "list") state.view = isNarrow.matches ? "list" : "grid";
}

function address() {
  const words = new URLSearchParams();
  for (const name of ["q", "sort", "row", "cell", ...AXES]) if (state[name]) words.set(name, state[name]);
  if (state.show.size) words.set("show", GRAVITY.filter((one) => state.show.has(one)).join(","));
  if (state.view !== (isNarrow.matches ? "list" : "grid")) words.set("view", state.view);
  return words.toString();
}

function writeAddress() {
  const now = address();
  if (now !== location.hash.slice(1)) history.replaceState(null, "", now ? "#" + now : location.pathname + location.search);
}

// Return the rows that the filters let through; those of any standing if `any` is set.
function chosen(any) {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  return ROWS.filter((row) =>
    (any || !state.show.size || state.show.has(row.standing)) &&
    AXES.every((axis) => !state[axis] || row[axis] === state[axis]) &&
    words.every((word) => haystack(row).includes(word)));
}

function makeSelects() {
  const titles = { kernel: "kernels", guest: "guests", device: "devices", settings: "settings", what: COMPARED.length ? "changes" : "standings" };
  for (const axis of AXES) {
    const values = [...new Set(ROWS.map((row) => row[axis]).filter(Boolean))].sort();
    if (values.length < 2 || (axis === "what" && !COMPARED.length)) continue;
    const select = el("select", { id: `by-${axis}`, "aria-label": axis === "what" ? "change" : axis },
      el("option", { value: "" }, `all ${titles[axis]}`), values.map((one) => el("option", { value: one }, one)));
    select.addEventListener("change", () => { state[axis] = select.value; show(); });
    $("selects").append(select);
  }
}

function makeLegend() {
  for (const [name, [mark, text]] of Object.entries(STANDINGS)) {
    if (!ROWS.some((row) => row.standing === name)) continue;
    const button = el("button", { type: "button", "data-standing": name, "aria-pressed": "false" },
      el("span", { class: `mark ${name}`, "aria-hidden": "true" }, mark), `${text} `, el("span", { class: "count" }));
    button.addEventListener("click", () => {
      if (!state.show.delete(name)) state.show.add(name);
      show();
    });
    $("legend").append(button);
  }
}

// Bring the controls to what the state says.
function showControls(rows) {
  if ($("q").value !== state.q) $("q").value = state.q;
  for (const axis of AXES) if ($(`by-${axis}`)) $(`by-${axis}`).value = state[axis];
  const counts = {};
  for (const row of chosen(true)) counts[row.standing] = (counts[row.standing] || 0) + 1;
  for (const button of $("legend").children) {
    const name = button.dataset.standing;
    button.setAttribute("aria-pressed", String(!state.show.size || state.show.has(name)));
    button.querySelector(".count").textContent = number(counts[name] || 0);
  }
  $("as-grid").setAttribute("aria-pressed", String(state.view === "grid"));
  $("as-list").setAttribute("aria-pressed", String(state.view === "list"));
  const noun = COMPARED.length ? "row" : "place";
  const all = ROWS.length === rows.length;
  $("shown").textContent = (all ? plural(rows.length, noun) : `${number(rows.length)} of ${plural(ROWS.length, noun)}`) +
    `, ${plural(rows.reduce((sum, row) => sum + row.cells.length, 0), "cell")}`;
}
