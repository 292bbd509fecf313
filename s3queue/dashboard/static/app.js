/* What templates and htmx do not do: the stream of live figures, charts, dialogs, keys, local times. No build step. */
"use strict";
(() => {
  const body = document.body, root = body.dataset.root || "";
  const $ = (one, of) => (of || document).querySelector(one);
  const $$ = (all, of) => Array.from((of || document).querySelectorAll(all));

  /* ---- times: the server writes UTC, the reader's clock shows them ---- */
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "2-digit", day: "2-digit" });
  function localTimes(of) {
    const today = new Date().toDateString();
    for (const one of $$("time[datetime]", of)) {
      const at = new Date(one.dateTime);
      if (!isNaN(at)) one.textContent = (at.toDateString() === today ? "" : day.format(at) + " ") + clock.format(at);
    }
  }

  /* ---- charts ---- */
  const KINDS = {
    backlog: [["ready", "Ready", 1], ["running", "Running", 2], ["waiting", "Retrying", 3]],
    throughput: [["in_per_s", "In", 1], ["out_per_s", "Out", 2]],
    latency: [["oldest_s", "Oldest", 3], ["mean_s", "Mean", 1]],
    dollars: [["dollars_per_hour", "Dollars per hour", 4]],
    requests: [["requests_per_s", "Requests per second", 4]],
  };
  const MOST = 1800, ROOM = 26;
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const full = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
  const seconds = (v) => v == null ? "–" : v === 0 ? "0 s" : v < 1 ? Math.round(v * 1000) + " ms" : v < 120 ? full.format(v) + " s" : v < 7200 ? Math.round(v / 60) + " min" : Math.round(v / 3600) + " h";
  const plain = (v) => v == null ? "–" : v >= 1e6 ? short.format(v) : full.format(v);
  const money = (v) => v == null ? "–" : "$" + (v >= 0.01 || v === 0 ? v.toFixed(2) : v.toPrecision(2));
  const charts = [];

  function draw(chart) {
    const { place, kind, data } = chart;
    if (chart.plot) { chart.plot.destroy(); chart.plot = null; }
    place.textContent = "";
    if (data[0].length < 2) {
      const wait = document.createElement("p");
      wait.textContent = "Drawn while somebody looks: two points are needed.";
      place.append(wait);
      return;
    }
    const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name).trim();
    const tell = kind === "latency" ? seconds : kind === "dollars" ? money : plain;
    const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    chart.plot = new uPlot({
      width: place.clientWidth, height: place.clientHeight - ROOM,
      padding: [10, 26, 0, 0],
      hooks: { setLegend: [(plot) => { if (plot.legend.idx == null && chart.data[0].length) queueMicrotask(() => chart.plot && settle(chart)); }] },
      cursor: { points: { size: 6 }, drag: { x: false, y: false }, sync: { key: "all" } },
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, grid: { show: false }, space: 80, size: 26, values: [[3600, "{HH}:{mm}", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", null, null, null, null, null, null, 1], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]] },
        { ...axis, size: 54, values: (_, all) => all.map((v) => kind === "latency" ? seconds(v) : kind === "dollars" ? money(v) : short.format(v)) },
      ],
      series: [
        { value: (_, v) => v == null ? "" : clock.format(new Date(v * 1000)), label: "" },
        ...KINDS[kind].map(([, label, n]) => ({
          label, stroke: colour("--series-" + n), width: 1.75, spanGaps: true,
          fill: n === 1 && kind === "backlog" ? colour("--series-1") + "1f" : undefined,
          points: { show: false }, value: (_, v) => tell(v),
        })),
      ],
    }, data, place);
    settle(chart);
  }
  /* While nobody points at it, the legend tells the newest figures. */
  function settle(chart) {
    if (chart.plot.cursor.idx == null) chart.plot.setLegend({ idx: chart.data[0].length - 1 });
  }
  async function startCharts() {
    const places = $$("[data-chart]");
    if (!places.length) return;
    const answer = await fetch(root + "/series?queue=" + encodeURIComponent(places[0].dataset.queue), { credentials: "same-origin" });
    const series = answer.ok ? await answer.json() : { at: [] };
    for (const place of places) {
      const kind = place.dataset.chart;
      const data = [series.at.slice(), ...KINDS[kind].map(([name]) => (series[name] || []).slice())];
      const chart = { place, kind, data, plot: null };
      charts.push(chart);
      draw(chart);
    }
    new ResizeObserver(() => charts.forEach((one) => one.plot && one.plot.setSize({ width: one.place.clientWidth, height: one.place.clientHeight - ROOM }))).observe(places[0]);
  }
  function addPoint(point) {
    if (point.at == null) return;
    for (const chart of charts) {
      const at = chart.data[0];
      if (at.length && at[at.length - 1] >= point.at) continue;
      at.push(point.at);
      KINDS[chart.kind].forEach(([name], i) => chart.data[i + 1].push(point[name] ?? null));
      if (at.length > MOST) chart.data.forEach((column) => column.shift());
      if (chart.plot) { chart.plot.setData(chart.data); settle(chart); } else draw(chart);
    }
  }

  /* ---- live figures: one stream, closed while the page is hidden ---- */
  const pulse = $("#pulse"), pulseText = $("#pulse-text");
  let stream = null, lookedAt = 0;
  function tell(state, text) {
    if (!pulse || pulseText.textContent === text && pulse.className === "pulse " + state) return;
    pulse.className = "pulse " + state;
    pulseText.textContent = text;
  }
  function show(html) {
    const parsed = document.createElement("template");
    parsed.innerHTML = html;
    localTimes(parsed.content);
    for (const fresh of parsed.content.querySelectorAll("[data-region]")) {
      const old = $('[data-region="' + fresh.dataset.region + '"]');
      if (!old) continue;
      Idiomorph.morph(old, fresh, { morphStyle: "outerHTML", callbacks: { beforeAttributeUpdated: (name, node) => !(name === "class" && node.tagName === "TR") } });
      htmx.process($('[data-region="' + fresh.dataset.region + '"]'));
    }
  }
  function open() {
    if (stream || !body.dataset.live || body.dataset.live === "view=none" || document.hidden) return;
    stream = new EventSource(root + "/events?" + body.dataset.live);
    stream.addEventListener("look", (event) => {
      const look = JSON.parse(event.data);
      show(look.html);
      addPoint(look.point);
      lookedAt = Date.now();
      $("#viewers").textContent = look.viewers === 1 ? "1 viewer" : look.viewers + " viewers";
      tell(look.fault ? "broken" : "live beat", look.fault ? "The store does not answer" : "Live");
      setTimeout(() => pulse && pulse.classList.remove("beat"), 250);
    });
    stream.onerror = () => tell("broken", stream && stream.readyState === EventSource.CLOSED ? "Disconnected; load the page again" : "Connecting again");
  }
  function close() {
    if (stream) stream.close();
    stream = null;
    if (body.dataset.live && body.dataset.live !== "view=none") tell("paused", "Paused while hidden");
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  setInterval(() => {
    const every = parseFloat(body.dataset.every) || 2, age = (Date.now() - lookedAt) / 1000;
    if (stream && lookedAt && age > 3 * every + 5) tell("broken", "No news for " + Math.round(age) + " s");
  }, 1000);

  /* ---- dialogs ---- */
  const dialog = $("#dialog");
  let changed = false;
  document.addEventListener("htmx:afterSwap", (event) => {
    localTimes(event.detail.elt);
    if (event.detail.target && event.detail.target.id === "dialog-body") {
      if (!dialog.open) { changed = false; dialog.showModal(); }
      if ($(".told, .work", dialog)) changed = true;
      const first = $("input:not([type=hidden]), textarea, button", dialog);
      if (first) first.focus();
    }
  });
  document.addEventListener("click", (event) => {
    const closing = event.target.closest("[data-close]");
    if (closing && dialog.open) { event.preventDefault(); dialog.close(); }
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    $("#dialog-body").textContent = "";
    if (changed && (!body.dataset.live || body.dataset.live === "view=none")) location.reload();
  });

  /* ---- colours ---- */
  function theme(name) {
    document.documentElement.dataset.theme = name;
    document.cookie = "s3queue_theme=" + name + "; path=" + (root || "/") + "; max-age=31536000; samesite=lax";
    charts.forEach(draw);
  }
  function nextTheme() {
    const order = ["auto", "light", "dark"];
    theme(order[(order.indexOf(document.documentElement.dataset.theme) + 1) % 3]);
  }
  $("#theme").addEventListener("click", nextTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(draw));

  /* ---- keys ---- */
  const help = $("#help");
  $("#keys").addEventListener("click", () => help.showModal());
  let went = 0;
  function step(by) {
    const rows = $$(".rows tbody tr"), at = rows.findIndex((row) => row.classList.contains("at"));
    const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))];
    if (!next) return;
    rows.forEach((row) => row.classList.toggle("at", row === next));
    next.scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select") || dialog.open || help.open) return;
    const isScreen = Date.now() - went < 1500;
    went = 0;
    if (isScreen) {
      const link = $('.side a[data-key="' + CSS.escape(event.key) + '"]');
      if (link) { link.click(); return; }
    }
    if (event.key === "g") went = Date.now();
    else if (event.key === "/") { event.preventDefault(); $("#find").focus(); }
    else if (event.key === "?") help.showModal();
    else if (event.key === "t") nextTheme();
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "Enter") { const link = $(".rows tr.at a"); if (link && event.target === body) link.click(); }
  });

  localTimes();
  startCharts();
  open();
})();
