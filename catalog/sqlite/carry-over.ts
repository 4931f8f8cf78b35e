import type { Changes } from './changes.ts';
import type { Tables } from './tables.ts';

const REMEMBERED = ['verified_span', 'damaged_object', 'drill', 'node', 'timeline_writer', 'second_writer'];

/**
 * Takes over into a rebuilt catalog what the repositories could not tell: jobs, events, schedules, refusals, what was proven,
 * nodes, who writes the timelines, backups that run or are being removed, and everything that changed since the rebuild began,
 * because its listing may have missed that.
 */
export function carryOver(from: Tables, to: Tables, changes: Changes): void {
  to.database
    .transaction(() => {
      copyRows(from, to, 'job', 'ORDER BY rowid');
      copyRows(from, to, 'event', 'ORDER BY id');
      copyRows(from, to, 'schedule', 'ORDER BY name');
      copyRows(from, to, 'refusal', 'ORDER BY cluster, name');
      for (const table of REMEMBERED) copyRows(from, to, table, '');
      copyRows(from, to, 'backup', "WHERE state IN ('running', 'removing')");
      copyMissingClusters(from, to);
      carryWalFiles(from, to, changes);
      for (const { repository, cluster, name } of changes.backups) {
        to.backups.forget(repository, cluster, name);
        copyRows(from, to, 'backup', 'WHERE cluster = ? AND id = ? AND repository = ?', cluster, name, repository);
      }
      for (const { repository, cluster, name } of changes.holds) {
        to.holds.forget(repository, cluster, name);
        copyRows(from, to, 'hold', 'WHERE cluster = ? AND backup = ? AND repository = ?', cluster, name, repository);
      }
      for (const { repository, cluster } of changes.expiredArchives) {
        const archive = from.archives.find(repository, cluster);
        if (archive !== undefined)
          to.expired.replace(to.archives.ensure(repository, cluster), from.expired.of(archive));
      }
    })
    .immediate();
}

function carryWalFiles(from: Tables, to: Tables, changes: Changes): void {
  for (const { repository, cluster, name } of changes.walFiles) {
    const archive = to.archives.find(repository, cluster);
    if (archive !== undefined) to.walFiles.forget(archive, name);
    const file = from.walFiles.find(repository, cluster, name);
    if (file !== undefined) to.walFiles.record(file);
  }
}

/** A cluster that has archived nothing yet is in no repository. */
function copyMissingClusters(from: Tables, to: Tables): void {
  for (const name of from.clusters.names()) {
    const identity = from.clusters.identity(name);
    if (identity !== undefined && to.clusters.identity(name) === undefined) to.clusters.register(name, identity);
  }
}

function copyRows(from: Tables, to: Tables, table: string, rest: string, ...values: readonly string[]): void {
  const columns = from.database.prepare<[], string>(`SELECT name FROM pragma_table_info('${table}')`).pluck().all();
  const insert = to.database.prepare(
    `INSERT OR REPLACE INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
  );
  const rows = from.database.prepare<unknown[], unknown[]>(`SELECT * FROM ${table} ${rest}`).raw();
  for (const row of rows.iterate(...values)) insert.run(...row);
}
