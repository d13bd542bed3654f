// Before the first paint: the theme and the language that were chosen, or else what the browser wants.
(() => {
  try {
    const theme = localStorage.getItem('letopis:theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
    const wanted = [localStorage.getItem('letopis:lang'), ...navigator.languages].filter(Boolean);
    const lang = wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag === 'en' || tag === 'ru');
    if (lang) document.documentElement.lang = lang;
  } catch {
    // Storage can be forbidden; then the defaults stand.
  }
})();
