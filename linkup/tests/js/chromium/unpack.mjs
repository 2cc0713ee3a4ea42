// Unpacks the Chromium of this folder's npm package, with the libraries that a bare machine lacks, into the
// package's own folder, and prints the variables with which it runs. Several may do this at once.

import { existsSync } from "node:fs";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";

const target = path.resolve("node_modules", ".unpacked");

// The package's own names folders that nobody has.
const fontsConf = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${path.join(target, "fonts")}</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>${path.join(target, "fonts-cache")}</cachedir>
</fontconfig>
`;

async function unpack() {
  const staging = await mkdtemp(path.resolve("node_modules", ".unpacking-"));
  // The package unpacks into the folder for temporary files, and brings its libraries only where it believes to be
  // on the cloud service that it was made for.
  process.env.TMPDIR = staging;
  process.env.AWS_EXECUTION_ENV = "AWS_Lambda_nodejs22.x";
  const { default: chromium } = await import("@sparticuz/chromium");
  await chromium.executablePath();
  await writeFile(path.join(staging, "fonts.conf"), fontsConf);
  // Whoever comes second finds the folder in place and drops its own.
  await rename(staging, target).catch(() => rm(staging, { recursive: true }));
}

if (!existsSync(target)) await unpack();
console.log(`CHROMIUM_PATH=${path.join(target, "chromium")}`);
console.log(`LD_LIBRARY_PATH=${path.join(target, "al2023", "lib")}`);
console.log(`FONTCONFIG_FILE=${path.join(target, "fonts.conf")}`);
