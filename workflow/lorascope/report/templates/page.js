// The page without this script is complete: it adds charts that answer, filters and sorting.
"use strict";

const tables = expand(JSON.parse(document.getElementById("chart-data").textContent));
const specifications = JSON.parse(document.getElementById("chart-specifications").textContent);
const KEYS = ["layer_set", "representation", "probe", "gate"];
// Vega writes errors to the console, and no warnings of charts whose every row is filtered away.
const ERRORS = 1;
const views = new Map();

/** Columns → rows. */
function expand(columns) {
  return Object.fromEntries(Object.entries(columns).map(([name, table]) => {
    const fields = Object.keys(table);
    const count = fields.length ? table[fields[0]].length : 0;
    const rows = Array.from({ length: count }, (_, i) => Object.fromEntries(fields.map((field) => [field, table[field][i]])));
    return [name, rows];
  }));
}

// charts

/** Vega's look in the colours of the page's present theme. */
function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const [ink, muted, grid] = ["--ink", "--muted", "--grid"].map(colour);
  const category = [0, 1, 2, 3, 4, 5].map((index) => colour(`--series-${index}`));
  const text = { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
  return {
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: { ...text, gridColor: grid, domainColor: muted, tickColor: muted },
    legend: { ...text, symbolOpacity: 1, symbolStrokeWidth: 2, symbolBaseFillColor: muted, symbolBaseStrokeColor: muted },
    text: { color: ink },
    range: { category, heatmap: [colour("--paper"), colour("--heat")] },
    style: {
      reference: { color: muted, stroke: muted, strokeDash: [4, 3], strokeWidth: 1 },
      failure: { color: colour("--warn-ink"), fill: colour("--warn-ink"), fontStyle: "italic", fontSize: 11 },
    },
  };
}

async function draw(place) {
  const name = place.dataset.chart;
  const options = {
    actions: false,
    renderer: "svg",
    config: theme(),
    tooltip: { theme: "custom" },
    logLevel: ERRORS,
  };
  const canvas = document.createElement("div");
  canvas.className = "chart";
  const fallback = place.querySelector("svg");
  // Vega measures the place that it is given, so it must be on the page before it is drawn.
  place.append(canvas);
  try {
    const { view } = await vegaEmbed(canvas, { ...specifications[name], datasets: { ...specifications[name].datasets, ...shown() } }, options);
    views.get(name)?.finalize();
    views.set(name, view);
    place.replaceChildren(canvas);
    place.dataset.drawn = "true";
  } catch (error) {
    canvas.remove();
    if (fallback) place.replaceChildren(fallback);
    throw error;
  }
}

async function drawAll() {
  await Promise.all([...document.querySelectorAll("[data-chart]")].map(draw));
  document.documentElement.dataset.charts = "drawn";
}

// filters

const filters = document.getElementById("filters");

/** The values that are ticked, of every key that can be filtered. */
function ticked() {
  const chosen = {};
  for (const key of KEYS) {
    const boxes = [...filters.querySelectorAll(`input[name="${key}"]`)];
    if (boxes.length) chosen[key] = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  }
  return chosen;
}

function shown() {
  const chosen = Object.entries(ticked());
  const keep = (row) => chosen.every(([key, values]) => row[key] == null || values.has(row[key]));
  return Object.fromEntries(Object.entries(tables).map(([name, rows]) => [name, rows.filter(keep)]));
}

async function filter() {
  const chosen = Object.entries(ticked());
  for (const [key, values] of chosen) {
    for (const element of document.querySelectorAll(`main [data-${key}]`)) {
      element.classList.toggle(`without-${key}`, !values.has(element.dataset[key]));
    }
  }
  const rows = shown();
  await Promise.all([...views].map(([name, view]) => refill(name, view, rows)));
  const cells = [...document.querySelectorAll("#every-cell tbody tr")];
  const visible = cells.filter((cell) => getComputedStyle(cell).display !== "none").length;
  document.getElementById("filtered").textContent = `${visible} of ${cells.length} cells shown`;
}

/** A chart without any row has no size: words take its place. */
function refill(name, view, rows) {
  const used = [...sources(specifications[name])];
  const empty = used.every((table) => rows[table].length === 0);
  document.querySelector(`[data-chart="${name}"]`).classList.toggle("empty", empty);
  if (empty) return null;
  for (const table of used) view.data(table, rows[table]);
  return view.resize().runAsync();
}

/** Names of the page's tables that a specification draws. */
function sources(specification) {
  const parts = [specification, ...(specification.layer ?? [])];
  return new Set(parts.map((part) => part.data?.name).filter((name) => name in tables));
}

// sorting

function sortable(table) {
  for (const header of table.querySelectorAll("thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sort(table, header));
  }
}

function sort(table, header) {
  const column = [...header.parentNode.children].indexOf(header);
  const words = header.classList.contains("words") || column === 0;
  const first = words ? "ascending" : "descending";
  const before = header.getAttribute("aria-sort");
  const order = before ? (before === "ascending" ? "descending" : "ascending") : first;
  for (const other of header.parentNode.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, value: value(row.cells[column]), last: row.dataset.last === "true" }));
  rows.sort((a, b) => a.last - b.last || compare(a.value, b.value, sign));
  body.append(...rows.map(({ row }) => row));
}

function value(cell) {
  const written = cell?.dataset.value ?? cell?.textContent.trim() ?? "";
  const number = Number(written);
  return written === "" ? null : Number.isNaN(number) ? written : number;
}

/** What has no value comes last, whatever the order. */
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
}

// start

for (const table of document.querySelectorAll("table.sortable")) sortable(table);
filters.hidden = false;
filters.addEventListener("change", filter);
filters.addEventListener("reset", () => setTimeout(filter));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
drawAll();
