import { count } from '../render/units.ts';
import { type Check, failed, ok, valueOf, warning } from './facts.ts';

/** Whether each answers as the service asks it; that WAL can be stored is what its arrival proves. */
export const checkRepositories: Check = ({ service }) => {
  const found = valueOf(service);
  if (found === undefined) return [];
  return found.inspection.repositories.map(({ name, required, milliseconds, error }) => {
    const what = `repository ${name}`;
    const status = found.status.repositories.find((one) => one.name === name);
    const failure = error ?? status?.failure?.error ?? null;
    if (failure !== null) return (required ? failed : warning)(what, failure.message, failure.hint);
    const behind = (status?.lag?.walFiles ?? 0) + (status?.lag?.backups ?? 0);
    const title = `answers in ${milliseconds} ms`;
    return ok(what, behind === 0 ? title : `${title}, and lacks ${count(behind, 'file')} that are on the way`);
  });
};
