import init from './__JS__';

try {
  await init({ module_or_path: new URL('./__WASM__', import.meta.url) });
  // Only now, so that keeping the shell does not compete with loading it. Without a worker the app works online.
  navigator.serviceWorker?.register('/__WORKER__').catch(() => {});
} catch (error) {
  console.error(error);
  const notice = document.getElementById('boot-failed');
  if (notice) notice.hidden = false;
}
