"use strict";
(() => {
  const root = document.documentElement;

  // Light or dark: as the system has it, until somebody says otherwise.
  const theme = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const tell = () => {
    theme.setAttribute("aria-pressed", String(dark()));
    theme.textContent = dark() ? "Light page" : "Dark page";
    theme.setAttribute("aria-label", dark() ? "Switch to the light page" : "Switch to the dark page");
  };
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    tell();
  });
  system.addEventListener("change", tell);
  theme.hidden = false;
  tell();

  // Columns that can be sorted: numbers by their value, a second time the other way round.
  const compare = (a, b) => {
    if ((a === "") !== (b === "")) return a === "" ? 1 : -1;
    const x = Number(a), y = Number(b);
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return a.localeCompare(b, "en", { numeric: true });
  };
  const value = (row, place) => {
    const cell = row.cells[place];
    return "sort" in cell.dataset ? cell.dataset.sort : (cell.querySelector("bdi") || cell).textContent.trim();
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    if (body.rows.length < 2) continue;
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows];
        rows.sort((a, b) => {
          const x = value(a, place), y = value(b, place);
          if (x === "" || y === "") return compare(x, y);  // what was not run stays at the foot
          return down ? compare(y, x) : compare(x, y);
        });
        body.append(...rows);
      });
    });
  }

  // What is printed is all there.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")].filter((one) => one.querySelectorAll("tr").length < 120);
    for (const one of closed) one.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
  });
})();
