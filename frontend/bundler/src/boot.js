import init from './__JS__';

// A page that is being left takes its downloads with it, and that is nobody's error.
let leaving = false;
addEventListener('pagehide', () => (leaving = true));
addEventListener('pageshow', () => (leaving = false));

try {
  await init({ module_or_path: new URL('./__WASM__', import.meta.url) });
  // Only now, so that keeping the shell does not compete with loading it. Without a worker the app works online.
  navigator.serviceWorker?.register('/__WORKER__').catch(() => {});
} catch (error) {
  if (!leaving) console.error(error);
  const notice = document.getElementById('boot-failed');
  if (notice) notice.hidden = false;
}
