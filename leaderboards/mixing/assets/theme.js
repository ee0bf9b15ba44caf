// Before anything is drawn: scripts are there, and the theme that was chosen last is kept.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const kept = localStorage.getItem("sftbench-theme");
    if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  } catch {
    // A browser may refuse storage to pages from disk; the system's theme is used then.
  }
})();
