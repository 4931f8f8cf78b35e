import { isIP } from 'node:net';
import type { CheckedSection } from './check-sections.ts';
import type { MetricsListenConfig } from './config.ts';
import type { ConfigProblems } from './problems.ts';

/** Where metrics are told over TCP. What is read from other hosts needs a token: nothing else of the service is there. */
export function metricsListenConfig(
  section: CheckedSection<'service'>,
  problems: ConfigProblems,
): MetricsListenConfig | undefined {
  const { metrics_listen: listen, metrics_token_file: tokenFile } = section.values;
  const refuse = (key: 'metrics_listen' | 'metrics_token_file', fact: string): void => {
    problems.add(section.lineOf(key), `service.${key}`, fact);
  };
  if (listen === undefined) {
    if (tokenFile !== undefined) refuse('metrics_token_file', 'means nothing here: it needs metrics_listen');
    return undefined;
  }
  const [, inBrackets, plain = '', digits] = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):(\d{1,5})$/i.exec(listen) ?? [];
  const [host, port] = [inBrackets ?? plain, Number(digits)];
  if (isIP(host) !== (inBrackets === undefined ? 4 : 6) || port < 1 || port > 65_535) {
    refuse('metrics_listen', `must be like "127.0.0.1:9187" or "[::1]:9187", not ${JSON.stringify(listen)}`);
    return undefined;
  }
  if (tokenFile === undefined && !isLoopback(host)) {
    refuse('metrics_listen', `${host} can be reached from other hosts: that needs metrics_token_file`);
    return undefined;
  }
  return { host, port, tokenFile };
}

function isLoopback(host: string): boolean {
  return host === '::1' || /^127\./.test(host);
}
