import { build } from 'esbuild';
import { fileURLToPath } from 'node:url';

/** The page's script and style sheet, as text. */
export async function bundlePage() {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('page/main.jsx', import.meta.url))],
    bundle: true,
    write: false,
    outfile: 'page.js',
    minify: true,
    // What a picture's error says should still name functions.
    keepNames: true,
    define: { 'process.env.NODE_ENV': '"production"' },
    // The font is of an editor that no panel opens.
    loader: { '.svg': 'dataurl', '.ttf': 'empty' },
    logLevel: 'error',
  });
  return new Map(outputFiles.map(({ path, text }) => [path.endsWith('.css') ? '/page.css' : '/page.js', text]));
}
