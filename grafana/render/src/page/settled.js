const QUIET = 300;
const LONGEST = 15_000;

/** Waits until nothing has changed on the page for a while: charts measure their surroundings before they draw. */
export async function settled() {
  await document.fonts.ready;
  await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('the page does not come to rest')), LONGEST);
    const rest = () => {
      clearTimeout(late);
      observer.disconnect();
      resolve();
    };
    let quiet = setTimeout(rest, QUIET);
    const observer = new MutationObserver(() => {
      clearTimeout(quiet);
      quiet = setTimeout(rest, QUIET);
    });
    observer.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  });
}
