// Light, dark, or what the system says. Runs before the first paint, so that nothing flashes.
"use strict";
(() => {
  const CHOICES = ["auto", "light", "dark"];
  const root = document.documentElement;
  let chosen = "auto";
  try {
    chosen = localStorage.getItem("theme") ?? "auto";
  } catch {
    // Storage is off: the choice lasts as long as the page.
  }
  if (!CHOICES.includes(chosen)) chosen = "auto";
  root.dataset.theme = chosen;

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => {
      button.querySelector("b").textContent = root.dataset.theme;
    };
    show();
    button.addEventListener("click", () => {
      const next = CHOICES[(CHOICES.indexOf(root.dataset.theme) + 1) % CHOICES.length];
      root.dataset.theme = next;
      show();
      dispatchEvent(new Event("themechange"));
      try {
        localStorage.setItem("theme", next);
      } catch {
        // As above.
      }
    });
  });
})();
