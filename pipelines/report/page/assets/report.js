// The model's page: which target is shown, and its drawings and table.
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const built = page.targets.filter((target) => target.is_built);
  built.forEach((target, index) => (target.index = index));
  const by = (id) => document.getElementById(id);
  let chosen = built.find((target) => !target.is_baseline) ?? built[0];
  let file = null;
  const overlaid = new Set(built.filter((target) => !target.is_baseline).slice(0, 6));

  function button(parent, text, act) {
    const made = parent.appendChild(document.createElement("button"));
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", act);
    return made;
  }

  function overlay() {
    const place = by("overlay");
    place.replaceChildren();
    for (const target of built) {
      const made = button(place, target.name, () => {
        if (!overlaid.delete(target)) overlaid.add(target);
        overlay();
        charts.errors(by("error-chart"), shown(), page.order);
      });
      made.setAttribute("aria-pressed", overlaid.has(target));
      const dot = document.createElement("i");
      dot.style.background = charts.colour(target.index);
      made.prepend(dot);
    }
  }

  const shown = () => built.filter((target) => overlaid.has(target));

  function picker() {
    const place = by("picker");
    place.hidden = built.length < 2;
    place.replaceChildren();
    const label = place.appendChild(document.createElement("span"));
    label.className = "label";
    label.textContent = "Target";
    for (const target of built) {
      const made = button(place, target.name, () => choose(target));
      made.setAttribute("role", "radio");
      made.setAttribute("aria-checked", target === chosen);
    }
  }

  function choose(target) {
    chosen = target;
    file = Object.keys(target.ledgers)[0];
    picker();
    for (const place of document.querySelectorAll("[data-target]")) place.textContent = target.name;
    for (const place of document.querySelectorAll(".of-target")) place.hidden = place.dataset.of !== target.name;
    files();
    table();
    draw();
  }

  function files() {
    const place = by("ledger-files");
    place.replaceChildren();
    const names = Object.keys(chosen.ledgers);
    place.hidden = names.length < 2;
    for (const name of names)
      button(place, name, () => { file = name; files(); draw(); }).setAttribute("aria-pressed", name === file);
  }

  function draw() {
    const ledger = chosen.ledgers[file];
    charts.cycles(by("cycles-chart"), chosen);
    charts.bytes(by("bytes-chart"), ledger);
    charts.scatter(by("scatter-chart"), chosen, ledger);
    charts.treemap(by("treemap"), by("treemap-legend"), ledger);
  }

  const COLUMNS = [
    ["#", "id", true], ["Operator", "op", false], ["Tensor", "tensor", false], ["Type", "dtype", false], ["On", "processor", false],
    ["Cycles", "cycles", true], ["Constants", "bytes", true], ["Entire", "entire", true], ["Single", "single", true],
  ];

  function table() {
    const old = by("layer-table");
    const made = old.cloneNode(false);
    const head = made.createTHead().insertRow();
    for (const [title, , isNumber] of COLUMNS) {
      const cell = head.appendChild(document.createElement("th"));
      cell.textContent = title;
      if (isNumber) cell.className = "n";
    }
    const body = made.createTBody();
    const most = Math.max(1, ...chosen.layers.cycles.map((value) => value ?? 0));
    chosen.layers.op.forEach((_, i) => row(body, i, most));
    old.replaceWith(made);
    tables.sortable(made);
    tables.filter(made, by("filter"), by("shown"));
  }

  function row(body, i, most) {
    const line = body.insertRow();
    for (const [, key, isNumber] of COLUMNS) {
      const held = chosen.layers[key][i];
      const cell = line.insertCell();
      if (isNumber) cell.className = "n";
      if (key === "tensor") {
        cell.className = "name";
        cell.textContent = held ?? chosen.layers.name[i];
        cell.title = chosen.layers.name[i];
      } else if (key === "entire" || key === "single") {
        const isLost = held === null && !chosen.layers.is_finite[i];
        cell.textContent = isLost ? "NaN" : held === null ? "–" : held.toFixed(6);
        cell.dataset.value = isLost ? -2 : held ?? "";
        if (isLost || held < 0.99 && held !== null) cell.classList.add("worse");
      } else {
        cell.dataset.value = held ?? "";
        cell.textContent = held === null ? "–" : key === "bytes" ? charts.quantity(held) : key === "cycles" ? held.toLocaleString("en") : held;
        if (key === "cycles" && held > 0) {
          const bar = cell.appendChild(document.createElement("span"));
          bar.className = "bar";
          bar.style.width = `${(100 * held) / most}%`;
        }
      }
    }
  }

  function graphs() {
    for (const place of document.querySelectorAll(".graph")) {
      const region = page.simplify.graph.regions[place.dataset.region];
      charts.graph(place, region[place.dataset.side], place.dataset.side === "before" ? "gone" : "come");
    }
  }

  function all() {
    if (built.length) {
      charts.errors(by("error-chart"), shown(), page.order);
      choose(chosen);
    }
    graphs();
    document.documentElement.dataset.drawn = "yes";
  }

  if (built.length) {
    overlay();
    by("filter").addEventListener("input", () => tables.filter(by("layer-table"), by("filter"), by("shown")));
  }
  requestAnimationFrame(() => setTimeout(all));
  let seen = innerWidth, waits;
  addEventListener("resize", () => {
    if (innerWidth === seen) return;
    seen = innerWidth;
    clearTimeout(waits);
    waits = setTimeout(() => { if (built.length) { charts.errors(by("error-chart"), shown(), page.order); draw(); } }, 150);
  });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
})();
