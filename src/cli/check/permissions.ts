import { type Check, failed, ok, valueOf } from './facts.ts';

/** What the role of conninfo and the user of the service may do. */
export const checkPermissions: Check = ({ server, service }) => {
  const view = valueOf(server);
  const inspection = valueOf(service)?.inspection;
  const data = inspection?.dataDirectory ?? null;
  return [
    ...(view === undefined
      ? []
      : view.missingFunctions.length === 0
        ? [ok('role', `${view.role} may do what is asked of it`)]
        : view.missingFunctions.map((name) =>
            failed(
              'role',
              `${view.role} may not execute ${name}`,
              `as a superuser: grant execute on function ${name} to "${view.role}"`,
            ),
          )),
    ...(inspection === undefined || data === null
      ? []
      : data.error === null
        ? [ok('data directory', `${inspection.user}, the user of the service, can read ${data.path}`)]
        : [
            failed(
              'data directory',
              `${inspection.user}, the user of the service, cannot read it: ${data.error.message}`,
              'run the service as the user of PostgreSQL',
            ),
          ]),
  ];
};
