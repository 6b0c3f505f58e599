// Drawings of a page's data. All text of the network is set as text, never as markup.
"use strict";
const charts = (() => {
  const LEAST = 1e-7; // an error below it is rounding of the cosine itself
  const MOST_BARS = 24;
  const KINDS = {
    payload: "#0072b2", constants: "#0072b2", widening: "#56b4e9", channel_scales: "#009e73",
    zero_fill: "#d55e00", copies: "#e69f00", compiler_constant: "#cc79a7", alignment: "#c9b400",
    commands: "#6b7a8a", operators: "#6b7a8a", tasks: "#97a5b3", interface: "#97a5b3",
    metadata: "#b9c2cb", structure: "#b9c2cb", unexplained: "#b3261e",
  };
  const SYMBOLS = ["circle", "triangle", "square", "diamond", "star", "cross", "wye", "times"];
  const WORDS = { payload: "the network's own numbers", widening: "wider than asked for", channel_scales: "scale of each channel", zero_fill: "zeros that the network does not have", copies: "one number written many times", compiler_constant: "the compiler's own constants", alignment: "padding", commands: "register commands", tasks: "list of tasks", metadata: "names, shapes, tables", unexplained: "not explained" };

  const colour = (index) => `var(--c${index % 8})`;
  const symbol = (index) => SYMBOLS[index % SYMBOLS.length];
  const kindColour = (kind) => KINDS[kind] ?? "#b9c2cb";
  const lost = (cosine) => (cosine === null ? null : Math.max(LEAST, 1 - cosine));
  const width = (place) => Math.max(280, place.clientWidth);

  function quantity(size) {
    if (size < 1000) return `${size} B`;
    for (const [unit, factor] of [["GB", 1e9], ["MB", 1e6], ["KB", 1e3]])
      if (size >= 0.9995 * factor) return `${(size / factor).toFixed(size / factor < 99.95 ? 1 : 0)} ${unit}`;
    return `${size} B`;
  }

  function short(name, most = 34) {
    if (name === null) return "(no node)";
    return name.length <= most ? name : `…${name.slice(1 - most)}`;
  }

  function show(place, made, otherwise) {
    place.replaceChildren();
    if (made) place.append(made);
    else remark(place, otherwise);
  }

  const power = (value) => value.toExponential(0).replace("e-", "e−");
  const thousands = (value) => d3.format("~s")(value);

  function part(size, all) {
    return size / all < 0.0005 ? "< 0.1%" : d3.format(".1%")(size / all);
  }

  // targets: [{name, index, layers}]; order: tensors of the network.
  function errors(place, targets, order) {
    const at = new Map(order.map((tensor, i) => [tensor, i]));
    const points = [];
    for (const target of targets) {
      const { tensor, op, entire, single, name } = target.layers;
      tensor.forEach((one, i) => {
        if (one === null) return;
        for (const [kind, held] of [["entire", entire], ["single", single]])
          if (held[i] !== null)
            points.push({ x: at.get(one), y: lost(held[i]), kind, target: target.name, tensor: one, op: op[i], name: name[i], cosine: held[i] });
      });
    }
    if (!points.length) return show(place, null, "No layer was compared.");
    const places = new Map([...new Set(d3.sort(points, (point) => point.x).map((point) => point.x))].map((x, i) => [x, i]));
    for (const point of points) point.x = places.get(point.x);
    points.sort((a, b) => a.x - b.x);
    const narrow = width(place) < 560;
    const names = targets.map((target) => target.name);
    const made = Plot.plot({
      width: width(place), height: narrow ? 420 : 460, marginLeft: 56, marginRight: narrow ? 18 : 62,
      x: { label: "layers, in the network's order →", ticks: [], labelAnchor: "right" },
      y: { type: "log", label: null, grid: true, tickFormat: power, ticks: 5 },
      fy: { label: null, domain: ["entire", "single"], padding: 0.12 },
      color: { domain: names, range: targets.map((target) => colour(target.index)) },
      symbol: { domain: names, range: targets.map((target) => symbol(target.index)) },
      marks: [
        Plot.frame({ stroke: "var(--grid)" }),
        Plot.lineY(points, { x: "x", y: "y", fy: "kind", stroke: "target", strokeWidth: 1.2, strokeOpacity: 0.75, z: "target" }),
        Plot.dot(points, { x: "x", y: "y", fy: "kind", stroke: "target", symbol: "target", r: order.length > 150 ? 1.8 : 3, fill: "var(--card)" }),
        Plot.tip(points, Plot.pointer({ x: "x", y: "y", fy: "kind", fill: "var(--card)", stroke: "var(--line)",
          title: (d) => `${d.target}, ${d.kind}\n${short(d.tensor, 46)}\n${d.op}\n1 − cosine ${d.y.toPrecision(3)}\ncosine ${d.cosine.toFixed(6)}` })),
      ],
    });
    show(place, made);
    for (const said of alike(targets)) remark(place, said);
  }

  function remark(place, text) {
    const said = place.appendChild(document.createElement("p"));
    said.className = "empty";
    said.textContent = text;
  }

  // Targets whose points lie on one another, which nobody would see, whatever the order of their layers.
  function alike(targets) {
    const drawn = ({ tensor, entire, single }) => tensor.map((name, i) => JSON.stringify([name, entire[i], single[i]])).sort().join();
    const groups = d3.group(targets, (target) => drawn(target.layers));
    return [...groups.values()].filter((group) => group.length > 1).map((group) => `${group.map((target) => target.name).join(", ")}: the same errors, one drawn over the other`);
  }

  function cycles(place, target) {
    const { cycles: held, tensor, op, name, dtype, processor } = target.layers;
    const rows = held.map((value, i) => ({ value, name: tensor[i] ?? name[i], id: i, op: op[i], on: [processor[i], dtype[i]].filter(Boolean).join(" ") }))
      .filter((row) => row.value > 0);
    if (!rows.length) return show(place, null, "This backend tells no cycles.");
    const all = d3.sum(rows, (row) => row.value);
    bars(place, rows.map((row) => ({ ...row, parts: [[row.on || "layer", row.value]] })), {
      format: (value) => `${d3.format(",")(value)} (${part(value, all)})`, label: "cycles →", colours: null });
  }

  function bytes(place, ledger) {
    const rows = ledger.nodes.map(([name, op, value, kinds], id) => ({ name, op, value, id, parts: Object.entries(kinds).sort((a, b) => b[1] - a[1]) }));
    bars(place, rows, { format: (value) => `${quantity(value)} (${part(value, ledger.bytes)})`, label: "bytes →", colours: kindColour });
  }

  function bars(place, rows, { format, label, colours }) {
    const sorted = d3.sort(rows, (row) => -row.value);
    const shown = sorted.slice(0, MOST_BARS);
    const rest = sorted.slice(MOST_BARS);
    const parts = shown.flatMap((row, rank) => row.parts.map(([kind, value]) => ({ ...row, rank, kind, size: value })));
    const kinds = [...new Set(parts.map((part) => part.kind))];
    const wide = width(place);
    const longest = Math.floor((0.46 * wide) / 6.4);
    const labels = shown.map((row) => short(row.name, longest));
    const made = Plot.plot({
      width: wide, height: 22 * shown.length + 44, marginLeft: 12 + 6.4 * d3.max(labels, (label) => label.length), marginRight: 12, marginBottom: 32,
      x: { label, grid: true, ticks: 4, tickFormat: thousands },
      y: { label: null, domain: d3.range(shown.length), tickFormat: (rank) => labels[rank], tickSize: 0 },
      color: colours ? { domain: kinds, range: kinds.map(colours) } : { domain: kinds, range: kinds.map((_, i) => colour(i)), legend: kinds.length > 1 },
      marks: [
        Plot.barX(parts, { x: "size", y: "rank", fill: "kind", inset: 2.5 }),
        Plot.tip(shown, Plot.pointerY({ x: "value", y: (d) => shown.indexOf(d), fill: "var(--card)", stroke: "var(--line)",
          title: (d) => `${short(d.name, 46)}\n${d.op ?? ""} ${d.on ?? ""}\n${format(d.value)}` + (colours ? d.parts.map(([kind, value]) => `\n${kind} ${quantity(value)}`).join("") : "") })),
      ],
    });
    show(place, made);
    if (rest.length) remark(place, `and ${rest.length} more: ${format(d3.sum(rest, (row) => row.value))}`);
  }

  // x: cycles, or of a backend without, bytes of the tensor's node.
  function scatter(place, target, ledger) {
    const { tensor, single, entire, cycles: held, op, processor, dtype, bytes: own } = target.layers;
    const timed = held.some((value) => value > 0);
    const sizes = new Map(ledger.nodes.map((node) => [node[0], node[2]]));
    const points = tensor.map((name, i) => ({ name, op: op[i], y: lost(single[i] ?? entire[i]), x: timed ? held[i] : sizes.get(name) ?? own[i], on: [processor[i], dtype[i]].filter(Boolean).join(" ") || "layer" }))
      .filter((point) => point.y !== null && point.x > 0);
    if (!points.length) return show(place, null, "No layer has both an error and a cost.");
    const groups = [...new Set(points.map((point) => point.on))];
    const worst = d3.greatest(points, (point) => point.y);
    const middle = Math.sqrt(d3.min(points, (point) => point.x) * d3.max(points, (point) => point.x));
    show(place, Plot.plot({
      width: width(place), height: width(place) < 560 ? 340 : 400, marginLeft: 56, marginRight: 24, marginBottom: 40,
      x: { type: "log", label: timed ? "cycles →" : "bytes of the node →", grid: true, ticks: 5, tickFormat: thousands },
      y: { type: "log", label: "↑ 1 − cosine, single", grid: true, ticks: 5, tickFormat: power, domain: [d3.min(points, (p) => p.y) / 1.5, worst.y * 2.2] },
      color: { domain: groups, range: groups.map((_, i) => colour(i)), legend: groups.length > 1 },
      symbol: { domain: groups, range: groups.map((_, i) => symbol(i)) },
      marks: [
        Plot.dot(points, { x: "x", y: "y", stroke: "on", symbol: "on", r: 3.5, fill: "var(--card)", fillOpacity: 0.6 }),
        Plot.text([worst], { x: "x", y: "y", text: (d) => short(d.name, 30), dy: -10, fill: "currentColor", stroke: "var(--card)", strokeWidth: 4, textAnchor: worst.x > middle ? "end" : "start" }),
        Plot.tip(points, Plot.pointer({ x: "x", y: "y", fill: "var(--card)", stroke: "var(--line)", title: (d) => `${short(d.name, 46)}\n${d.op} ${d.on}\n1 − cosine ${d.y.toPrecision(3)}\n${timed ? `${d3.format(",")(d.x)} cycles` : quantity(d.x)}` })),
      ],
    }));
  }

  function treemap(place, legend, ledger) {
    const groups = new Map();
    for (const [node, op, , kinds] of ledger.nodes)
      for (const [kind, size] of Object.entries(kinds))
        if (size > 0) (groups.get(kind) ?? groups.set(kind, []).get(kind)).push({ node, op, kind, size });
    const wide = width(place);
    const tall = wide < 560 ? 420 : 460;
    const root = d3.hierarchy({ children: [...groups].map(([kind, children]) => ({ kind, children: gathered(children, ledger.bytes) })) })
      .sum((one) => one.size ?? 0).sort((a, b) => b.value - a.value);
    d3.treemap().size([wide, tall]).paddingOuter(1).paddingInner(1).paddingTop((one) => (one.depth === 1 && one.x1 - one.x0 > 50 && one.y1 - one.y0 > 26 ? 17 : 1)).round(true)(root);
    const svg = d3.create("svg").attr("viewBox", [0, 0, wide, tall]).attr("width", wide).attr("height", tall).attr("role", "img").attr("aria-label", "bytes by kind and node").style("font-size", "11px");
    for (const one of root.descendants().slice(1)) cell(svg, one, ledger.bytes);
    show(place, svg.node());
    legend.replaceChildren();
    for (const [kind, size] of Object.entries(ledger.kinds).sort((a, b) => b[1] - a[1])) {
      if (!size) continue;
      const entry = legend.appendChild(document.createElement("span"));
      entry.appendChild(document.createElement("i")).style.background = kindColour(kind);
      entry.append(`${kind} `);
      entry.appendChild(document.createElement("b")).textContent = `${quantity(size)} · ${part(size, ledger.bytes)}`;
      if (WORDS[kind]) entry.title = WORDS[kind];
    }
  }

  // Cells too small to be seen become one.
  function gathered(cells, all) {
    const seen = cells.filter((one) => one.size >= all / 4000);
    const rest = cells.filter((one) => one.size < all / 4000);
    if (rest.length < 2) return cells;
    return [...seen, { node: `${rest.length} small nodes`, op: null, kind: rest[0].kind, size: d3.sum(rest, (one) => one.size) }];
  }

  function cell(svg, one, all) {
    const [wide, tall] = [one.x1 - one.x0, one.y1 - one.y0];
    if (wide <= 0 || tall <= 0) return;
    const group = svg.append("g").attr("transform", `translate(${one.x0},${one.y0})`);
    const kind = one.data.kind;
    group.append("rect").attr("width", wide).attr("height", tall).attr("rx", 2).attr("fill", kindColour(kind)).attr("fill-opacity", one.depth === 1 ? 0.28 : 0.82);
    const title = one.depth === 1 ? kind : `${one.data.node ?? "no node's"}${one.data.op ? ` (${one.data.op})` : ""}\n${kind}`;
    group.append("title").text(`${title}\n${d3.format(",")(one.value)} bytes, ${part(one.value, all)}`);
    if (one.depth === 1) {
      if (wide > 50 && tall > 26) group.append("text").attr("x", 4).attr("y", 12).attr("fill", "currentColor").style("font-weight", 600).text(`${kind} ${quantity(one.value)}`.slice(0, Math.floor((wide - 8) / 6.6)));
    } else if (wide > 44 && tall > 14) {
      group.append("text").attr("x", 4).attr("y", 12).attr("fill", ink(kind)).text(fit(one.data.node ?? "no node's", wide));
      if (tall > 29) group.append("text").attr("x", 4).attr("y", 25).attr("fill", ink(kind)).attr("fill-opacity", 0.85).text(fit(quantity(one.value), wide));
    }
  }

  const fit = (text, wide) => short(text, Math.max(3, Math.floor((wide - 8) / 6.3)));
  const ink = (kind) => (d3.lab(kindColour(kind)).l > 58 ? "#0b1016" : "#ffffff");

  // One side of a changed part: dagre places the boxes.
  function graph(place, { nodes, edges, hidden }, state) {
    if (!nodes.length) return show(place, null, "nothing");
    const made = new dagre.graphlib.Graph({ multigraph: true }).setGraph({ rankdir: "TB", nodesep: 14, ranksep: 26, marginx: 6, marginy: 6 }).setDefaultEdgeLabel(() => ({}));
    nodes.forEach(([op], i) => made.setNode(String(i), { width: 7.2 * op.length + 20, height: 24 }));
    edges.forEach(([from, to], i) => made.setEdge(String(from), String(to), {}, String(i)));
    dagre.layout(made);
    const { width: wide, height: tall } = made.graph();
    const svg = d3.create("svg").attr("viewBox", [0, 0, wide, tall]).attr("width", wide).attr("height", tall).attr("role", "img").attr("aria-label", `${nodes.length} nodes`).style("min-width", `${0.6 * wide}px`);
    const id = `arrow-${graph.count = (graph.count ?? 0) + 1}`;
    svg.append("marker").attr("id", id).attr("viewBox", "0 0 8 8").attr("refX", 7).attr("refY", 4).attr("markerWidth", 6).attr("markerHeight", 6).attr("orient", "auto").append("path").attr("d", "M0 0L8 4L0 8z");
    const line = d3.line((p) => p.x, (p) => p.y).curve(d3.curveBasis);
    edges.forEach(([from, to, tensor], i) => svg.append("path").attr("d", line(made.edge({ v: String(from), w: String(to), name: String(i) }).points)).attr("marker-end", `url(#${id})`).append("title").text(tensor));
    nodes.forEach(([op, name, what], i) => {
      const at = made.node(String(i));
      const box = svg.append("g").attr("class", what === "changed" ? state : "stays").attr("transform", `translate(${at.x - at.width / 2},${at.y - at.height / 2})`);
      box.append("rect").attr("width", at.width).attr("height", at.height).attr("rx", 6);
      box.append("text").attr("x", at.width / 2).attr("y", 16).attr("text-anchor", "middle").text(op);
      box.append("title").text(name);
    });
    show(place, svg.node());
    if (hidden) remark(place, `and ${hidden} more nodes`);
  }

  return { errors, cycles, bytes, scatter, treemap, graph, colour, quantity };
})();
