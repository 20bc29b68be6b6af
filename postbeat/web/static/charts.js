// Interactive charts, on demand: the script of Plotly is large, and the charts of the page itself need none.
"use strict";
(() => {
  const button = document.querySelector("button[data-charts]");
  if (!button) return;
  button.hidden = false;

  function script(place) {
    return new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = place;
      element.onload = resolve;
      element.onerror = () => reject(new Error("the script of the charts cannot be loaded"));
      document.head.append(element);
    });
  }

  async function figures() {
    const to = Math.floor(Date.now() / 1000);
    const query = new URLSearchParams({
      from: String(to - Number(button.dataset.length)), to: String(to), step: button.dataset.step, region: button.dataset.region,
    });
    const response = await fetch(`${button.dataset.charts}?${query}`, { credentials: "same-origin" });
    if (!response.ok) throw new Error("the figures cannot be loaded");
    return response.json();
  }

  function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

  function draw(holder, rollups, timing) {
    const times = rollups.periods.map((period) => new Date(period.at * 1000).toISOString());
    const traces = ["p50", "p95", "p99"].map((name) => ({
      x: times, y: rollups.periods.map((period) => period.timings[timing]?.[name] ?? null), name,
      mode: "lines+markers", line: { color: colour(`--${name}`) },
    }));
    const axis = { gridcolor: colour("--line"), linecolor: colour("--line") };
    const layout = {
      title: { text: timing }, height: 320, margin: { l: 60, r: 20, t: 50, b: 40 }, hovermode: "x unified",
      paper_bgcolor: colour("--page"), plot_bgcolor: colour("--panel"), font: { color: colour("--text") },
      xaxis: { ...axis, type: "date" }, yaxis: { ...axis, title: { text: "seconds" }, rangemode: "tozero" },
    };
    const element = document.createElement("div");
    element.className = "chart";
    holder.append(element);
    Plotly.newPlot(element, traces, layout, { responsive: true, displaylogo: false });
  }

  button.addEventListener("click", async () => {
    const holder = document.getElementById("charts");
    button.disabled = true;
    try {
      const [rollups] = await Promise.all([figures(), script(button.dataset.script)]);
      holder.replaceChildren();
      for (const timing of Object.keys(rollups.whole.timings)) draw(holder, rollups, timing);
      button.hidden = true;
    } catch (error) {
      holder.textContent = error.message;
      button.disabled = false;
    }
  });
})();
