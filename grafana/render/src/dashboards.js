import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** All dashboards of a directory, in the order of their titles. */
export async function readDashboards(directory) {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.json'));
  const dashboards = await Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(directory, name), 'utf8'))),
  );
  return dashboards.sort((a, b) => a.title.localeCompare(b.title));
}

export function choose(dashboards, uids) {
  const missing = uids.filter((uid) => !dashboards.some((dashboard) => dashboard.uid === uid));
  if (missing.length) throw new Error(`there is no dashboard ${missing.join(', ')}`);
  return uids.length ? dashboards.filter(({ uid }) => uids.includes(uid)) : dashboards;
}
