import { type Check, failed, ok, warning } from './facts.ts';

export const checkService: Check = ({ service }) => {
  if ('error' in service) {
    return [
      failed(
        'service',
        `${service.error.message}; what only it can see was not looked at`,
        `${service.error.hint}; systemctl status walden, where systemd runs it`,
      ),
    ];
  }
  const { version, catalogRebuild, status } = service.value;
  const lines = [ok('service', `version ${version} answers`)];
  if (catalogRebuild === null) return lines;
  return [
    ...lines,
    warning(
      'catalog',
      `the catalog of ${status.name} was lost, and is not whole yet`,
      `wait for it: walden job show ${catalogRebuild}`,
    ),
  ];
};
